# What a session of Julia 1.5 has: the libraries that libnativecache found and linked. status.jl shows it.

"Loaded packages that have libraries in the store, none of which was even looked at."
function stale(items)
    known = Set(item.package for item in items)
    folders = Set(item.package for item in stored())
    found = Status[]
    for (id, mod) in Base.loaded_modules
        !(id.name in known) && package_folder(id) in folders && push!(found, nothing_of(id.name, [id]))
    end
    return sort!(found; by = item -> item.package)
end

"A library that this session has found: a line of `nativecache_found`."
struct Found
    id::Int             # negative: not even its tables could be read
    package::PkgId
    path::String
    functions::Int
    reason::Int         # why nothing of it is used, or 0
    seconds::Float64
    bytes::Int
    message::String
end

"Every library that this session has found, in the order found."
function found()
    is_on() || return Found[]
    list = Found[]
    for line in split(taken(ccall((:nativecache_found, LIBRARY), Ptr{UInt8}, ())), '\n'; keepempty = false)
        field = fields_of(line)
        number(i) = parse(Int, field[i])
        uuid = UUID(parse(UInt128, field[3]; base = 16))
        push!(list, Found(number(1), PkgId(uuid, field[2]), field[4], number(11), number(13),
            parse(Float64, field[14]), number(15), field[16]))
    end
    return list
end

"Names the store's folder for sessions like this one."
session_key() = hex(ccall((:nativecache_key_hash, LIBRARY), UInt64, ()))

"Why nothing is linked in this session, as (reason, words); (nothing, \"\") if it is on."
function session_message()
    handle = Libdl.dlopen(LIBRARY; throw_error = false)
    handle === nothing && return (nothing, "libnativecache is not built: $NOT_BUILT")
    state = Libdl.dlsym(handle, :nativecache_state; throw_error = false)
    state === nothing && return (nothing, "libnativecache was built from another version of NativeCache: $NOT_BUILT")
    words = fields_of(taken(ccall(state, Ptr{UInt8}, ())))
    words[1] == "on" && return (nothing, "")
    words[1] == "off" && return told(reason_name(parse(Int, words[2])))
    words[1] == "failed" && return told(:StartFailed, words[2])
    return told(:NotStarted)
end

function missing_message(ids)
    is_on() || return session_message()
    for id in ids
        haskey(Base.loaded_modules, id) || return told(:NotLoaded, id.name)
    end
    id = ids[1]
    build = hex(Base.module_build_id(Base.loaded_modules[id]))
    others = [item for item in stored() if item.package == package_folder(id)]
    isempty(others) && return told(:NotFound, string("NativeCache.build(", repr(id.name), ") makes one"))
    key = session_key()
    any(item -> item.key == key && startswith(basename(item.path), build), others) && return told(:BuiltLater)
    any(item -> item.key == key, others) && return told(:PackageBuild)
    return told(:KeyDiffers, key_difference(others))
end

"What differs between this session and the newest of these libraries: `component: built with …, this session has …`."
function key_difference(libraries)
    newest = sort(libraries; by = item -> file_time(item.path))[end]
    return join((text for (reason, text) in inspect_library(newest.path).problems), "; ")
end

function status_of(library::Found)
    items = library.id >= 0 ?
        parse_entries(taken(ccall((:nativecache_entries, LIBRARY), Ptr{UInt8}, (Int64,), library.id))) :
        rejected_whole(library)
    bucket(name) = MethodItem[item for (which, item) in items if which == name]
    layers, saved = layers_in_use([library.package], items)
    return Status(library.package.name, library.path, MethodItem[MethodItem(item.statement) for (_, item) in items],
        bucket("installed"), bucket("waiting"), bucket("skipped"), bucket("rejected"), bucket("failed"),
        library.functions, library.seconds, library.bytes, library.message,
        library.reason > 0 ? reason_name(library.reason) : nothing, saved, file_time(library.path), layers)
end

"The methods of a library that was not linked, as far as its tables can be read."
function rejected_whole(library::Found)
    why = library.reason > 0 ? reason_name(library.reason) : nothing
    # A method that is not in the library has its own reason; the others share the library's.
    return Pair{String,MethodItem}[which == "compiled" ?
        "rejected" => MethodItem(item.statement, why, library.message) : which => item
        for (which, item) in peek(library.path)]
end

"The requested methods of a library that may not be linked, with the buckets of the build."
function peek(path::AbstractString)
    counts = zeros(UInt64, 8)
    return parse_entries(taken(ccall((:nativecache_peek, LIBRARY), Ptr{UInt8}, (Cstring, Ptr{UInt64}), path, counts)))
end

"""
    NativeCache.libraries() -> Vector

The libraries in the store, of all packages and kinds of session: named tuples of `package`,
`path`, `bytes`, `built` (Unix time), `usable` (by sessions started like this one; `missing`
if the cache is off) and `linked` (in this session).

# Example

    julia> sum(library.bytes for library in NativeCache.libraries())
    5242880
"""
function libraries()
    linked = Dict(library.path => library.reason == 0 && library.id >= 0 for library in found())
    key = is_on() ? session_key() : missing
    return [(package = item.package, path = item.path, bytes = file_size(item.path), built = file_time(item.path),
             usable = item.key == key,
             linked = get(linked, item.path, false)) for item in stored()]
end

"What a library file says of itself, whether this session can use it or not."
struct LibraryFacts
    path::String
    problems::Vector{Pair{Symbol,String}}       # reason => detail
    key::Vector{NTuple{3,String}}               # component, value at build, value here
    packages::Vector{Pair{PkgId,UInt64}}        # those not in the sysimage, with their build ids
    functions::Int
end

function inspect_library(path::AbstractString)
    facts = LibraryFacts(path, [], [], [], 0)
    functions = 0
    for line in split(taken(ccall((:nativecache_inspect, LIBRARY), Ptr{UInt8}, (Cstring,), path)), '\n'; keepempty = false)
        field = fields_of(line)
        if field[1] == "problem"
            push!(facts.problems, reason_name(parse(Int, field[2])) => field[3])
        elseif field[1] == "key"
            push!(facts.key, (field[2], field[3], field[4]))
        elseif field[1] == "package"
            push!(facts.packages, PkgId(UUID(parse(UInt128, field[3]; base = 16)), field[2]) => parse(UInt64, field[4]; base = 16))
        elseif field[1] == "functions"
            functions = parse(Int, field[2])
        end
    end
    for (id, built) in facts.packages
        mod = get(Base.loaded_modules, id, nothing)
        mod === nothing && continue
        now = Base.module_build_id(mod)
        now == built || push!(facts.problems, :PackageBuild =>
            string(id.name, ": built with build id ", hex(built), ", this session has ", hex(now)))
    end
    return LibraryFacts(path, facts.problems, facts.key, facts.packages, functions)
end
