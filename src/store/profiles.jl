# Profiles in the store, and the layers that they come in: where it is known from that a method
# is needed. rust/store reads, merges and writes them; the format is described there.
#
#   <depot>/nativecache/v1.5/profiles/<Name>-<uuid>/<layer>.profile
#   <depot>/nativecache/v1.5/profiles/<Name>-<uuid>+<Name>-<uuid>/<layer>.profile
#
# The second for methods that need several packages of which none loads the others.

"Layers in the order in which they are shown; a profile of another name counts as well."
const LAYERS = ("statements", "precompile", "tests", "script", "trace")

"One method of a profile."
struct ProfileEntry
    statement::String
    seen::Int                   # sessions, or runs of its source, that needed it
    last::Int                   # the last of them, counted as the layer's `sessions` are
    milliseconds::Float64       # to compile it, when it was last built; NaN before that
end

"""
One layer of a package's profile.

- `name`: `statements` (given to `build`, or in the package), `precompile` (`@workload` blocks and
  `precompile` statements of the package itself), `tests` (its test suite), `script` (a script that
  was run for it) or `trace` (what sessions compiled)
- `packages`: whose it is; several if its methods need them all
- `path`: the file
- `header`: what it says of itself: `from`, `when`, `sessions`, `faded`, `capped`, `julia`
- `entries`: its methods
"""
struct Layer
    name::String
    packages::Vector{PkgId}
    path::String
    header::Dict{String,String}
    entries::Vector{ProfileEntry}
end

"All layers of a package, or of packages that must be loaded together: see [`NativeCache.profile`](@ref)."
struct Profile <: AbstractVector{Layer}
    packages::Vector{PkgId}
    layers::Vector{Layer}
end

Base.size(profile::Profile) = size(profile.layers)
Base.getindex(profile::Profile, i::Int) = profile.layers[i]

"The statements of the layers, each once, sorted."
statements(layers) = sort!(unique!(String[entry.statement for layer in layers for entry in layer.entries]))

# ---- where ----

profiles_root(depot::AbstractString) = joinpath(depot, STORE, "profiles")

# A folder name may have 255 bytes; layers add to none.
const LONGEST_FOLDER = 240

"The folder of the profiles of these packages, as `folder_name` of rust/session/src/tracing.rs names it."
function profile_folder(ids)
    name = join(sort!([package_folder(id) for id in ids]), '+')
    sizeof(name) <= LONGEST_FOLDER && return name
    # FNV-1a of 128 bits: the same on both sides.
    sum = 0x6c62272e07bb014262b821756295c58d
    for byte in codeunits(name)
        sum = xor(sum, UInt128(byte)) * 0x0000000001000000000000000000013b
    end
    return string("set-", string(sum; base = 16, pad = 32))
end

"The depot that profiles are written to, as libnativecache chooses it."
function writable_depot()
    isempty(DEPOT_PATH) && error("DEPOT_PATH is empty, so there is no place for a profile")
    julia = joinpath(dirname(Sys.BINDIR), "")
    problem = nothing
    for (number, depot) in enumerate(DEPOT_PATH)
        number == 1 || !startswith(abspath(depot), julia) || continue
        try
            mkpath(profiles_root(depot); mode = FOLDER_MODE)
            return String(depot)
        catch err
            err isa InterruptException && rethrow()
            problem === nothing && (problem = err)
        end
    end
    error("no depot can be written to: ", sprint(showerror, problem))
end

# ---- reading ----

