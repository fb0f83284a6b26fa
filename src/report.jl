# What the session has and why: status, libraries, explain. Nothing here is on the load path.

# ---- reasons ----

"The entry of rust/image's table of reasons for a code: (name, text, advice)."
function reason_entry(code::Integer)
    plain = (Symbol("Reason", code), string("reason ", code), "")
    handle = Libdl.dlopen(LIBRARY; throw_error = false)
    handle === nothing && return plain
    address = Libdl.dlsym(handle, :nativecache_reason; throw_error = false)
    address === nothing && return plain
    fields = split(taken(ccall(address, Ptr{UInt8}, (Int32,), code)), '\t')
    return length(fields) == 3 ? (Symbol(fields[1]), String(fields[2]), String(fields[3])) : plain
end

# Names that have been met, with their texts. BuildFailed is a whole build's, not a method's, so not in that table.
const REASONS = IdDict()

const BUILD_FAILED = ("the build as a whole failed", "see the detail, then build again")

function reason_name(code::Integer)
    name, text, advice = reason_entry(code)
    isempty(text) || (REASONS[name] = (text, advice))
    return name
end

"""
    NativeCache.reason(name::Symbol) -> (text, advice)

What a reason means and what can be done about it.

# Example

    julia> NativeCache.reason(:ModuleSet)
    ("the packages loaded are not a set under which the library was built", "build the library ...")
"""
function reason(name::Symbol)
    name === :BuildFailed && return BUILD_FAILED
    haskey(REASONS, name) || foreach(reason_name, [100:199; 200:299; 300:399])
    return get(REASONS, name, (string(name), ""))::NTuple{2,String}
end

# ---- status ----

"""
What this session has of a package: returned by [`NativeCache.status`](@ref).

- `package`: the name; `library`: path of the library, or `nothing`
- `requested`, `installed`, `waiting` (for another package), `skipped` and `failed` (when
  the library was built), `rejected` (in this session): collections of `MethodItem`;
  every requested method is in exactly one of the other five
- `functions`: how many native functions are installed, those included that nobody asked for
  but that the requested ones call
- `seconds`, `bytes`: spent on linking, and the size of the library
- `message`: why there is nothing, if there is nothing
"""
struct Status
    package::String
    library::Union{Nothing,String}
    requested::Vector{MethodItem}
    installed::Vector{MethodItem}
    waiting::Vector{MethodItem}
    skipped::Vector{MethodItem}
    rejected::Vector{MethodItem}
    failed::Vector{MethodItem}
    functions::Int
    seconds::Float64
    bytes::Int
    message::String
end

"The status of every library that the session has found."
struct StatusList <: AbstractVector{Status}
    items::Vector{Status}
    message::String
end

Base.size(list::StatusList) = size(list.items)
Base.getindex(list::StatusList, i::Int) = list.items[i]

"""
    NativeCache.status() -> StatusList
    NativeCache.status(package) -> Status

What is installed in this session, of all packages or of one (a name, a module or a
`PkgId`): see [`NativeCache.Status`](@ref). [`NativeCache.explain`](@ref) says more.

# Example

    julia> using NativeCache, MyPackage

    julia> NativeCache.status("MyPackage")
    MyPackage: 212 of 240 methods installed
      12 skipped: ...
"""
status() = StatusList(Status[status_of(library) for library in found()], session_message())

function status(package)
    ids = package_ids(package)
    parts = Status[status_of(library) for library in found() if library.package in ids]
    name = join((id.name for id in ids), ", ")
    isempty(parts) && return Status(name, nothing, MethodItem[], MethodItem[], MethodItem[], MethodItem[],
        MethodItem[], MethodItem[], 0, 0.0, 0, missing_message(ids))
    length(parts) == 1 && return parts[1]
    gather(field) = reduce(vcat, getfield.(parts, field))
    return Status(name, parts[1].library, gather.((:requested, :installed, :waiting, :skipped, :rejected, :failed))...,
        sum(getfield.(parts, :functions)), sum(getfield.(parts, :seconds)), sum(getfield.(parts, :bytes)),
        join(filter(!isempty, getfield.(parts, :message)), "; "))
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
        field = unescape_field.(split(line, '\t'))
        number(i) = parse(Int, field[i])
        uuid = UUID(parse(UInt128, field[3]; base = 16))
        push!(list, Found(number(1), PkgId(uuid, field[2]), field[4], number(11), number(13),
            parse(Float64, field[14]), number(15), field[16]))
    end
    return list
