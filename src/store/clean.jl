# Removing files: `gc!` removes files that are no longer needed, `clear!` removes selected ones. Both touch
# only files that belong to NativeCache by their place, their name and, for libraries, their content.

"One file that [`NativeCache.gc!`](@ref) or [`NativeCache.clear!`](@ref) has removed, or would remove."
struct Removal
    path::String
    bytes::Int
    why::String
    removed::Bool
    kept::String            # why it was not removed, or empty
end

"""
The removed files: returned by [`NativeCache.gc!`](@ref) and [`NativeCache.clear!`](@ref).

- `items`: a [`NativeCache.Removal`](@ref) for each file, with `path`, `bytes`, `why`, `removed`, and `kept`,
  the reason why the file was not removed
- `left`: size of the remaining libraries in bytes; `dry_run`: whether this was a dry run, which removes nothing
"""
struct Removals <: AbstractVector{Removal}
    items::Vector{Removal}
    left::Int
    dry_run::Bool
end

Base.size(list::Removals) = size(list.items)
Base.getindex(list::Removals, i::Int) = list.items[i]

"""
    NativeCache.gc!(; dry_run = false, max_size) -> Removals

Remove files that are no longer needed from the depots of this session:

- libraries for a build of a package that no longer has a `.ji` file
- libraries for another Julia build, and libraries that another NativeCache has built
- damaged libraries, and files of a library whose build did not finish
- object files for the next build of a package that has no library
- if all files together are larger than `max_size` bytes (a setting, 2 GB): other object files, then the
  oldest libraries
- profiles of packages that are not installed
- work folders that a killed build left behind

A file that a running process has mapped stays until a later `gc!`. Files that may not belong to NativeCache
stay, too. `dry_run` lists the files and removes nothing.

# Example

    julia> NativeCache.gc!(dry_run = true)
    1 file, 1.2 MB, would be removed; 4.8 MB stay
      ~/.julia/nativecache/v1.5/…/Dates-ade2ca70/0000011ad3b49447.so
        no .ji file of Dates has this build any more
"""
function gc!(; dry_run::Bool = false, max_size = nothing)
    cap = setting("max_size", max_size)
    doomed = Pair{String,String}[]          # path => why
    builds = Dict{String,Set{String}}()
    alive = NamedTuple{(:path, :bytes, :built),Tuple{String,Int,Float64}}[]
    for library in stored()
        why = of_no_use(library, builds)
        why === nothing && continue         # not a file of NativeCache
        isempty(why) ? push!(alive, (path = library.path, bytes = library_size(library.path), built = file_time(library.path))) :
            append!(doomed, (file => why for file in files_of(library.path)))
    end
    objects = [(path = item.path, bytes = file_size(item.path), built = file_time(item.path)) for item in stored(OBJECTS_NAME) if are_objects(item.path)]
    total = sum(Int[file.bytes for file in Iterators.flatten((alive, objects))])
    folders = Set(dirname(library.path) for library in alive)
    for file in sort(objects; by = file -> file.built)
        useless = !(dirname(file.path) in folders)
        useless || total > cap || continue
        total -= file.bytes
        push!(doomed, file.path => useless ? "object files for the next build of a package that has no library here" :
            "object files for the next build; all files together are larger than $(size_text(cap))")
    end
    for library in sort(alive; by = library -> library.built)
        total <= cap && break
        total -= library.bytes
        why = string("all files together are larger than ", size_text(cap), ", and this library is the oldest")
        append!(doomed, (file => why for file in files_of(library.path)))
    end
    append!(doomed, strays())
    append!(doomed, useless_profiles())
    append!(doomed, left_behind())
    return remove!(doomed, dry_run)
end

"Call [`gc!`](@ref) if the libraries take more than `max_size`. A build does so, since each new version of a package leaves a library behind."
function keep_within_cap()
    try
        sum(Int[library_size(file.path) for file in stored_with_objects()]) > setting("max_size") && gc!()
    catch err
        err isa InterruptException && rethrow()     # the new library is in its place, whatever is wrong with other files
    end
    return nothing
end

