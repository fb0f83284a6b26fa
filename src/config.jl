# Settings: keyword > environment > preference file > default.
#
# Nothing here is on the load path: that one looks at JULIA_NATIVECACHE only.

"Every setting with its default; in the environment it is JULIA_NATIVECACHE_<NAME>."
const DEFAULTS = Pair{String,String}[    # no Dict: making one here would compile it into the package image
    "linker" => "cc",         # program that links the object file into a library
    "timeout" => "900",       # seconds that one step of a build may take
    "progress" => "auto",     # show progress: auto (on a terminal, not under CI), yes, no
    "keep" => "no",           # keep the build's work folder, to look into it
]

setting_names() = String[name for (name, _) in DEFAULTS]

"The preference file: the first `config/NativeCache.toml` among the depots."
function preference_file()
    for depot in DEPOT_PATH
        path = joinpath(depot, "config", "NativeCache.toml")
        isfile(path) && return path
    end
    return nothing
end

"Read `key = value` lines, the part of TOML that settings need. What is not one is an error."
function read_preferences(path::AbstractString)
    found = Dict{String,String}()
    for (number, line) in enumerate(eachline(path))
        text = strip(line)
        (isempty(text) || startswith(text, '#')) && continue
        pair = match(r"^([A-Za-z_]+)\s*=\s*(?:\"([^\"]*)\"|([^\s#\"]+))\s*(?:#.*)?$", text)
        pair === nothing && throw(ArgumentError(string(
            path, ", line ", number, ": expected `name = value`, got ", repr(String(text)))))
        pair[1] in setting_names() || throw(ArgumentError(string(
            path, ", line ", number, ": there is no setting ", repr(String(pair[1])),
            "; there are ", join(setting_names(), ", "))))
        found[pair[1]] = something(pair[2], pair[3])
    end
    return found
end

"The value of a setting: `given` unless it is `nothing`, then ENV, preference file, default."
function setting(name::String, given = nothing)
    given === nothing || return given isa Bool ? (given ? "yes" : "no") : string(given)
    fallback = Dict(DEFAULTS)[name]
    value = get(ENV, string("JULIA_NATIVECACHE_", uppercase(name)), "")
    isempty(value) || return value
    path = preference_file()
    return path === nothing ? fallback : get(read_preferences(path), name, fallback)
end

"A setting that is yes or no."
function switch(name::String, given = nothing)
    value = lowercase(setting(name, given))
    value in ("yes", "true", "on", "1") && return true
    value in ("no", "false", "off", "0") && return false
    throw(ArgumentError(string("setting ", name, ": expected yes or no, got ", repr(value))))
end

"A setting that is a number of seconds."
function seconds(name::String, given = nothing)
    value = setting(name, given)
    number = tryparse(Float64, value)
    (number === nothing || !(number > 0)) && throw(ArgumentError(string(
        "setting ", name, ": expected a positive number of seconds, got ", repr(value))))
    return number
end
