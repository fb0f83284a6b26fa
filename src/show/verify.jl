# verify: build what a library holds anew, in a process of its own, and compare.

"""
What [`NativeCache.verify`](@ref) found.

- `package`: the name; `libraries`: paths of the libraries that were compared
- `compared`: how many requested methods they hold
- `different`: a `MethodItem` for each that came out differently; `detail` says in what
- `seconds`: what it took; `message`: why nothing could be compared, if so
- `notes`: what else was compared, and what not, in words (Julia 1.10 and later)
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

Infer and compile everything in the libraries of `package` (a name, a module or a `PkgId`)
anew and compare it with what they hold: return types, inferred code, edges, what the code
refers to, and the machine code. Of a library that this session has linked, the return types
are also inferred once more in this session, with all packages that it has loaded.

Takes as long as a build. Nothing is changed. `quiet` shows no progress. An argument that
names no package is an `ArgumentError`; a package without a library for sessions like this
one gives a `message`.

On Julia 1.10 and later Julia compiles, and nobody can compare its images method by method: it writes
no image twice with the same bytes. A companion is built anew in a scratch store; compared are what
became of each statement, the return types of what this session has loaded, and whole files, of which
`notes` says whether they are the same. `JULIA_NATIVECACHE=verify` is as `on` there.

With `JULIA_NATIVECACHE=verify` in the environment each library is compared before it is
linked, and of it only what came out the same is used. Comparing is itself work in Julia: the few methods
that the session has compiled for it by then are reported as `AlreadyCompiled`, not as different.

# Example

    julia> NativeCache.verify("MyPackage")
    MyPackage: 212 methods compiled anew in 14.2 s, none of them differs
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
    print(io, ": ", methods_text(found.compared), " compiled anew in ", time_text(found.seconds), ", ",
        isempty(found.different) ? "none of them differs" : string(length(found.different), " of what they need differ"))
    isempty(found.message) || print(io, "\n  ", found.message)
    foreach(note -> print(io, "\n  ", note), found.notes)
    for item in found.different
        print(io, "\n  ", item.statement, "\n    ", item.detail)
    end
end
