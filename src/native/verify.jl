# What a library of Julia 1.5 is compared with, and verify mode.

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
    installed = installed_code(found()[library].id)
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

"What besides the methods was compared, in words: of libraries all else is bytes, and part of them."
compared_besides(path::String, outcome) = String[]
