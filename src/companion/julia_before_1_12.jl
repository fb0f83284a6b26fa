# What Julia 1.10 and 1.11 have in common, and 1.12 has not; julia_1_12.jl says the same of its own.

"The method tables of all functions and types that have a name."
function method_tables()
    tables = Set{Core.MethodTable}((Core.Type.body.name.mt, typeof(Core.kwcall).name.mt))
    seen = Set{Module}()
    stack = Module[values(Base.loaded_modules)...]
    while !isempty(stack)
        mod = pop!(stack)
        mod in seen && continue
        push!(seen, mod)
        for name in Base.names(mod; all = true)
            isdefined(mod, name) && !Base.isdeprecated(mod, name) || continue
            value = getglobal(mod, name)
            value isa Module && parentmodule(value) === mod && push!(stack, value)
            type = value isa Type ? Base.unwrap_unionall(value) : typeof(value)
            type isa DataType && isdefined(type.name, :mt) && push!(tables, type.name.mt)
        end
    end
    return tables
end

"What inference relies on for one method instance: method instances, and signatures of calls."
function edges_of(instance::Core.MethodInstance, world::UInt)
    frame = Core.Compiler.InferenceState(Core.Compiler.InferenceResult(instance), :no, Core.Compiler.NativeInterpreter(world))
    frame === nothing && return Any[]
    Core.Compiler.typeinf(Core.Compiler.NativeInterpreter(world), frame)
    found = Any[]
    for edges in frame.stmt_edges
        edges === nothing || append!(found, edges)
    end
    return found
end

"Is this world the last one that has the method?"
is_deleted_after(method::Method, world::UInt) = method.deleted_world == world

"""
The log of Julia's loader and of invalidations, and whether it was begun here: somebody else may be keeping it. A log that
is new had to be allocated.
"""
function begin_log()
    before = Base.gc_bytes()
    log = ccall(:jl_debug_method_invalidation, Any, (Cint,), 1)::Vector{Any}
    return log, isempty(log) && Base.gc_bytes() > before
end

end_log() = ccall(:jl_debug_method_invalidation, Any, (Cint,), 0)

"What the log names code by: the method instance, or a number for a call that means something else now."
named_by(@nospecialize(entry)) = entry
