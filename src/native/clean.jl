# Which libraries of Julia 1.5 are no longer needed, and which files belong to libraries.

"Why a library is no longer needed; empty if it is needed, `nothing` if the file may not be a library."
function of_no_use(library, builds)
    facts = inspect_library(library.path)
    for (reason, detail) in facts.problems
        reason in (:BadMagic, :Truncated, :Unreadable, :NotFound, :Untrusted) && return nothing
        reason in (:HashMismatch, :Malformed, :FormatVersion) && return NativeCache.reason(reason)[1]
    end
    for (component, built, here) in facts.key
        component == "julia" && built != here && return "it is for another Julia build: $built"
        component == "NativeCache" && built != here && return "another NativeCache has built it: $built"
    end
    name = folder_package(library.package)
    build = SubString(basename(library.path), 1, 16)
    known = get!(() -> build_ids(name), builds, name)
    return build in known ? "" : "no .ji file of $name has this build any more"
end

"The build ids in the .ji files of all packages with this name."
function build_ids(name::AbstractString)
    found = Set{String}()
    for path in package_images(name)
        modules = try
            Base.parse_cache_header(path)[1]
        catch
            continue        # a .ji file that Julia itself cannot read
        end
        foreach(entry -> entry.first.name == name && push!(found, hex(entry.second)), modules)
    end
    return found
end

"Is this a file with object files of a build? It begins with the magic of rust/native/worker/src/object_files.rs."
are_objects(path) = isfile(path) && filesize(path) >= 24 && open(io -> read(io, 5) == b"NCOBJ", path)

# What `inspect_library` reports for a file that is not a library of NativeCache.
const NO_LIBRARY = @mutation("sweeping: a name like ours is ours", (:BadMagic, :Truncated, :Unreadable), (:Unreadable,))

"Is this a library of NativeCache? `path` has the place and the name of one, but another file may have them, too."
is_library_file(path) = occursin(OBJECTS_NAME, basename(path)) ? are_objects(path) : occursin(LIBRARY_NAME, basename(path)) &&
    !any(problem -> problem.first in NO_LIBRARY, inspect_library(path).problems)

"The file that a process has mapped if it uses the library to which this file belongs."
mapped_for(path) = path

"Files in the folders of libraries that belong to no library. There are none that are known to be NativeCache's."
strays() = Pair{String,String}[]

"The packages of a library, besides the one in whose folder it is. Not looked up on Julia 1.5."
others_of(path) = PkgId[]
