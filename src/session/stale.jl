# Staying fresh: which libraries are not up to date, retiring those that nothing can load any more, and
# building again. What a session does by itself is in rust/session/src/auto.rs; background.jl builds for it.

built_file(ids) = joinpath(profiles_root(writable_depot()), profile_folder(ids), "built")

"Changes when a method comes or goes."
content_hash(texts::Vector{String}) = hex(foldl((seed, text) -> hash(text, seed), texts; init = UInt64(0)))

# Kinds of sessions, each with a line in `built`; those of older versions of Julia and NativeCache go first.
const MANY_KEYS = 100

"""
Note what a library was made of, for `stale`: lines of key, library, hash of the profile and, if there is
no library, why. `failed-<key>-<build id>` tells sessions not to try this build of the package again.
"""
function note_built(ids::Vector{PkgId}, library::String, message::String)
    file = built_file(ids)
    isdir(dirname(file)) || return nothing
    key = isempty(library) ? session_key() : basename(dirname(dirname(library)))
    build = current_build_id(ids[1])
    failed = string("failed-", key, '-', build === nothing ? "none" : hex(build))
    name = isempty(library) ? "none" : basename(library)
    line = join((key, name, content_hash(statements(layers_of(ids))), escape_field(message)), '\t')
    # So that builds for other flags that end at once keep their lines.
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

"Why there is no library up to date for these packages; empty if there is one."
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
    isfile(file) || return "it is not known what the library was made of"
    for line in eachline(file)
        fields = fields_of(line)
        length(fields) >= 3 && fields[1] == key && fields[2] == name || continue
        return fields[3] == content_hash(texts) ? "" : "the profile has changed since the library was built"
    end
    return "it is not known what the library was made of"
end

"""
    NativeCache.stale() -> Vector

Packages with a profile and without a library that is up to date in sessions like this one: pairs of
their `PkgId`s and why.

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

Build every library again that is not up to date (see [`NativeCache.stale`](@ref)), from all layers of its
package's profile, and remove libraries that no session can load any more. As many builds run at a time as there are
cores, at most eight and no more than have a GB of memory each.

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
What background.jl runs: a library for these packages, and one for each set that has them in it and is not up to date
either, since it holds for one build of each of its packages. Is all there?
"""
function build_in_background(ids::Vector{PkgId})
    good = build_unattended(ids)
    for set in profiled()
        length(set) > length(ids) && issubset(ids, set) || continue
        # One that has to wait for a package to be precompiled is built when that is loaded.
        all(id -> current_build_id(id) !== nothing, set) && !isempty(staleness(set)) && (good &= build_unattended(set))
    end
    return good
end

"A library; what comes of it is printed."
function build_unattended(ids::Vector{PkgId})
    own = Source[]
    options = Options(linker = nothing, timeout = nothing, keep = nothing, quiet = true)
    result = try
        foreach(id -> append!(own, own_statements(id, options)), ids)
        build_set(ids, nothing, nothing, own, options)
    catch err
        err isa InterruptException && rethrow()
        println(join((id.name for id in ids), " + "), ": ", sprint(showerror, err))     # the next set is tried all the same
        return false
    end
    if result === nothing
        println("nothing is known to be needed of ", join((id.name for id in ids), " + "))
        return true
    end
    show(stdout, MIME("text/plain"), result)
    println()
    return result.library !== nothing
end
