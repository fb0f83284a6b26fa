# Which build of a package a session of Julia 1.5 would load, and removing the libraries of other builds.

"The build id of the .ji that a session like this one would load; `nothing` if it has to precompile."
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
            err isa InterruptException && rethrow()     # a file that cannot be read is as good as none
        end
    end
    return nothing
end

"""
Remove the libraries of a package whose build of it is in no .ji file any more: no session can load them
again. A session that has one mapped keeps it.
"""
function retire(id::PkgId)
    builds = Set{String}()
    for path in Base.find_all_in_cache_path(id)
        found = try
            Base.parse_cache_header(path)[1]
        catch
            return nothing      # one that cannot be read may be any of them
        end
        for (other, build) in found
            other == id && push!(builds, hex(build))
        end
    end
    haskey(Base.loaded_modules, id) && push!(builds, hex(Base.module_build_id(Base.loaded_modules[id])))
    for item in stored()
        item.package == package_folder(id) || continue
        name = basename(item.path)
        # One for several packages is as dead as the first of them that was precompiled again.
        dead = !(SubString(name, 1, 16) in builds) ||
            occursin('+', name) && !all(package -> has_build_id(package...), inspect_library(item.path).packages)
        dead || continue
        try
            rm(item.path; force = true)
        catch err
            err isa Base.IOError || rethrow()      # of a depot that cannot be written to
        end
    end
    return nothing
end
