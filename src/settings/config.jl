# Settings: keyword > environment > NativeCache.toml of the project, then of the depots > default.
#
# On the load path nothing of this runs: there rust/session reads what it needs, and what it
# cannot read it takes for the default. A mistake is an error here, never there.

# One line per setting: name, default, kind, meaning. A kind is one of KINDS, or words
# between bars. In the environment it is JULIA_NATIVECACHE_<NAME>; `mode` is JULIA_NATIVECACHE.
# No Dict and no Vector: making one here would compile code into the package image.
const SETTINGS = (
    ("mode", "on", "on|off|verify", "use cached code, do not, or compile every hit again and compare; read when NativeCache is loaded"),
    ("linker", "cc", "text", "C compiler driver that links a library"),
    ("timeout", "900", "seconds", "what one step of a build may take"),
    ("progress", "yes", "yes|no", "show a build's progress: a line on a terminal and a line per stage in a log, or nothing"),
    ("memory", "0", "bytes", "what the build process may allocate; 0 is no limit"),
    ("keep", "no", "yes|no", "keep the build's work folder, for a look into it"),
    ("trace", "yes", "yes|no", "at the end of a session, note in the profiles what it has compiled"),
    ("auto", "ask", "off|ask|background|now", "what a session does about a library that is not up to date; under CI only the environment says so"),
    ("methods", "5000", "count", "methods that a layer of a profile holds at most, those that save most; 0: all"),
    ("fade", "50", "count", "sessions that do not use a method after which its profile forgets it; 0: never"),
    ("max_size", "2 GB", "bytes", "what gc! lets the libraries of all depots take, with the object files for their next builds"),
)

# Kind, what a value must be, how its text is read: `nothing` if it is not one.
const KINDS = (
    ("text", "some text", text -> isempty(text) ? nothing : text),
    ("yes|no", "yes or no", text -> read_switch(lowercase(text))),
    ("seconds", "a positive number of seconds", text -> read_positive(text)),
    ("bytes", "a size such as 500 MB or 2 GB", text -> read_bytes(text)),
    ("count", "a whole number, 0 or more", text -> read_count(text)),
)

read_switch(text) = text in ("yes", "true", "on", "1") ? true : text in ("no", "false", "off", "0") ? false : nothing

function read_positive(text)
    number = tryparse(Float64, text)
    return number === nothing || !(0 < number < Inf) ? nothing : number
end

function read_count(text)
    number = tryparse(Int, text)
    return number === nothing || number < 0 ? nothing : number
end

function read_bytes(text)
    parts = match(r"^\s*([0-9.]+)\s*(|k|M|G|T)i?B?\s*$"i, text)
    parts === nothing && return nothing
    number = tryparse(Float64, parts[1])
    number === nothing && return nothing
    unit = isempty(parts[2]) ? 0 : findfirst(lowercase(parts[2])[1], "kmgt")
    return number * 1000.0^unit < 1e18 ? round(Int, number * 1000.0^unit) : nothing
end

setting_names() = String[name for (name, _, _, _) in SETTINGS]

function setting_entry(name::AbstractString)
    for entry in SETTINGS
        entry[1] == name && return entry
    end
    throw(ArgumentError(no_setting(name)))
end

no_setting(name) = string("there is no setting ", repr(String(name)), "; there are ", join(setting_names(), ", "))

"The environment variable of a setting."
variable(name::AbstractString) = name == "mode" ? "JULIA_NATIVECACHE" : string("JULIA_NATIVECACHE_", uppercase(name))

"What a value of this kind must be."
function expected(kind::String)
    for (name, words, _) in KINDS
        name == kind && return words
    end
    return string("one of ", join(split(kind, '|'), ", "))
end

"The value that the text stands for, or `nothing`."
function value_of(kind::String, text::String)
    for (name, _, read) in KINDS
        name == kind && return read(text)
    end
    return lowercase(text) in split(kind, '|') ? lowercase(text) : nothing
end

# ---- where values come from ----

"""
The preference files there are, those that go before others first: `NativeCache.toml` beside the
active project's `Project.toml`, and `config/NativeCache.toml` in each depot.
"""
function preference_files()
    places = Pair{Symbol,String}[]
    project = Base.active_project()
    project === nothing || push!(places, :project => joinpath(dirname(project), "NativeCache.toml"))
    for depot in DEPOT_PATH
        push!(places, :depot => joinpath(depot, "config", "NativeCache.toml"))
    end
    return filter(place -> is_file(place.second), places)
end

"Is it a file? One behind a loop of links, or in a folder that may not be looked into, is none."
function is_file(path::AbstractString)
    try
        return isfile(path)
    catch err
        err isa Base.IOError || rethrow()
        return false
    end
end

# What may stand around names and values; rust/session/src/settings.rs reads the same.
const BLANKS = (' ', '\t', '\r', '\v', '\f')

