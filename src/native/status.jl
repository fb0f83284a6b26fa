# What a session of Julia 1.5 has: the libraries that libnativecache found and linked. status.jl shows it.

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
    for line in split(found_lines(), '\n'; keepempty = false)
        field = fields_of(line)
        number(i) = parse(Int, field[i])
        uuid = UUID(parse(UInt128, field[3]; base = 16))
        push!(list, Found(number(1), PkgId(uuid, field[2]), field[4], number(11), number(13),
            parse(Float64, field[14]), number(15), field[16]))
    end
    return list
end

"Paths of the libraries that this session uses."
used_libraries() = Set(library.path for library in found() if library.reason == 0 && library.id >= 0)

"Paths of all that it has looked at."
found_paths() = [library.path for library in found()]

"The files that a library consists of."
files_of(path::AbstractString) = [String(path)]

"Names the store's folder for sessions like this one."
session_key() = hex(key_hash())

"Why nothing is linked in this session, as (reason, words); (nothing, \"\") if it is on."
function session_message()
    state = library_function(:nativecache_state)
    state isa String && return (nothing, "$state: $NOT_BUILT")
    words = fields_of(taken(ccall(state, Ptr{UInt8}, ())))
    words[1] == "on" && return (nothing, "")
    words[1] == "off" && return told(reason_name(parse(Int, words[2])))
    words[1] == "failed" && return told(:StartFailed, words[2])
    return told(:NotStarted)
end

function status_of(library::Found)
    items = library.id >= 0 ?
        parse_entries(entry_lines(library.id)) :
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
peek(path::AbstractString) = parse_entries(peek_lines(path))

function inspect_library(path::AbstractString)
    facts = LibraryFacts(path, [], [], [], 0)
    functions = 0
    for line in split(inspection_lines(path), '\n'; keepempty = false)
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
