# What Julia 1.12 keeps to itself; julia_1_10.jl says what each of these is.

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