"""
The settings in a preference file, name => (value, line), and what is wrong in it. Lines are
`name = value`, the part of TOML that settings need.
"""
function read_preferences(path::AbstractString)
    found = Dict{String,Tuple{String,Int}}()
    problems = String[]
    for (number, line) in enumerate(eachline(path))
        if !isvalid(line) || '\0' in line
            push!(problems, string(path, ", line ", number, isvalid(line) ? ": there is a NUL in it" : ": it is no UTF-8"))
            continue
        end
        text = strip(line, BLANKS)
        (isempty(text) || startswith(text, '#')) && continue
        pair = match(r"^([A-Za-z_]+)[ \t\r\x0b\f]*=[ \t\r\x0b\f]*(?:\"([^\"]*)\"|([^ \t\r\x0b\f#\"]+))[ \t\r\x0b\f]*(?:#.*)?$"s, text)
        place = string(path, ", line ", number, ": ")
        if pair === nothing
            push!(problems, string(place, "expected `name = value`, got ", repr(String(text))))
        elseif !(pair[1] in setting_names())
            push!(problems, string(place, no_setting(pair[1])))
        elseif haskey(found, pair[1])
            push!(problems, string(place, pair[1], " was set in line ", found[pair[1]][2], " already"))
        else
            found[pair[1]] = (String(something(pair[2], pair[3])), number)
        end
    end
    return found, problems
end

const REPORTED = Any[]

"Say, once in a session, which lines are passed over; the others count."
function report_once(problems::Vector{String})
    problems in REPORTED && return nothing
    push!(REPORTED, problems)
    @warn string("NativeCache: passed over in the settings:\n  ", join(problems, "\n  ")) _module=nothing _file=nothing
    return nothing
end

"Text of a setting, what kind of place it is from, and which: `given`, then the places in their order."
function look_up(name::String, given = nothing; report = true)
    _, default, _, _ = setting_entry(name)
    given === nothing || return (given isa Bool ? (given ? "yes" : "no") : string(given), :keyword, "keyword $name")
    value = get(ENV, variable(name), "")
    isempty(value) || return (value, :environment, variable(name))
    for (place, path) in preference_files()
        heeded(name) || break
        found, problems = read_preferences(path)
        isempty(problems) || !report || report_once(problems)
        haskey(found, name) && return (found[name][1], place, string(path, ", line ", found[name][2]))
    end
    return (default, :default, "")
end

"Do files count? Nothing is built under CI because of one that was written for somebody's own machine."
heeded(name::String) = name != "auto" || !under_ci()

under_ci() = !(get(ENV, "CI", "") in ("", "false", "0"))

"The value of a setting in the type of its kind; `given` is the keyword's, `nothing` if there was none."
function setting(name::String, given = nothing)
    text, _, place = look_up(name, given)
    kind = setting_entry(name)[3]
    value = value_of(kind, text)
    value === nothing && throw(ArgumentError(wrong_value(name, text, place)))
    return value
end

"The value that a session takes by itself: a mistake is no error, says nothing and counts as the default."
function session_setting(name::String)
    _, default, kind, _ = setting_entry(name)
    value = value_of(kind, look_up(name; report = false)[1])
    return value === nothing ? value_of(kind, default) : value
end

wrong_value(name, text, place) = string("setting ", name, isempty(place) ? "" : " from $place", ": expected ",
    expected(setting_entry(name)[3]), ", got ", repr(text))

# ---- settings() ----

"""
One setting: an item of what [`NativeCache.settings`](@ref) returns.

- `name`; `value`, in the type of its kind
- `source`: `:keyword`, `:environment`, `:project`, `:depot` or `:default`; `place`: the
  variable, or the file and line
- `default`: as text; `expected`: what a value must be; `meaning`
"""
struct Setting
    name::String
    value::Any
    source::Symbol
    place::String
    default::String
    expected::String
    meaning::String
end

"Every setting, in a fixed order; by number or by name."
struct Settings <: AbstractVector{Setting}
    items::Vector{Setting}
end

Base.size(list::Settings) = size(list.items)
Base.getindex(list::Settings, i::Int) = list.items[i]

function Base.getindex(list::Settings, name::Union{Symbol,AbstractString})
    for item in list.items
        item.name == String(name) && return item.value
    end
    throw(ArgumentError(no_setting(String(name))))
end

