# `verify`: build the contents of a library again, in a separate process, and compare.

"""
What [`NativeCache.verify`](@ref) found.

- `package`: the name; `libraries`: paths of the libraries that were compared
- `compared`: how many requested methods they hold
- `different`: a `MethodItem` for each method that differs; its `detail` describes the difference
- `seconds`: how long it took; `message`: why a library could not be compared
- `notes`: what else was compared, and what was not (Julia 1.10 and later)
"""
struct Verification
    package::String
    libraries::Vector{String}
    compared::Int
    different::Vector{MethodItem}
    seconds::Float64
    message::String
    notes::Vector{String}
end

"""
    NativeCache.verify(package; quiet = false) -> Verification

Infer and compile everything in the libraries of `package` (a name, a module or a `PkgId`) again, and
compare: return types, inferred code, edges, references of the code, and machine code. For a library that this
session has linked, the session also infers the return types once more, with all packages that it has loaded.

This takes as long as a build, and changes nothing. `quiet` shows no progress. An argument that names no
package throws an `ArgumentError`. If the package has no library for sessions like this one, the result has a
`message`.

On Julia 1.10 and later, Julia compiles and never writes an image twice with the same bytes, so images cannot
be compared method by method. NativeCache builds the companion again in a scratch store. It compares the
outcome of each statement, the return types of the code that this session has loaded, and whole files; `notes`
says whether the files are the same. There, `JULIA_NATIVECACHE=verify` has the effect of `on`.

With `JULIA_NATIVECACHE=verify` in the environment, each library is compared before it is linked, and only
code that is the same is used. The session has to compile a few methods for this comparison. These are reported
as `AlreadyCompiled`, not as different.

# Example

    julia> NativeCache.verify("MyPackage")
    MyPackage: 212 methods compiled again in 14.2 s, no differences
"""
function verify(package; quiet::Bool = false)
    started = time_ns()
    ids = package_ids(package)
    name = join((id.name for id in ids), ", ")
    paths = String[path for id in ids for path in usable_libraries(id)]
    isempty(paths) && return Verification(name, paths, 0, MethodItem[], 0.0, missing_message(ids)[2], String[])
    compared, different, problems, notes = 0, MethodItem[], String[], String[]
    for path in paths
        outcome = built_anew(path; quiet = quiet)
        if outcome isa Failure
            push!(problems, string(path, ": ", outcome.message))
            continue
        end
        compared += count(item -> item.first == "compiled", outcome.items)
        append!(different, MethodItem(item.statement, :Different, item.detail)
                for (which, item) in outcome.items if which == "different")
        append!(different, inferred_differently(path))
        append!(notes, compared_besides(path, outcome))
    end
    return Verification(name, paths, compared, unique!(different), (time_ns() - started) / 1e9, join(problems, "; "), notes)
end

"The libraries of a package that sessions like this one can link."
function usable_libraries(id::PkgId)
    key = session_key()
    return String[item.path for item in stored() if item.key == key && item.package == package_folder(id) &&
        all(((id, build),) -> has_build_id(id, build), inspect_library(item.path).packages)]
end

Base.show(io::IO, found::Verification) =
    print(io, "Verification(", found.package, ": ", length(found.different), " of ", found.compared, " differ)")

function Base.show(io::IO, ::MIME"text/plain", found::Verification)
    printstyled(io, found.package; bold = true)
    isempty(found.libraries) && return print(io, ": ", found.message)
    print(io, ": ", methods_text(found.compared), " compiled again in ", time_text(found.seconds), ", ",
        isempty(found.different) ? "no differences" : string("differences in ", methods_text(length(found.different))))
    isempty(found.message) || print(io, "\n  ", found.message)
    foreach(note -> print(io, "\n  ", note), found.notes)
    for item in found.different
        print(io, "\n  ", item.statement, "\n    ", item.detail)
    end
end
