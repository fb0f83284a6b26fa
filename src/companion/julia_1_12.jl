# Internals of Julia 1.12; julia_1_10.jl documents each of these names.

# Edges are of code instances, and the loader is Julia code: edges.jl is not for this Julia.
const SHORTENS = false

const TELLS_WHAT_RUNS = false

const TYPEMAP_ARRAY = Memory{Any}
const MEMORY = true

global_table() = UInt(pointer_from_objref(Core.methodtable))

is_native(code::Core.CodeInstance) = code.owner === nothing

set_max_world!(code::Core.CodeInstance, world::UInt) = (@atomic code.max_world = world; nothing)

# From 1.12 on this list is in Base, no longer in the compiler.
inferred_here() = Base.newly_inferred

is_of_before(code::Core.CodeInstance) = ccall(:jl_object_in_image, UInt8, (Any,), code) != 0

# Backedges refer to the code instance itself, whether it is in a cache or not.
is_reached(::Core.CodeInstance, ::UInt) = true

cache_header(io::IO, path::String) = Base.parse_cache_header(io, path)

# Bindings have worlds, and this binding is newer than the world in which the hook runs.
constant_of(mod::Module, name::Symbol) = Base.invokelatest(getglobal, mod, name)

brought_by(::PkgId, parents::Vector{PkgId}) = copy(parents)

method_tables() = (Core.methodtable,)

function edges_of(instance::Core.MethodInstance, world::UInt)
    interpreter = Core.Compiler.NativeInterpreter(world)
    frame = Core.Compiler.InferenceState(Core.Compiler.InferenceResult(instance), Core.Compiler.CACHE_MODE_NULL, interpreter)
    frame === nothing && return Any[]
    Core.Compiler.typeinf(interpreter, frame)
    # The list also has numbers, bindings and tables.
    return Any[edge isa Core.CodeInstance ? Core.Compiler.get_ci_mi(edge) : edge for edge in frame.edges
        if edge isa Union{Core.CodeInstance,Core.MethodInstance,Type}]
end

# The worlds of a method are in the tables, which only Julia reads. A method that no call can reach has dispatch status 0.
is_deleted_after(method::Method, world::UInt) = method.dispatch_status == 0 &&
    is_there(method, world) && !is_there(method, world + 1)

function is_there(method::Method, world::UInt)
    matches = Base._methods_by_ftype(method.sig, -1, world)
    return matches isa Vector && any(match -> match.method === method, matches)
end

# The loader is written in Julia, and its log is a list in Base.StaticData.
function begin_log()
    held = Base.StaticData._jl_debug_method_invalidation
    held[] isa Vector{Any} && return held[]::Vector{Any}, false
    log = Any[]
    held[] = log
    return log, true
end

end_log() = (Base.StaticData._jl_debug_method_invalidation[] = nothing; nothing)

# The log has the code instance that makes the call, where 1.10 has a number.
named_by(@nospecialize(entry)) = entry isa Core.CodeInstance ? Core.Compiler.get_ci_mi(entry) : entry
