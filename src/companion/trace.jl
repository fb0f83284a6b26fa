# Puts what this session has compiled into the profiles, at its end or when `trace!` is called. libnativecache walks the live
# code instances; this file decides to which packages they belong.

"Called at the end of the session. Never prints or throws."
function ended()
    try
        SESSION.on && session_setting("trace") || return nothing
        learnt = Vector{PkgId}[]
        trace_session(learnt)
        build_learnt(learnt)
    catch
        # The trace of this session is lost.
    end
    return nothing
end

"A package that is not in the sysimage, with the packages that it loads."
struct Member
    id::PkgId
    loads::Set{PkgId}
end

"""
The packages of a session in the order in which the user loaded them. For packages that were loaded before NativeCache this
order is unknown: those that projects in the load path name count.
"""
function asked_for(packages::Vector{PkgId})
    packages = filter(!is_extension, packages)
    asked = filter(in(packages), SESSION.asked)
    named = filter(id -> id in SESSION.present && is_direct(id), packages)
    found = unique!([asked; sort!(named; by = package_folder)])
    return isempty(found) ? packages : found
end

"Is the package a direct dependency of a project in the load path, other than NativeCache's own?"
function is_direct(id::PkgId)
    own = joinpath(dirname(SOURCES), "Project.toml")
    for environment in Base.load_path()
        project = Base.env_project_file(environment)
        project isa String && project != own || continue
        entry = get(get(Base.parsed_toml(project), "deps", Dict{String,Any}()), id.name, nothing)
        entry isa String && entry == string(id.uuid) && return true
    end
    return false
end

"The packages that a package loads, from its cache file."
function loads(id::PkgId)
    origin = get(Base.pkgorigins, id, nothing)
    origin === nothing && return Set{PkgId}()
    path = origin.cachepath
    path isa String || return Set{PkgId}()
    required = try
        open(io -> (Base.isvalid_cache_header(io) == 0 ? Pair{PkgId,UInt128}[] : cache_header(io, path)[3]), path)
    catch
        return Set{PkgId}()
    end
    return Set{PkgId}(first.(required))
end

"""
The packages, of those that the user loaded, that together load what an entry needs: a single package if there is one.
`members` are the packages that the user loaded, in order.
"""
function place_of(needed::Vector{PkgId}, members::Vector{Member})
    isempty(needed) && return isempty(members) ? PkgId[] : [members[end].id]
    for member in members
        all(id -> id == member.id || id in member.loads, needed) && return [member.id]
    end
    left, chosen = Set(needed), PkgId[]
    for member in members
        brings = filter(id -> id == member.id || id in member.loads, left)
        isempty(brings) && continue
        push!(chosen, member.id)
        setdiff!(left, brings)
    end
    # If none of them loads it, another package did, for example because it is an extension that they trigger.
    isempty(chosen) && !isempty(members) && push!(chosen, members[1].id)
    return sort!(chosen; by = package_folder)
end

# The origin of a module, with the numbers of rust/companion/src/trace.rs.
const EVERYWHERE, NOWHERE, OURS = Int32(-1), Int32(-2), Int32(-3)

"Is the package a companion, or NativeCache?"
is_ours(id::PkgId) = id == Base.PkgId(@__MODULE__) || startswith(id.name, "NativeCache_")

function trace_text()
    send_layout()
    packages = PkgId[]
    modules, homes = Any[Core, Base, Main], Int32[EVERYWHERE, EVERYWHERE, NOWHERE]
    for (id, mod) in Base.loaded_modules
        mod in (Core, Base, Main) && continue
        push!(modules, mod)
        if is_ours(id)
            push!(homes, OURS)
        elseif in_sysimage(id)
            push!(homes, EVERYWHERE)
        elseif Base.module_build_id(mod) == 0
            push!(homes, NOWHERE)
        else
            push!(packages, id)
            push!(homes, Int32(length(packages) - 1))
        end
    end
    text = taken(ccall((:nativecache_trace_session, LIBRARY), Ptr{UInt8}, (Any, Ptr{Int32}), modules, homes))
    isempty(text) && error(last_error())
    return packages, text
end

in_sysimage(id::PkgId) = Base.in_sysimage(id)