"""
    NativeCache.clear!(package; dry_run = false) -> Removals
    NativeCache.clear!(; dry_run = false) -> Removals

Remove all libraries and profiles of a package, for every Julia build and set of flags. Without a
package, remove everything that NativeCache has written for this version of Julia. Running sessions keep
what they have mapped.

To remove NativeCache completely, call `NativeCache.clear!()`. Then remove `NativeCache.toml` if you have
written one, the lines in your `startup.jl`, and the package itself.

# Example

    julia> NativeCache.clear!("MyPackage")
    2 files, 2.4 MB, removed; 1.3 MB stay
    ...
"""
function clear!(package; dry_run::Bool = false)
    folders = package_folder.(package_ids(package))
    doomed = Pair{String,String}[]
    for library in stored_with_objects()
        library.package in folders || any(in(folders), package_folder.(others_of(library.path))) || continue
        append!(doomed, (file => "of $(library.package)" for file in files_of(library.path)))
    end
    for (folder, names) in profile_folders()
        any(in(folders), names) && append!(doomed, (path => "profile" for path in files_below(folder)))
    end
    return remove!(filter!(file -> is_ours(file.first), doomed), dry_run; mapped = Set{String}())
end

function clear!(; dry_run::Bool = false)
    doomed = Pair{String,String}[]
    for depot in DEPOT_PATH
        root = joinpath(depot, STORE)
        isdir(root) && append!(doomed, (path => "everything is removed" for path in files_below(root) if is_ours(path)))
    end
    return remove!(doomed, dry_run; mapped = Set{String}())
end

# ---- files that are no longer needed ----

"The .ji files of packages of this name, in all depots."
function package_images(name::AbstractString)
    found = String[]
    for depot in DEPOT_PATH
        folder = joinpath(depot, "compiled", "v$(VERSION.major).$(VERSION.minor)")
        isfile(joinpath(folder, "$name.ji")) && push!(found, joinpath(folder, "$name.ji"))
        isdir(joinpath(folder, name)) || continue
        append!(found, joinpath.(folder, name, filter(file -> endswith(file, ".ji"), readdir(joinpath(folder, name)))))
    end
    return found
end

"The profile folders of all depots, each with the package folders in its name."
function profile_folders()
    found = Pair{String,Vector{String}}[]
    for depot in DEPOT_PATH
        root = joinpath(depot, STORE, "profiles")
        isdir(root) || continue
        for name in readdir(root)
            folder = joinpath(root, name)
            # The folder of a set of many packages has a hash for its name.
            names = startswith(name, "set-") ?
                unique!(String[package_folder(id) for layer in folder_layers(folder) for id in layer.packages]) : String.(split(name, '+'))
            push!(found, folder => names)
        end
    end
    return found
end

function useless_profiles()
    doomed = Pair{String,String}[]
    is_former(name) = @mutation("sweeping: former folders stay", is_former_folder(name), false)
    why(name) = is_former(name) ? "it is in a folder where an earlier NativeCache kept profiles" :
        is_installed(folder_package(name), name) ? "" : "package $name is not installed"
    for (folder, names) in profile_folders()
        reasons = filter!(!isempty, why.(names))
        isempty(reasons) || append!(doomed, (path => reasons[1] for path in files_below(folder)))
    end
    return filter!(file -> is_ours(file.first), doomed)
end

"Does this session know of a source or an image of the package?"
function is_installed(name, folder)
    VERSION < v"1.6" && startswith(name, SCRIPT_PREFIX) && return script_of(PkgId(String(name))) !== nothing
    any(id -> package_folder(id) == folder, keys(Base.loaded_modules)) && return true
    id = Base.identify_package(name)
    id === nothing || Base.locate_package(id) === nothing || return true
    any(depot -> isdir(joinpath(depot, "packages", name)), DEPOT_PATH) && return true
    return !isempty(package_images(name))
end

"Work folders of builds that died: no process holds their lock."
function left_behind()
    doomed = Pair{String,String}[]
    for depot in DEPOT_PATH
        root = joinpath(depot, STORE)
        isdir(root) || continue
        for name in readdir(root)
            folder = joinpath(root, name)
            startswith(name, "build-") && isdir(folder) && !islink(folder) && !is_held(folder) &&
                append!(doomed, (path => "a build left it behind" for path in files_below(folder)))
        end
    end
    return doomed
end

"Is a build running in this work folder?"
function is_held(folder)
    isfile(joinpath(folder, "lock")) || return false
    lock = take_lock(joinpath(folder, "lock"))
    release(lock)
    return lock === nothing
end

# ---- removing ----

function files_below(folder)
    found = String[]
    for (root, _, files) in walkdir(folder), file in files
        push!(found, joinpath(root, file))
    end
    return found
end

