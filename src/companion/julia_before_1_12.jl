# Internals that Julia 1.10 and 1.11 have in common; julia_1_12.jl defines the same names for 1.12.

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

"The edges of one method instance, from inference: method instances, and signatures of calls."
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

"Is this the last world in which the method exists?"
is_deleted_after(method::Method, world::UInt) = method.deleted_world == world

"""
Start the log of Julia's loader and of invalidations. Returns the log, and whether this call started it: other code may
already keep it. A new log is recognised by its allocation.
"""
function begin_log()
    before = Base.gc_bytes()
    log = ccall(:jl_debug_method_invalidation, Any, (Cint,), 1)::Vector{Any}
    return log, isempty(log) && Base.gc_bytes() > before
end

end_log() = ccall(:jl_debug_method_invalidation, Any, (Cint,), 0)

"The log identifies code by its method instance, or a changed call by a number."
named_by(@nospecialize(entry)) = entry