"Parse the result of libnativecache: numbers by name, and each statement with the packages that it needs."
function parse_found(text::String, packages::Vector{PkgId})
    numbers = Dict{String,String}()
    entries = Pair{String,Vector{PkgId}}[]
    extension = extensions(packages)
    for line in eachline(IOBuffer(text))
        words = split(line, '\t')
        if words[1] == "entry"
            needed = PkgId[packages[parse(Int, word) + 1] for word in split(words[3])]
            whole = unique!(reduce(vcat, (get(extension, id, [id]) for id in needed); init = PkgId[]))
            push!(entries, unescape_field(words[2]) => whole)
        else
            numbers[words[1]] = words[2]
        end
    end
    return numbers, entries
end

"The statements, grouped by the packages for whose companion they are."
function placed(entries, members::Vector{Member})
    groups = Dict{Vector{PkgId},Vector{String}}()
    for (statement, needed) in entries
        place = place_of(needed, members)
        isempty(place) || push!(get!(Vector{String}, groups, place), statement)
    end
    return groups
end

"Trace the session and merge the result into the layer `trace` of the profiles. Sets of packages whose profile grows are pushed onto `learnt`."
function trace_session(learnt = Vector{PkgId}[])
    started = time_ns()
    packages, text = trace_text()
    numbers, entries = parse_found(text, packages)
    groups = placed(entries, Member[Member(id, loads(id)) for id in asked_for(packages)])
    # Statements of loaded companions count as needed: without the companion, the session might have compiled them.
    for found in SESSION.found
        found.state === :loaded || continue
        place = sort!(first.(found.companion.packages); by = package_folder)
        known = Set(get!(Vector{String}, groups, place))
        for (outcome, statement, _) in account(found.companion)
            outcome in ("compiled", "AlreadyNative") && !(statement in known) && push!(groups[place], statement)
        end
    end
    profiles = Pair{String,Tuple{Int,Int}}[]
    for place in sort!(collect(keys(groups)); by = profile_folder)
        isempty(groups[place]) && continue
        written = add_to_layer(place, "trace", profile_text(place, "trace", "sessions", groups[place]))
        push!(profiles, join((id.name for id in place), '+') => written)
        written[2] > 0 && push!(learnt, place)
    end
    number(name) = parse(Int, get(numbers, name, "0"))
    return Trace(number("looked"), number("compiled"), 0, length(entries), number("nowhere"), String[], profiles,
        (time_ns() - started) / 1e9)
end

"""
Write what this process has compiled into profiles below `folder`, for the package `focus` (name and uuid without dashes,
separated by a tab). Statements that need only this package and packages that it loads belong to it, the others to other
packages. Statements in `without` are left out; statements in `also` are added to the package.
"""
function trace_into(folder::String, layer::String, focus::String, from::String; without = Set{String}(), also = String[])
    name, uuid = split(focus, '\t')
    packages, text = trace_text()
    at = findfirst(id -> id.name == name && (isempty(uuid) || replace(string(id.uuid), '-' => "") == uuid), packages)
    at === nothing && return "package $name was not loaded"
    id = packages[at]
    _, entries = parse_found(text, packages)
    filter!(entry -> !(entry.first in without || entry.first in also), entries)
    foreach(statement -> push!(entries, statement => [id]), also)
    members = Member[Member(other, loads(other)) for other in unique!([id; asked_for(packages)])]
    for (place, statements) in placed(entries, members)
        path = joinpath(folder, profile_folder(place))
        taken(ccall((:nativecache_profile_update, LIBRARY), Ptr{UInt8}, (Cstring, Cstring, Cstring, Int32, UInt32, UInt32),
            path, layer, profile_text(place, layer, from, statements), REPLACE, 0, 0))
    end
    return ""
end

"For each loaded extension, the packages that trigger it."
function extensions(packages::Vector{PkgId})
    found = Dict{PkgId,Vector{PkgId}}()
    for (id, parents) in Base.EXT_PRIMED
        id in packages && (found[id] = brought_by(id, parents))
    end
    return found
end

"Merge a profile into a layer. Returns how many methods the layer then has, and how many of them are new."
function add_to_layer(ids::Vector{PkgId}, name::String, text::String; mode::Int = ADD)
    folder = joinpath(profiles_root(writable_depot()), profile_folder(ids))
    limits = (methods = session_setting("methods")::Int, sessions = session_setting("fade")::Int)
    answer = taken(ccall((:nativecache_profile_update, LIBRARY), Ptr{UInt8},
        (Cstring, Cstring, Cstring, Int32, UInt32, UInt32), folder, name, text, mode, limits.methods, limits.sessions))
    isempty(answer) && error(last_error())
    methods, new = split(answer, '\t')
    return parse(Int, methods), parse(Int, new)
end
