# What the session has: status, libraries. Nothing here is on the load path.

"""
How much of one layer of a package's profile is in use: an item of `Status.layers`.

- `layer`: its name; `requested`, `installed`: how many methods
- `saved`: seconds that compiling the installed ones takes without the cache, as far as that
  was measured
"""
struct LayerStatus
    layer::String
    requested::Int
    installed::Int
    saved::Float64
end

"""
What this session has of a package: returned by [`NativeCache.status`](@ref).

- `package`: the name; `library`: path of the library, or `nothing`
- `requested`, `installed`, `waiting` (for another package), `skipped` and `failed` (when
  the library was built), `rejected` (in this session, or invalidated in it): collections of
  `MethodItem`; every requested method is in exactly one of the other five
- `functions`: how many native functions are installed, those included that nobody asked for
  but that the requested ones call
- `seconds`, `bytes`: spent on linking, and the size of the library
- `message`: why there is nothing, if there is nothing, and `reason` its name, or `nothing`
- `saved`: seconds that compiling the installed methods takes without the cache, as it was
  measured when they were compiled; `NaN` if that is not known
- `built`: when the library was built (Unix time); `layers`: see [`NativeCache.LayerStatus`](@ref)
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
    reason::Union{Nothing,Symbol}
    saved::Float64
    built::Float64
    layers::Vector{LayerStatus}
end

"The status of every package for which this session has, or should have, a library."
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

It shows as a line per package and layer; what is stale, rejected or waiting has a line of
its own with the way to mend it. `NativeCache.json(NativeCache.status())` is for programs.

# Example

    julia> using NativeCache, MyPackage

    julia> NativeCache.status("MyPackage")
    MyPackage: 212 of 240 methods installed
      12 skipped: ...
"""
function status()
    message = session_message()[2]
    items = Status[status_of(library) for library in found()]
    isempty(message) && append!(items, stale(items))
    return StatusList(items, message)
end

function status(package)
    ids = package_ids(package)
    parts = Status[status_of(library) for library in found() if library.package in ids]
    name = join((id.name for id in ids), ", ")
    isempty(parts) && return nothing_of(name, ids)
    length(parts) == 1 && return parts[1]
    gather(field) = reduce(vcat, getfield.(parts, field))
    total(field) = sum(getfield.(parts, field))
    return Status(name, parts[1].library, gather.((:requested, :installed, :waiting, :skipped, :rejected, :failed))...,
        total(:functions), total(:seconds), total(:bytes),
        join(filter(!isempty, getfield.(parts, :message)), "; "), parts[1].reason, sum_known(getfield.(parts, :saved)),
        maximum(getfield.(parts, :built)), gather(:layers))
end

sum_known(values) = (known = filter(!isnan, values); isempty(known) ? NaN : sum(known))

"A package without a library in this session."
function nothing_of(name, ids)
    reason, message = missing_message(ids)
    return Status(name, nothing, (MethodItem[] for _ in 1:6)..., 0, 0.0, 0, message, reason, NaN, NaN, LayerStatus[])
end

"A reason with its text, the detail and what to do."
function told(name::Symbol, detail = ""; with_advice = true)
    text, advice = reason(name)
    return (name, string(text, isempty(detail) ? "" : " ($detail)", with_advice && !isempty(advice) ? "; $advice" : ""))
end

is_on() = isempty(session_message()[2])

"The layers that asked for the methods of a library, and the seconds that the installed ones save in all."
function layers_in_use(ids, items)
    installed = Set(squeezed(item.statement) for (which, item) in items if which == "installed")
    requested = Set(squeezed(item.statement) for (_, item) in items)
    layers, all = LayerStatus[], Dict{String,Float64}()
    for (name, seconds) in profile_layers(ids)
        here = [statement for statement in keys(seconds) if statement in requested]
        used = filter(in(installed), here)
        isempty(here) || push!(layers, LayerStatus(name, length(here), length(used),
            sum_known([seconds[statement] for statement in used])))
        foreach(statement -> isnan(seconds[statement]) || (all[statement] = seconds[statement]), used)
    end
    return layers, isempty(all) ? NaN : sum(values(all))
end

"The layers of a package's profile: name => (statement => seconds that it took to compile, or NaN)."
profile_layers(id::PkgId) = profile_layers([id])
profile_layers(ids::Vector{PkgId}) = Pair{String,Dict{String,Float64}}[layer.name =>
    Dict(squeezed(entry.statement) => entry.milliseconds / 1000 for entry in layer.entries) for layer in layers_of(ids)]

"Texts that differ in white space only are the same signature."
squeezed(text::AbstractString) = filter(!isspace, text)

# ---- libraries in the store ----

"Loaded packages that have libraries in the store, none of which was even looked at."
function stale(items)
    known = Set(name for item in items for name in split(item.package, '+'))
    folders = Set(item.package for item in stored())
    found = Status[]
    for (id, mod) in Base.loaded_modules
        !(id.name in known) && package_folder(id) in folders && push!(found, nothing_of(id.name, [id]))
    end
    return sort!(found; by = item -> item.package)
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
    linked = used_libraries()
    key = is_on() ? session_key() : missing
    return [(package = item.package, path = item.path, bytes = library_size(item.path), built = file_time(item.path),
             usable = item.key == key,
             linked = item.path in linked) for item in stored()]
end

"What a library file says of itself, whether this session can use it or not."
struct LibraryFacts
    path::String
    problems::Vector{Pair{Symbol,String}}       # reason => detail
    key::Vector{NTuple{3,String}}               # component, value at build, value here
    packages::Vector{Pair{PkgId,BuildId}}       # those not in the sysimage, with their build ids
    functions::Int
