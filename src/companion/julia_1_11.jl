# Internals of Julia 1.11; julia_1_10.jl documents each of these names. Untested.

const SHORTENS = false

const TELLS_WHAT_RUNS = false

const TYPEMAP_ARRAY = Memory{Any}
const MEMORY = true

global_table() = UInt(0)

is_native(code::Core.CodeInstance) = code.owner === nothing

set_max_world!(code::Core.CodeInstance, world::UInt) = (@atomic code.max_world = world; nothing)

inferred_here() = Core.Compiler.newly_inferred

is_of_before(code::Core.CodeInstance) = !any(known -> known === code, inferred_here())

is_reached(code::Core.CodeInstance, world::UInt) = code.min_world <= 1 || code.min_world == world

cache_header(io::IO, path::String) = Base.parse_cache_header(io, path)

constant_of(mod::Module, name::Symbol) = getglobal(mod, name)

brought_by(::PkgId, parents::Vector{PkgId}) = copy(parents)
