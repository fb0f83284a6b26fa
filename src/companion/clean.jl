# Which companions are of no use, and how their files are told from others.

"Why a companion is of no use; empty if it is of use, `nothing` if it is not ours to judge."
function of_no_use(library, builds)
    is_library_file(library.path) || return nothing
    isempty(distrust(library.path)) || return nothing
    companion = companion_at(library.path)
    companion === nothing && return reason(:Malformed)[1]
    here = Dict(key_parts())
    for (component, built) in built_with(companion)
        component == "julia" && built != here[component] && return "it is for another Julia build: $built"
        component == "NativeCache" && !(built in known_builds(PkgId(@__MODULE__), builds)) &&
            return "another NativeCache has made it: $built"
    end
    for (id, build) in companion.packages
        hex(build) in known_builds(id, builds) || return "no .ji file of $(id.name) has this build any more"
    end
    isempty(damage_of(companion)) || return reason(:HashMismatch)[1]
    return ""
end

"The builds of a package that a session could load: those in cache files, and what this session has."
function known_builds(id::PkgId, builds)
    return get!(builds, string(package_folder(id))) do
        found = Set{String}()
        for path in Base.find_all_in_cache_path(id)
            try
                union!(found, hex.(cached_builds(id, path)))
            catch err
                err isa InterruptException && rethrow()     # one that Julia itself cannot read
            end
        end
        haskey(Base.loaded_modules, id) && push!(found, hex(UInt128(Base.module_build_id(Base.loaded_modules[id]))))
        found
    end
end

"Is this a file of a companion? `path` lies and is called as one; so may another file."
function is_library_file(path)
    name = basename(path)
    occursin(COMPANION_FILE, name) || return false
    occursin(".tmp-", name) && return true
    starts(file, text) = isfile(file) && open(io -> read(io, sizeof(text)), file) == codeunits(text)
    endswith(name, ".companion") && return starts(path, "name\tNativeCache_")
    # The image goes before the source that says whose it is.
    return starts(string(path[1:prevind(path, findlast('.', path))], ".jl"), "# Made by NativeCache.")
end

"The file that a process has mapped if it uses the companion that this file is of."
function mapped_for(path)
    endswith(path, ".companion") || return string(path[1:prevind(path, findlast('.', path))], ".so")
    companion = companion_at(path)
    return companion === nothing ? path : companion.base * ".so"
end

"Files in the folders of companions that belong to none: of builds that did not come to their end."
function strays()
    doomed = Pair{String,String}[]
    for depot in DEPOT_PATH
        root = joinpath(depot, STORE)
        isdir(root) || continue
        names = readdir(root)
        # A build puts the source into its place first.
        any(name -> startswith(name, "build-") && is_held(joinpath(root, name)), names) && continue
        for key in names, package in (occursin(r"^[0-9a-f]{16}$", key) ? readdir(joinpath(root, key)) : String[])
            folder = joinpath(root, key, package)
            isdir(folder) || continue
            here = readdir(folder; join = true)
            held = Set(file for index in here if endswith(index, ".companion") for file in files_of(index))
            append!(doomed, (file => "a build left it behind" for file in here if !(file in held) && is_library_file(file)))
        end
    end
    # The source last: it says whose the others are.
    return sort!(doomed; by = pair -> endswith(pair.first, ".jl"))
end

"The packages whose companion it is, besides the one in whose folder it lies."
function others_of(path)
    companion = companion_at(path)
    return companion === nothing ? PkgId[] : first.(companion.packages)
end