end

"What a library takes in the store."
library_size(path) = sum(Int[file_size(file) for file in files_of(path)])

# ---- how they show ----

size_text(bytes::Real) = bytes < 1e6 ? string(round(bytes / 1e3; digits = 1), " kB") :
    string(round(bytes / 1e6; digits = 1), " MB")

time_text(seconds::Real) = isnan(seconds) ? "?" : seconds < 1 ? string(round(1e3 * seconds; digits = 1), " ms") :
    string(round(seconds; digits = 1), " s")

function age_text(since::Real)
    isnan(since) && return ""
    seconds = max(0.0, time() - since)
    for (unit, name) in ((86400, "d"), (3600, "h"), (60, "min"))
        seconds >= unit && return string(floor(Int, seconds / unit), " ", name)
    end
    return string(floor(Int, seconds), " s")
end

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
        return show_layers(io, result)
    end
    print(io, ": ", length(result.compiled), " of ", methods_text(length(result.requested)), " compiled in ",
        time_text(result.seconds), ", ", size_text(result.bytes))
    show_reasons(io, ("skipped" => result.skipped, "failed" => result.failed); statements = false)
    show_layers(io, result)
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
    isnan(status.saved) || print(io, ", ", time_text(status.saved), " of compilation saved")
    status.functions > 0 && print(io, "\n  ", status.functions, " native functions, linked in ",
        time_text(status.seconds), " (", round(1e6 * status.seconds / status.functions; digits = 1),
        " µs each), ", size_text(status.bytes), isnan(status.built) ? "" : ", built $(age_text(status.built)) ago")
    isempty(status.message) || print(io, "\n  ", status.message)
    for layer in status.layers
        print(io, "\n  layer ", layer.layer, ": ", layer.installed, " of ", layer.requested,
            isnan(layer.saved) ? "" : ", $(time_text(layer.saved)) saved")
    end
    show_reasons(io, buckets(status); statements = statements)
    statements || print(io, "\n  ", status.library)
    return nothing
end

Base.show(io::IO, ::MIME"text/plain", status::Status) = show_status(io, status; statements = false)

Base.show(io::IO, list::StatusList) = print(io, "StatusList(", length(list), " libraries)")

function Base.show(io::IO, ::MIME"text/plain", list::StatusList)
    isempty(list.message) || return print(io, "NativeCache is not in use: ", list.message)
    isempty(list.items) && return print(io, "NativeCache: no library was found for the packages loaded")
    head = ["package", "layer", "installed", "saved", "linked in", "size", "age", ""]
    rows = Vector{String}[]
    for s in list.items
        layers = length(s.layers) > 1 ? s.layers : LayerStatus[]
        layer = length(s.layers) == 1 ? s.layers[1].layer : isempty(layers) ? "" : "all"
        push!(rows, [s.package, layer, string(length(s.installed), " of ", length(s.requested)),
            isnan(s.saved) ? "" : time_text(s.saved), s.library === nothing ? "" : time_text(s.seconds),
            s.library === nothing ? "" : size_text(s.bytes), age_text(s.built), mark(s)])
        for one in layers
            push!(rows, ["", one.layer, string(one.installed, " of ", one.requested),
                isnan(one.saved) ? "" : time_text(one.saved), "", "", "", ""])
        end
    end
    print_table(io, head, rows)
    for s in list.items, line in mends(s)
        print(io, "\n")
        printstyled(io, s.package, ": "; color = :yellow)
        print(io, line)
    end
end

"What is not as it should be, in a word or two."
function mark(s::Status)
    s.library === nothing && return s.reason === :KeyDiffers ? "for other sessions" : "stale"
    s.reason === nothing || return "rejected"
    words = String[]
    isempty(s.waiting) || push!(words, string(length(s.waiting), " waiting"))
    gone = count(item -> item.reason === :Invalidated, s.rejected)
    gone == 0 || push!(words, string(gone, " invalidated"))
    length(s.rejected) == gone || push!(words, string(length(s.rejected) - gone, " rejected"))
    isempty(s.failed) || push!(words, string(length(s.failed), " failed"))
    return join(words, ", ")
end

"A line for each thing that is marked: what it is and how to mend it."
function mends(s::Status)
    s.library === nothing && return [s.message]
    if s.reason !== nothing
        return [told(s.reason, s.message)[2]]
    end
    lines = String[]
    for (bucket, items) in ("waiting" => s.waiting, "rejected" => s.rejected, "failed" => s.failed)
        for why in unique(item.reason for item in items)
            why === nothing && continue
            of = [item for item in items if item.reason === why]
            details = unique(item.detail for item in of if why === :PackageMissing && !isempty(item.detail))
            push!(lines, string(length(of), " ", why === :Invalidated ? "invalidated" : bucket, ": ",
                told(why, join(details, ", "))[2]))
        end
    end
    return lines
end

"Columns padded to their widest, the first left, the others right; the last, a remark, left."
function print_table(io::IO, head::Vector{String}, rows; left = (1, 2, length(head)))
    widths = [maximum(textwidth(row[i]) for row in [[head]; rows]) for i in eachindex(head)]
    for (number, row) in enumerate([[head]; rows])
        number > 1 && println(io)
        cells = [i in left ? rpad(row[i], widths[i]) : lpad(row[i], widths[i]) for i in eachindex(row)]
        text = rstrip(join(cells, "  "))
        number == 1 ? printstyled(io, text; bold = true) : print(io, text)
    end
end