end

"The string that libnativecache gave away."
function taken(text::Ptr{UInt8})
    text == C_NULL && return ""
    copy = unsafe_string(text)
    ccall((:nativecache_free, LIBRARY), Cvoid, (Ptr{UInt8},), text)
    return copy
end

last_error() = taken(ccall((:nativecache_last_error, LIBRARY), Ptr{UInt8}, ()))

"Names the store's folder for sessions like this one."
session_key() = hex(ccall((:nativecache_key_hash, LIBRARY), UInt64, ()))

"Why nothing is linked in this session; empty if it is on."
function session_message()
    build = "run Pkg.build(\"NativeCache\") or deps/build.jl"
    handle = Libdl.dlopen(LIBRARY; throw_error = false)
    handle === nothing && return "libnativecache is not built: $build"
    state = Libdl.dlsym(handle, :nativecache_state; throw_error = false)
    state === nothing && return "libnativecache was built from another version of NativeCache: $build"
    words = split(taken(ccall(state, Ptr{UInt8}, ())), '\t')
    words[1] == "on" && return ""
    words[1] == "off" && return reason_entry(parse(Int, words[2]))[2]
    words[1] == "failed" && return unescape_field(words[2])
    return "NativeCache was not started in this process"
end

is_on() = isempty(session_message())

function missing_message(ids)
    is_on() || return session_message()
    for id in ids
        haskey(Base.loaded_modules, id) || return string(id.name, " is not loaded")
    end
    id = ids[1]
    build = hex(Base.module_build_id(Base.loaded_modules[id]))
    others = [item for item in stored() if item.package == package_folder(id)]
    isempty(others) && return string("there is no library; NativeCache.build(\"", id.name, "\"; statements = ...) makes one")
    key = session_key()
    any(item -> item.key == key && startswith(basename(item.path), build), others) &&
        return "the library was built after the package was loaded here: start a new session"
    any(item -> item.key == key, others) &&
        return string(reason(:PackageBuild)[1], ": ", reason(:PackageBuild)[2])
    return string(reason(:KeyDiffers)[1], ": ", reason(:KeyDiffers)[2])
end

function status_of(library::Found)
    items = library.id >= 0 ?
        parse_entries(taken(ccall((:nativecache_entries, LIBRARY), Ptr{UInt8}, (Int64,), library.id))) :
        rejected_whole(library)
    bucket(name) = MethodItem[item for (which, item) in items if which == name]
    return Status(library.package.name, library.path, MethodItem[MethodItem(item.statement) for (_, item) in items],
        bucket("installed"), bucket("waiting"), bucket("skipped"), bucket("rejected"), bucket("failed"),
        library.functions, library.seconds, library.bytes, library.message)
end

"The methods of a library that was not linked, as far as its tables can be read."
function rejected_whole(library::Found)
    counts = zeros(UInt64, 8)
    text = taken(ccall((:nativecache_peek, LIBRARY), Ptr{UInt8}, (Cstring, Ptr{UInt64}), library.path, counts))
    why = library.reason > 0 ? reason_name(library.reason) : nothing
    # A method that is not in the library has its own reason; the others share the library's.
    return Pair{String,MethodItem}[which == "compiled" ?
        "rejected" => MethodItem(item.statement, why, library.message) : which => item
        for (which, item) in parse_entries(text)]
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
    return [(package = item.package, path = item.path, bytes = Int(filesize(item.path)), built = mtime(item.path),
             usable = item.key == key,
             linked = get(linked, item.path, false)) for item in stored()]
end

"Every method that is not installed, with its reason: returned by [`NativeCache.explain`](@ref)."
struct Explanation
    status::Status
end

"""
    NativeCache.explain(package) -> Explanation

Every requested method of a package that is not installed in this session, why, and what can
be done about it.

# Example

    julia> NativeCache.explain("MyPackage")
    MyPackage: 238 of 240 methods installed
      2 skipped, NamesMain: it names things of Main, which no other session has
        (move the type or function into a package)
          Tuple{typeof(Main.f), Int64}
"""
explain(package) = Explanation(status(package))

# ---- how they show ----

size_text(bytes::Real) = bytes < 1e6 ? string(round(bytes / 1e3; digits = 1), " kB") :
    string(round(bytes / 1e6; digits = 1), " MB")

time_text(seconds::Real) = seconds < 1 ? string(round(1e3 * seconds; digits = 1), " ms") :
    string(round(seconds; digits = 1), " s")

