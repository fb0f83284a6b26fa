# Staying fresh: finds libraries that are out of date, removes those that no session can load any more, and
# builds again. rust/session/src/auto.rs has what a session does by itself; background.jl builds for it.

built_file(ids) = joinpath(profiles_root(writable_depot()), profile_folder(ids), "built")

"A hash that changes when a method is added or removed."
content_hash(texts::Vector{String}) = hex(foldl((seed, text) -> hash(text, seed), texts; init = UInt64(0)))

# How many kinds of sessions may have a line in `built`. The oldest lines are removed first.
const MANY_KEYS = 100

"""
Record from what a library was built, for `stale`: a line with the key, the library, the hash of the profile
and, if there is no library, the reason. `failed-<key>-<build id>` tells sessions not to try this build of the
package again.
"""
function note_built(ids::Vector{PkgId}, library::String, message::String)
    file = built_file(ids)
    isdir(dirname(file)) || return nothing
    key = isempty(library) ? session_key() : basename(dirname(dirname(library)))
    build = current_build_id(ids[1])
    failed = string("failed-", key, '-', build === nothing ? "none" : hex(build))
    name = isempty(library) ? "none" : basename(library)
    line = join((key, name, content_hash(statements(layers_of(ids))), escape_field(message)), '\t')
    # Locked, so that builds for other flags that end at the same time keep their lines.
    locked(joinpath(dirname(file), "lock")) do
        kept = isfile(file) ? filter(line -> !startswith(line, key), readlines(file)) : String[]
        length(kept) > MANY_KEYS && deleteat!(kept, 1:length(kept)-MANY_KEYS)
        write_whole(file, string(join([kept; line], '\n'), '\n'))
        for other in readdir(dirname(file))
            startswith(other, "failed-$key") && rm(joinpath(dirname(file), other); force = true)
        end
        isempty(library) && write_whole(joinpath(dirname(file), failed), "")
    end
    return nothing
end

"Why no library for these packages is up to date; empty if one is."
function staleness(ids::Vector{PkgId}, key::String = session_key())
    texts = statements(layers_of(ids))
    isempty(texts) && return ""
    builds = Pair{PkgId,BuildId}[]
    for id in ids
        build = current_build_id(id)
        build === nothing && return "$(id.name) has to be precompiled again"
        push!(builds, id => build)
    end
    name = library_name(builds)
    here(depot) = isfile(joinpath(depot, STORE, key, package_folder(ids[1]), name))
    any(here, DEPOT_PATH) || return "there is no library for this build of $(ids[1].name)"
    file = built_file(ids)
    isfile(file) || return "there is no record of what the library was built from"
    for line in eachline(file)
        fields = fields_of(line)
        length(fields) >= 3 && fields[1] == key && fields[2] == name || continue
        return fields[3] == content_hash(texts) ? "" : "the profile has changed since the library was built"
    end
    return "there is no record of what the library was built from"
end

"""
    NativeCache.stale() -> Vector

The packages that have a profile, but no up-to-date library for sessions like this one: pairs of their
`PkgId`s and the reason.

# Example

    julia> NativeCache.stale()
    1-element Array{Pair{Array{Base.PkgId,1},String},1}:
     [MyPackage [...]] => "there is no library for this build of MyPackage"
"""
function stale()
    found = Pair{Vector{PkgId},String}[]
    for ids in profiled()
        all(id -> Base.locate_package(id) !== nothing, ids) || continue
        why = staleness(ids)
        isempty(why) || push!(found, ids => why)
    end
    return found
end

"""
    NativeCache.update!(; quiet, linker, timeout, keep) -> BuildResults

Build every library again that is out of date (see [`NativeCache.stale`](@ref)), from all layers of its
package's profile. Remove libraries that no session can load any more. There are as many builds at a time as
there are cores, at most eight, and no more than there are GB of free memory.

# Example

    julia> NativeCache.update!()
    MyPackage: 212 of 240 methods compiled in 14.2 s, 1.9 MB
    ...
"""
function update!(; quiet::Bool = false, linker = nothing, timeout = nothing, keep = nothing)
    options = Options(linker = linker, timeout = timeout, keep = keep, quiet = quiet)
    sets = Vector{PkgId}[ids for (ids, _) in stale()]
    return BuildResults(build_sets(set -> build_set(set, nothing, nothing, Source[], beside(options, length(sets))), sets), PkgId[])
end

"""
What background.jl runs: builds a library for these packages, and for each larger set that contains them and is out of date
as well, since a library is valid for one build of each of its packages. Returns whether all builds succeeded.
"""
function build_in_background(ids::Vector{PkgId})
    script = VERSION < v"1.6" && any(id -> startswith(id.name, SCRIPT_PREFIX), ids)
    script && return build_script_unattended(ids)
    good = build_unattended(ids)
    for set in profiled()
        length(set) > length(ids) && issubset(ids, set) || continue
        # If a package of the set has to be precompiled first, the set is built when that package is loaded.
        all(id -> current_build_id(id) !== nothing, set) && !isempty(staleness(set)) && (good &= build_unattended(set))
    end
    return good
end

"Build a library and print the result."
function build_unattended(ids::Vector{PkgId})
    own = Source[]
    options = Options(linker = nothing, timeout = nothing, keep = nothing, quiet = true)
    result = try
        foreach(id -> append!(own, own_statements(id, options)), ids)
        build_set(ids, nothing, nothing, own, options)
    catch err
        err isa InterruptException && rethrow()
        println(join((id.name for id in ids), " + "), ": ", sprint(showerror, err))     # and go on with the next set
        return false
    end
    if result === nothing
        println("nothing to compile, since there is no profile: ", join((id.name for id in ids), " + "))
        return true
    end
    show(stdout, MIME("text/plain"), result)
    println()
    return result.library !== nothing
end
