# Finds the build of a package that a session of Julia 1.5 would load, and removes libraries of other builds.

"The build id of the .ji file that a session like this one would load; `nothing` if it has to precompile."
function current_build_id(id::PkgId)
    haskey(Base.loaded_modules, id) && return Base.module_build_id(Base.loaded_modules[id])
    source = Base.locate_package(id)
    source === nothing && return nothing
    for path in Base.find_all_in_cache_path(id)
        try
            Base.stale_cachefile(source, path) === true && continue
            for (found, build) in Base.parse_cache_header(path)[1]
                found == id && return build
            end
        catch err
            err isa InterruptException && rethrow()     # a file that cannot be read is ignored
        end
    end
    return nothing
end

"""
Remove the libraries for builds of a package that are in no .ji file any more: no session can load them
again. A session that has one mapped keeps it.
"""
function retire(id::PkgId)
    builds = Set{String}()
    for path in Base.find_all_in_cache_path(id)
        found = try
            Base.parse_cache_header(path)[1]
        catch
            return nothing      # a file that cannot be read may hold any build
        end
        for (other, build) in found
            other == id && push!(builds, hex(build))
        end
    end
    haskey(Base.loaded_modules, id) && push!(builds, hex(Base.module_build_id(Base.loaded_modules[id])))
    for item in stored()
        item.package == package_folder(id) || continue
        name = basename(item.path)
        # A library for several packages is dead as soon as one of them is recompiled.
        dead = !(SubString(name, 1, 16) in builds) ||
            occursin('+', name) && !all(package -> has_build_id(package...), inspect_library(item.path).packages)
        dead || continue
        try
            rm(item.path; force = true)
        catch err
            err isa Base.IOError || rethrow()      # the depot cannot be written to
        end
    end
    return nothing
end
