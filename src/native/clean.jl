# Which libraries of Julia 1.5 are of no use, and how their files are told from others.

"Why a library is of no use; empty if it is of use, `nothing` if it is not ours to judge."
function of_no_use(library, builds)
    facts = inspect_library(library.path)
    for (reason, detail) in facts.problems
        reason in (:BadMagic, :Truncated, :Unreadable, :NotFound, :Untrusted) && return nothing
        reason in (:HashMismatch, :Malformed, :FormatVersion) && return NativeCache.reason(reason)[1]
    end
    for (component, built, here) in facts.key
        component == "julia" && built != here && return "it is for another Julia build: $built"
        component == "NativeCache" && built != here && return "another NativeCache has made it: $built"
    end
    name = folder_package(library.package)
    build = SubString(basename(library.path), 1, 16)
    known = get!(() -> build_ids(name), builds, name)
    return build in known ? "" : "no .ji file of $name has this build any more"
end

"The build ids in the .ji files of all packages of this name."
function build_ids(name::AbstractString)
    found = Set{String}()
    for path in package_images(name)
        modules = try
            Base.parse_cache_header(path)[1]
        catch
            continue        # a .ji that Julia itself cannot read
        end
        foreach(entry -> entry.first.name == name && push!(found, hex(entry.second)), modules)
    end
    return found
end

"Are these object files of a build? They begin with the mark of rust/native/worker/src/object_files.rs."
are_objects(path) = isfile(path) && filesize(path) >= 24 && open(io -> read(io, 5) == b"NCOBJ", path)

# What `inspect_library` says of a file that is none of ours.
const NO_LIBRARY = @mutation("sweeping: a name like ours is ours", (:BadMagic, :Truncated, :Unreadable), (:Unreadable,))

"Is this a library of NativeCache? `path` lies and is called as one; so may another file."
is_library_file(path) = occursin(OBJECTS_NAME, basename(path)) ? are_objects(path) : occursin(LIBRARY_NAME, basename(path)) &&
    !any(problem -> problem.first in NO_LIBRARY, inspect_library(path).problems)

"The file that a process has mapped if it uses the library that this file is of."
mapped_for(path) = path

"Files in the folders of libraries that belong to no library: none that are known to be NativeCache's."
strays() = Pair{String,String}[]

"The packages whose library it is, besides the one in whose folder it lies."
others_of(path) = PkgId[]
