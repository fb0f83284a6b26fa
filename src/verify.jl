# verify: build what a library holds anew, in a process of its own, and compare.

"""
What [`NativeCache.verify`](@ref) found.

- `package`: the name; `libraries`: paths of the libraries that were compared
- `compared`: how many requested methods they hold
- `different`: a `MethodItem` for each that came out differently; `detail` says in what
- `seconds`: what it took; `message`: why nothing could be compared, if so
"""
struct Verification
    package::String
    libraries::Vector{String}
    compared::Int
    different::Vector{MethodItem}
    seconds::Float64
    message::String
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
    isempty(paths) && return Verification(name, paths, 0, MethodItem[], 0.0, missing_message(ids)[2])
    compared, different, problems = 0, MethodItem[], String[]
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
    end
    return Verification(name, paths, compared, unique!(different), (time_ns() - started) / 1e9, join(problems, "; "))
end

"The libraries of a package that sessions like this one can link."
function usable_libraries(id::PkgId)
    key = session_key()
    return String[item.path for item in stored() if item.key == key && item.package == package_folder(id) &&
        all(((id, build),) -> has_build_id(id, build), inspect_library(item.path).packages)]
end

"Build what the library holds once more and compare; the outcome of a build, or a `Failure`."
function built_anew(path::String; quiet::Bool)
    facts = inspect_library(path)
    folder = basename(dirname(path))
    own = [id for (id, _) in facts.packages if package_folder(id) == folder]
    isempty(own) && return Failure("its tables cannot be read")
    # A library for several packages was built with all of them loaded.
    others = occursin('+', basename(path)) ? [id for (id, _) in facts.packages if !(id in own)] : PkgId[]
    statements = sort!(String[item.statement for (_, item) in peek(path)])
    return run_guarded(Job(vcat(own, others), statements, setting("linker"), setting("timeout"), setting("memory"), false, Progress(quiet), path))
end

"""
Called by libnativecache in verify mode, before it links a library: numbers of the functions
that differ, or "?" and why they are not known.
"""
function different_functions(path::String)
    outcome = built_anew(path; quiet = true)
    outcome isa Failure && return string('?', outcome.message)
    any(item -> item.first == "different", outcome.items) && isempty(outcome.different) &&
        return "?the library as a whole came out differently"
    return join(outcome.different, ' ')
end

"Installed methods of a linked library whose return type this session infers differently."
function inferred_differently(path::String)
    library = findfirst(library -> library.path == path && library.id >= 0, found())
    library === nothing && return MethodItem[]
    installed = Any[]
    ccall((:nativecache_installed, LIBRARY), Cint, (Int64, Any), found()[library].id, installed)
    items = MethodItem[]
    params = Core.Compiler.Params(Base.get_world_counter())
    for code in installed
        instance = code.def::Core.MethodInstance
        type = Core.Compiler.typeinf_code(instance.def, instance.specTypes, instance.sparam_vals, false, params)[2]
        # How far inference looks depends on where it began; a wider type in the library is no error.
        type <: code.rettype || push!(items, MethodItem(statement_text(instance.specTypes), :Different,
            string("return type: ", code.rettype, " in the library, ", type, " now")))
    end
    return items
end

Base.show(io::IO, found::Verification) =
    print(io, "Verification(", found.package, ": ", length(found.different), " of ", found.compared, " differ)")

function Base.show(io::IO, ::MIME"text/plain", found::Verification)
    printstyled(io, found.package; bold = true)
    isempty(found.libraries) && return print(io, ": ", found.message)
    print(io, ": ", methods_text(found.compared), " compiled anew in ", time_text(found.seconds), ", ",
        isempty(found.different) ? "none of them differs" : string(length(found.different), " of what they need differ"))
    isempty(found.message) || print(io, "\n  ", found.message)
    for item in found.different
        print(io, "\n  ", item.statement, "\n    ", item.detail)
    end
end