methods_text(n::Integer) = n == 1 ? "1 method" : string(n, " methods")

"Lines `count bucket, reason: text` for the methods that are not in use, most first."
function show_reasons(io::IO, buckets; statements::Bool)
    for (bucket, items) in buckets
        groups = Dict{Any,Vector{MethodItem}}()
        for item in items
            push!(get!(Vector{MethodItem}, groups, item.reason), item)
        end
        for why in sort!(collect(keys(groups)); by = why -> (-length(groups[why]), string(why)))
            group = groups[why]
            print(io, "\n  ", length(group), " ", bucket)
            why === nothing && continue
            text, advice = reason(why)
            print(io, ", ")
            printstyled(io, why; bold = true)
            print(io, ": ", text)
            statements || continue
            isempty(advice) || print(io, "\n    (", advice, ")")
            for item in group
                print(io, "\n      ", item.statement)
                isempty(item.detail) || print(io, "\n        ", item.detail)
            end
        end
    end
end

function Base.show(io::IO, item::MethodItem)
    print(io, item.statement)
    item.reason === nothing || print(io, " (", item.reason, isempty(item.detail) ? "" : ": ", item.detail, ")")
end

Base.show(io::IO, result::BuildResult) =
    print(io, "BuildResult(", result.package, ": ", length(result.compiled), " of ", length(result.requested), " compiled)")

function Base.show(io::IO, ::MIME"text/plain", result::BuildResult)
    printstyled(io, result.package; bold = true)
    if result.library === nothing
        print(io, ": no library after ", time_text(result.seconds))
        print(io, "\n  ", result.message)
        return nothing
    end
    print(io, ": ", length(result.compiled), " of ", methods_text(length(result.requested)), " compiled in ",
        time_text(result.seconds), ", ", size_text(result.bytes))
    show_reasons(io, ("skipped" => result.skipped, "failed" => result.failed); statements = false)
    print(io, "\n  ", result.library)
end

Base.show(io::IO, status::Status) =
    print(io, "Status(", status.package, ": ", length(status.installed), " of ", length(status.requested), " installed)")

buckets(status::Status) = ("waiting" => status.waiting, "rejected" => status.rejected,
    "skipped" => status.skipped, "failed" => status.failed)

function show_status(io::IO, status::Status; statements::Bool)
    printstyled(io, status.package; bold = true)
    status.library === nothing && return print(io, ": ", status.message)
    print(io, ": ", length(status.installed), " of ", methods_text(length(status.requested)), " installed")
    status.functions > 0 && print(io, ", ", status.functions, " native functions, linked in ",
        time_text(status.seconds), " (", round(1e6 * status.seconds / status.functions; digits = 1),
        " µs each), ", size_text(status.bytes))
    isempty(status.message) || print(io, "\n  ", status.message)
    show_reasons(io, buckets(status); statements = statements)
    statements || print(io, "\n  ", status.library)
    return nothing
end

Base.show(io::IO, ::MIME"text/plain", status::Status) = show_status(io, status; statements = false)
Base.show(io::IO, ::MIME"text/plain", explanation::Explanation) =
    show_status(io, explanation.status; statements = true)

Base.show(io::IO, list::StatusList) = print(io, "StatusList(", length(list), " libraries)")

function Base.show(io::IO, ::MIME"text/plain", list::StatusList)
    isempty(list.message) || return print(io, "NativeCache is not in use: ", list.message)
    isempty(list.items) && return print(io, "NativeCache: no library was found for the packages loaded")
    head = ["package", "requested", "installed", "waiting", "skipped", "rejected", "failed", "linked in", "size"]
    rows = [[s.package, string.(length.((s.requested, s.installed, s.waiting, s.skipped, s.rejected, s.failed)))...,
             time_text(s.seconds), size_text(s.bytes)] for s in list.items]
    print_table(io, head, rows)
end

"Columns padded to their widest, the first left, the others right."
function print_table(io::IO, head::Vector{String}, rows)
    widths = [maximum(textwidth(row[i]) for row in [[head]; rows]) for i in eachindex(head)]
    for (number, row) in enumerate([[head]; rows])
        number > 1 && println(io)
        cells = [i == 1 ? rpad(row[i], widths[i]) : lpad(row[i], widths[i]) for i in eachindex(row)]
        number == 1 ? printstyled(io, join(cells, "  "); bold = true) : print(io, join(cells, "  "))
    end
end