"""
    NativeCache.settings(; keywords...) -> Settings

Every setting with its value and where that came from. The first of these places that names a
setting wins:

1. a keyword of the function that uses it,
2. the environment: `JULIA_NATIVECACHE_LINKER` for `linker` and so on; `JULIA_NATIVECACHE` for `mode`,
3. `NativeCache.toml` beside the active project's `Project.toml`,
4. `config/NativeCache.toml` in a depot, the first depot first,
5. the default.

A file has lines like `linker = "clang"`. With keywords, what a call with these keywords would use.

Throws an `ArgumentError` that lists every name that is no setting, every value that is none for
its setting, and every line that cannot be read. Loading never throws because of them: it takes
the default.

# Example

    julia> NativeCache.settings(timeout = 60)["timeout"]
    60.0
"""
function settings(; keywords...)
    problems = String[]
    files = Tuple{Symbol,String,Dict{String,Tuple{String,Int}}}[]
    for (place, path) in preference_files()
        found, wrong = read_preferences(path)
        append!(problems, wrong)
        push!(files, (place, path, found))
    end
    variables = variable.(setting_names())
    for name in sort!(collect(keys(ENV)))
        # The last is the set-up's (deps/build.jl).
        startswith(name, "JULIA_NATIVECACHE") && !(name in variables) && name != "JULIA_NATIVECACHE_UNTESTED" && push!(problems, string(
            name, " in the environment: no setting has this variable; there are ", join(variables, ", ")))
    end
    for name in keys(keywords)
        String(name) in setting_names() || push!(problems, string("keyword ", name, ": ", no_setting(name)))
    end
    items = Setting[]
    for (name, default, kind, meaning) in SETTINGS
        tried = Tuple{String,Symbol,String}[]
        given = get(keywords, Symbol(name), nothing)
        given === nothing || push!(tried, look_up(name, given))
        value = get(ENV, variable(name), "")
        isempty(value) || push!(tried, (value, :environment, variable(name)))
        for (place, path, found) in files
            heeded(name) && haskey(found, name) && push!(tried, (found[name][1], place, string(path, ", line ", found[name][2])))
        end
        push!(tried, (default, :default, ""))
        for (text, _, place) in tried     # a wrong value that another one hides is wrong all the same
            value_of(kind, text) === nothing && push!(problems, wrong_value(name, text, place))
        end
        text, source, place = tried[1]
        push!(items, Setting(name, value_of(kind, text), source, place, default, expected(kind), meaning))
    end
    isempty(problems) || throw(ArgumentError(join(problems, "\n  ")))
    return Settings(items)
end

# ---- set! ----

"""
    NativeCache.set!(; settings...) -> String

Write settings into `config/NativeCache.toml` of the first depot, for all sessions from now on, and return its
path. Other lines of the file stay as they are; `nothing` takes a setting out. A name or a value that is none is an
`ArgumentError`, and nothing is written.

# Example

    julia> NativeCache.set!(auto = "background")     # sessions build what is not up to date by themselves
    "/home/me/.julia/config/NativeCache.toml"
"""
function set!(; settings...)
    isempty(DEPOT_PATH) && error("DEPOT_PATH is empty, so there is no place for settings")
    path = abspath(first(DEPOT_PATH), "config", "NativeCache.toml")
    lines = isfile(path) ? readlines(path) : String[]
    for (key, value) in settings
        name = String(key)
        kind = setting_entry(name)[3]
        text = value isa Bool ? (value ? "yes" : "no") : string(value)
        value === nothing || value_of(kind, text) !== nothing || throw(ArgumentError(wrong_value(name, text, "")))
        occursin(r"[\"\r\n]", text) && throw(ArgumentError("setting $name: a quote or a line break cannot stand in the file"))
        filter!(line -> !occursin(Regex("^\\s*$name\\s*="), line), lines)
        value === nothing || push!(lines, string(name, " = \"", text, '"'))
    end
    mkpath(dirname(path); mode = FOLDER_MODE)
    temporary = string(path, ".tmp-", getpid(), '-', time_ns())
    with_failing_writes(() -> write(temporary, (line * '\n' for line in lines)...))
    chmod(temporary, 0o644)
    Base.Filesystem.rename(temporary, path)
    return path
end

setting_text(value) = value isa Bool ? (value ? "yes" : "no") :
    value isa Float64 && isinteger(value) && abs(value) < 1e15 ? string(Int(value)) : string(value)

Base.show(io::IO, item::Setting) = print(io, item.name, " = ", setting_text(item.value),
    item.source === :default ? "" : " ($(item.place))")

Base.show(io::IO, list::Settings) = print(io, "Settings(", join(list.items, ", "), ")")

function Base.show(io::IO, ::MIME"text/plain", list::Settings)
    value = maximum(length(setting_text(item.value)) for item in list)
    name = maximum(length(item.name) for item in list)
    for (number, item) in enumerate(list)
        number > 1 && println(io)
        printstyled(io, rpad(item.name, name); bold = true)
        print(io, "  ", rpad(setting_text(item.value), value), "  ")
        printstyled(io, item.source === :default ? "default" : item.place;
            color = item.source === :default ? :light_black : :cyan)
        print(io, "\n", ' '^(name + 2), item.meaning)
        item.expected == "some text" || print(io, " (", item.expected, ")")
    end
end