function parse_layer(name::String, path::String, text::AbstractString, ids::Vector{PkgId})
    header = Dict{String,String}()
    packages = PkgId[]
    entries = ProfileEntry[]
    for line in split(text, '\n'; keepempty = false)
        if startswith(line, "# ")
            pair = match(r"^# ([a-z-]+): (.*)$", line)
            pair === nothing && continue
            if pair[1] == "package"
                words = split(unescape_field(pair[2]))
                length(words) == 2 || continue
                uuid = try UUID(words[2]) catch; nothing end
                uuid === nothing && continue
                push!(packages, uuid.value == 0 ? PkgId(words[1]) : PkgId(uuid, words[1]))
            else
                header[pair[1]] = unescape_field(pair[2])
            end
        else
            entry = match(r"^precompile\((.*)\)  # seen (\d+), last (\d+)(?:, ([0-9.]+) ms)?$", line)
            entry === nothing && continue
            push!(entries, ProfileEntry(entry[1], parse(Int, entry[2]), parse(Int, entry[3]),
                entry[4] === nothing ? NaN : parse(Float64, entry[4])))
        end
    end
    return Layer(name, isempty(packages) ? ids : packages, path, header, entries)
end

"The layers of a folder of profiles, in order."
function folder_layers(folder::String, ids::Vector{PkgId} = PkgId[])
    isdir(folder) || return Layer[]
    names = String[]
    for file in readdir(folder)
        found = match(r"^([a-z0-9]+)\.(?:profile$|pending-)", file)
        found === nothing || push!(names, found[1])
    end
    order(name) = (something(findfirst(==(name), LAYERS), length(LAYERS) + 1), name)
    return Layer[parse_layer(name, joinpath(folder, "$name.profile"), read_layer_text(folder, name), ids)
                 for name in sort!(unique!(names); by = order)]
end

"""
The layers of packages, of all depots: of two files of one layer the methods of both count.
"""
function layers_of(ids::Vector{PkgId})
    found = Layer[]
    for depot in DEPOT_PATH, layer in folder_layers(joinpath(profiles_root(depot), profile_folder(ids)), ids)
        at = findfirst(known -> known.name == layer.name, found)
        if at === nothing
            push!(found, layer)
        else
            known = Set(entry.statement for entry in found[at].entries)
            append!(found[at].entries, filter(entry -> !(entry.statement in known), layer.entries))
        end
    end
    return found
end

"Every set of packages that has a profile, the sets of one package first."
function profiled()
    found = Vector{PkgId}[]
    for depot in DEPOT_PATH
        root = profiles_root(depot)
        isdir(root) || continue
        for name in readdir(root), layer in folder_layers(joinpath(root, name))
            ids = sort(layer.packages; by = package_folder)
            !isempty(ids) && profile_folder(ids) == name && !(ids in found) && push!(found, ids)
        end
    end
    return sort!(found; by = ids -> (length(ids), profile_folder(ids)))
end

"""
    NativeCache.profile(package) -> Profile

What is known to be needed of a package, layer by layer: a vector of [`NativeCache.Layer`](@ref).
`package` is a name, a module or a `PkgId`; a vector of those asks for what needs all of them.

The files are text, one `precompile` line for each method, sorted; they may be copied, merged line by
line, edited and kept under version control.

# Example

    julia> NativeCache.profile("MyPackage")
    MyPackage: 312 methods
      layer       methods  from                        when
      tests           288  test/runtests.jl            2026-11-25T03:14:00Z
      trace            97  41 sessions                 2026-11-25T05:20:11Z
"""
function profile(package)
    ids = sort!(package_ids(package); by = package_folder)
    return Profile(ids, layers_of(ids))
end

# ---- changing ----

# What a profile that is written is to what is there: `Mode` of rust/store.
const ADD = 0
const REPLACE = 1
const MEASURE = 2

"Write `text`, a profile, into a layer: added to what it holds, in place of that, or only what its methods cost."
function put_layer(ids::Vector{PkgId}, name::String, text::String; mode::Int)
    folder = joinpath(profiles_root(writable_depot()), profile_folder(ids))
    limits = profile_limits()
    mktemp() do path, io
        with_failing_writes(() -> (write(io, text); close(io)))
        answer = merge_profile(folder, name, path, mode, limits.methods, limits.sessions)
        isempty(answer) && error(last_error())
        return nothing
    end
end