"Does this file belong to NativeCache? Its place and name decide, and for a library also its content."
function is_ours(path::AbstractString)
    place = findlast(string('/', STORE, '/'), path)
    place === nothing && return false
    parts = split(SubString(path, nextind(path, last(place))), '/')
    if startswith(parts[1], "build-") || startswith(parts[1], "kept-")
        return !is_held(joinpath(SubString(path, 1, last(place)), parts[1]))
    end
    parts[1] == "profiles" && return length(parts) == 3 &&
        occursin(r"^([a-z0-9]+\.(profile|pending-.*)|lock|built|failed-.*|.*\.tmp.*)$", parts[3])
    length(parts) == 1 && return occursin(r"^(lock|[a-z-]+\.(log|log\.old|lock|pid|queue))$", parts[1])
    parts[1] == "projects" && return length(parts) == 2 && occursin(r"^[0-9a-f]{16}(\.tmp.*)?$", parts[2])
    parts[1] == "queue" && return length(parts) == 2 && occursin(r"\.(job|job\.running|tmp-.*)$", parts[2])
    occursin(r"^[0-9a-f]{16}$", parts[1]) && length(parts) == 3 || return false
    return is_library_file(path)
end

"The files of the store that running processes have mapped, as far as this user may see them."
function mapped_files()
    found = Set{String}()
    isdir("/proc") || return found
    for process in readdir("/proc")
        all(isdigit, process) || continue
        try
            # Line by line: the kernel returns one page at a time, and `read` would take a short answer for the end.
            for line in eachline(joinpath("/proc", process, "maps"))
                occursin(STORE, line) && push!(found, lstrip(split(line, ' '; limit = 6, keepempty = false)[end]))
            end
        catch err
            err isa Union{SystemError,Base.IOError} || rethrow()    # it has ended, or is another user's
        end
    end
    return found
end

function remove!(doomed, dry_run; mapped = mapped_files())
    items = Removal[]
    real(path) = try realpath(path) catch; path end
    doomed = unique(doomed)
    locks = dry_run ? FileLock[] : locks_over(doomed)
    try
        for (path, why) in doomed
            bytes = Int(filesize(lstat(path)))
            in_use = @mutation("in use: what a process has mapped goes too", real(mapped_for(path)) in mapped, false)
            kept = in_use ? "a running process uses it" : is_taken(path) ? "a build has begun there" : ""
            removed = false
            if isempty(kept) && !dry_run
                try
                    rm(path; force = true)      # another gc! may have been first
                    removed = true
                    remove_empty(dirname(path))
                catch err
                    err isa InterruptException && rethrow()
                    kept = sprint(showerror, err)
                end
            end
            push!(items, Removal(path, bytes, why, removed, kept))
        end
    finally
        foreach(release, locks)
    end
    gone = Set(item.path for item in items if isempty(item.kept))
    left = sum(Int[library_size(library.path) for library in stored() if !(library.path in gone)])
    return Removals(items, left, dry_run)
end

"""
The locks of the places from which files are removed: of the folder of a profile, which a session that ends could write
back, and of the store, where a build could create a work folder.
"""
function locks_over(doomed)
    places = String[]
    for (path, _) in doomed
        folder = dirname(path)
        basename(dirname(folder)) == "profiles" && push!(places, joinpath(folder, "lock"))
        startswith(basename(folder), "build-") && push!(places, joinpath(dirname(folder), "lock"))
    end
    locks = FileLock[]
    for place in unique(places)
        lock = isfile(place) ? take_lock(place; seconds = 1) : nothing
        lock === nothing || push!(locks, lock)
    end
    return locks
end

"Is the file in a work folder in which a build has begun in the meantime?"
is_taken(path) = startswith(basename(dirname(path)), "build-") && is_held(dirname(path))

"Remove a folder of a store if it is empty, and then the folders above it, up to the depot, which stays."
function remove_empty(folder)
    place = findlast(string('/', STORE), folder)
    place === nothing && return nothing
    depot = SubString(folder, 1, prevind(folder, first(place)))
    try
        while folder != depot && isempty(readdir(folder))
            rm(folder)
            folder = dirname(folder)
        end
    catch err
        # Another process has removed it, or has just put something there.
        err isa Union{Base.IOError,SystemError} || rethrow()
    end
    return nothing
end

Base.show(io::IO, list::Removals) = print(io, "Removals(", length(list), " files)")

function Base.show(io::IO, ::MIME"text/plain", list::Removals)
    going = filter(item -> isempty(item.kept), list.items)
    files = length(going) == 1 ? "1 file" : "$(length(going)) files"
    printstyled(io, files, ", ", size_text(sum(Int[item.bytes for item in going])), list.dry_run ? ", would be removed" : ", removed"; bold = true)
    print(io, "; ", size_text(list.left), " of libraries stay")
    for item in list
        print(io, "\n  ", item.path, "\n    ", item.why, isempty(item.kept) ? "" : "; kept: $(item.kept)")
    end
end
