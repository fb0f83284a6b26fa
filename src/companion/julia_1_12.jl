# What Julia 1.12 keeps to itself; julia_1_10.jl says what each of these is.

# Edges are of code instances, and the loader is Julia code: edges.jl is not for this Julia.
const SHORTENS = false

const TELLS_WHAT_RUNS = false

const TYPEMAP_ARRAY = Memory{Any}
const MEMORY = true

global_table() = UInt(pointer_from_objref(Core.methodtable))

is_native(code::Core.CodeInstance) = code.owner === nothing

set_max_world!(code::Core.CodeInstance, world::UInt) = (@atomic code.max_world = world; nothing)

# The list is of the process that precompiles, and no longer of the compiler.
inferred_here() = Base.newly_inferred

is_of_before(code::Core.CodeInstance) = ccall(:jl_object_in_image, UInt8, (Any,), code) != 0

# Backedges name the code instance itself, whether it is in a cache or not.
is_reached(::Core.CodeInstance, ::UInt) = true

cache_header(io::IO, path::String) = Base.parse_cache_header(io, path)

# Bindings have worlds, and this one is younger than the one in which the hook runs.
constant_of(mod::Module, name::Symbol) = Base.invokelatest(getglobal, mod, name)

brought_by(::PkgId, parents::Vector{PkgId}) = copy(parents)

method_tables() = (Core.methodtable,)

function edges_of(instance::Core.MethodInstance, world::UInt)
    interpreter = Core.Compiler.NativeInterpreter(world)
    frame = Core.Compiler.InferenceState(Core.Compiler.InferenceResult(instance), Core.Compiler.CACHE_MODE_NULL, interpreter)
    frame === nothing && return Any[]
    Core.Compiler.typeinf(interpreter, frame)
    # Beside these: numbers, bindings and tables.
    return Any[edge isa Core.CodeInstance ? Core.Compiler.get_ci_mi(edge) : edge for edge in frame.edges
        if edge isa Union{Core.CodeInstance,Core.MethodInstance,Type}]
end

# Worlds of methods stand in the tables, which only Julia reads. What no call can reach has no status.
is_deleted_after(method::Method, world::UInt) = method.dispatch_status == 0 &&
    is_there(method, world) && !is_there(method, world + 1)

function is_there(method::Method, world::UInt)
    matches = Base._methods_by_ftype(method.sig, -1, world)
    return matches isa Vector && any(match -> match.method === method, matches)
end

# The loader is Julia code now, and its log a list that it looks at.
function begin_log()
    held = Base.StaticData._jl_debug_method_invalidation
    held[] isa Vector{Any} && return held[]::Vector{Any}, false
    log = Any[]
    held[] = log
    return log, true
end

end_log() = (Base.StaticData._jl_debug_method_invalidation[] = nothing; nothing)

# The code instance whose call it is has taken the place of the number.
named_by(@nospecialize(entry)) = entry isa Core.CodeInstance ? Core.Compiler.get_ci_mi(entry) : entry