"A profile as text."
function profile_text(ids::Vector{PkgId}, name::String, from::String, statements)
    io = IOBuffer()
    println(io, "# NativeCache profile")
    for id in ids
        println(io, "# package: ", id.name, ' ', uuid_text(id))
    end
    println(io, "# layer: ", name)
    println(io, "# from: ", replace(from, r"[\r\n]+" => " "))
    println(io, "# when: ", utc_text())
    println(io, "# julia: ", VERSION)
    for statement in statements
        println(io, "precompile(", statement, ")")
    end
    return String(take!(io))
end

"Date and time, UTC."
function utc_text()
    seconds = Ref(floor(Int64, time()))
    parts = Libc.TmStruct()
    ccall(:gmtime_r, Ptr{Cvoid}, (Ptr{Int64}, Ref{Libc.TmStruct}), seconds, parts)
    return Libc.strftime("%Y-%m-%dT%H:%M:%SZ", parts)
end

profile_limits() = (methods = setting("methods")::Int, sessions = setting("fade")::Int)

"""
    NativeCache.drop!(package, layers...) -> Vector{String}

Forget layers of a package's profile: the names of those that were there. All of them if none is
named. Libraries stay until the next build.

# Example

    julia> NativeCache.drop!("MyPackage", :trace)
    1-element Array{String,1}:
     "trace"
"""
function drop!(package, layers::Union{Symbol,AbstractString}...)
    ids = sort!(package_ids(package); by = package_folder)
    names = String[string(layer) for layer in layers]
    dropped = String[]
    for depot in DEPOT_PATH
        folder = joinpath(profiles_root(depot), profile_folder(ids))
        isdir(folder) || continue
        # A session that ends meanwhile would write back what it has read.
        locked(joinpath(folder, "lock")) do
            for file in readdir(folder)
                found = match(r"^([a-z0-9]+)\.(?:profile$|pending-)", file)
                (found === nothing || !(isempty(names) || found[1] in names)) && continue
                rm(joinpath(folder, file); force = true)
                found[1] in dropped || push!(dropped, found[1])
            end
        end
    end
    return dropped
end

# ---- how it shows ----

Base.show(io::IO, layer::Layer) = print(io, "Layer(", layer.name, ": ", methods_text(length(layer.entries)), ")")

function Base.show(io::IO, ::MIME"text/plain", layer::Layer)
    printstyled(io, join((id.name for id in layer.packages), " + "), ", layer ", layer.name; bold = true)
    print(io, ": ", methods_text(length(layer.entries)), ", ", layer_source(layer), "\n  ", layer.path)
    limit = get(io, :limit, false) ? displaysize(io)[1] - 6 : typemax(Int)
    for (number, entry) in enumerate(layer.entries)
        number > limit && return print(io, "\n  ... ", length(layer.entries) - limit, " more")
        print(io, "\n  ", entry.statement)
    end
end

function layer_source(layer::Layer)
    sessions = get(layer.header, "sessions", "")
    from = get(layer.header, "from", "?")
    from == "sessions" && !isempty(sessions) && (from = sessions == "1" ? "1 session" : "$sessions sessions")
    get(layer.header, "status", "") == "failed" && (from = string(from, ", failed"))
    for (name, text) in ("faded" => " faded", "capped" => " over the cap")
        haskey(layer.header, name) && (from = string(from, ", ", layer.header[name], text))
    end
    return from
end

Base.show(io::IO, profile::Profile) =
    print(io, "Profile(", join((id.name for id in profile.packages), " + "), ": ", length(profile), " layers)")

function Base.show(io::IO, ::MIME"text/plain", profile::Profile)
    printstyled(io, join((id.name for id in profile.packages), " + "); bold = true)
    isempty(profile.layers) && return print(io, ": no profile yet; sessions write one, or `NativeCache.build(...; from = :tests)`")
    println(io, ": ", methods_text(length(statements(profile.layers))))
    rows = [[string("  ", layer.name), string(length(layer.entries)), string("  ", get(layer.header, "when", "")),
             layer_source(layer)] for layer in profile.layers]
    print_table(io, ["  layer", "methods", "  when", "from"], rows)
end
