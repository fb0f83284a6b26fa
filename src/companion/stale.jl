# Which build of a package a session would load, and removing the companions of other builds.

hex(number::UInt128) = hex128(number)

"The file name of the companion for these packages, the first being the one that it lies with."
function library_name(builds::Vector{Pair{PkgId,UInt128}})
    numbers = String[hex128(build) for (_, build) in builds]
    return string(companion_stem(numbers), ".companion")
end

# src/companion/worker.jl has the same.
companion_stem(numbers::Vector{String}) =
    length(numbers) == 1 ? numbers[1] : string(numbers[1], '+', hex(hash(numbers[2:end])))

"The builds of a package that its cache files hold, as they are called once they are loaded."
function cached_builds(id::PkgId, path::String)
    return open(path) do io
        checksum = Base.isvalid_cache_header(io)
        iszero(checksum) && return UInt128[]
        modules = cache_header(io, path)[1]
        return UInt128[UInt128(checksum) << 64 | build for (found, build) in modules if found == id]
    end
end

"The build of a package that a session like this one would load; `nothing` if it has to precompile."
function current_build_id(id::PkgId)
    haskey(Base.loaded_modules, id) && return UInt128(Base.module_build_id(Base.loaded_modules[id]))
    source = Base.locate_package(id)
    source === nothing && return nothing
    for path in Base.find_all_in_cache_path(id)
        try
            Base.stale_cachefile(source, path) === true && continue
            for build in cached_builds(id, path)
                return build
            end
        catch err
            err isa InterruptException && rethrow()     # a file that cannot be read is as good as none
        end
    end
    return nothing
end

"""
Remove the companions of a package whose build of it is in no cache file any more: no session can load them again. A
session that has one mapped keeps it.
"""
function retire(id::PkgId)
    builds = Set{String}()
    for path in Base.find_all_in_cache_path(id)
        try
            union!(builds, hex128.(cached_builds(id, path)))
        catch
            return nothing      # one that cannot be read may be any of them
        end
    end
    haskey(Base.loaded_modules, id) && push!(builds, hex128(UInt128(Base.module_build_id(Base.loaded_modules[id]))))
    for depot in DEPOT_PATH
        root = joinpath(depot, STORE)
        isdir(root) || continue
        for key in readdir(root)
            folder = joinpath(root, key, package_folder(id))
            occursin(r"^[0-9a-f]{16}$", key) && isdir(folder) || continue
            remove_in(folder) do name
                found = match(r"^([0-9a-f]{32})[+.-]", name)
                return found !== nothing && !(found[1] in builds)
            end
        end
    end
    return nothing
end

"Remove files of a folder of companions by name; a folder that cannot be written to keeps them."
function remove_in(unwanted, folder::String)
    for name in readdir(folder)
        occursin(COMPANION_FILE, name) && unwanted(name) || continue
        try
            rm(joinpath(folder, name); force = true)
        catch err
            err isa Base.IOError || rethrow()
        end
    end
    return nothing
end
