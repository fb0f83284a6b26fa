# Internals of Julia 1.10 that the other files of this folder use. julia_1_11.jl and julia_1_12.jl define the same names for
# their versions. No other file in src/companion checks the version.

# Does the image writer put what others' code calls into an image, so that edges are worth shortening (edges.jl)?
const SHORTENS = true

# Does loading leave the pages of an image's code alone, so that one that is there was run (rust/companion/src/idle.rs)?
const TELLS_WHAT_RUNS = true

# What typemaps keep their parts in.
const TYPEMAP_ARRAY = Vector{Any}
const MEMORY = false

"The address of the global method table; 0 if each function has its own table."
global_table() = UInt(0)

"Does this code instance belong to Julia's own compiler, and not to an interpreter of a package?"
is_native(::Core.CodeInstance) = true

set_max_world!(code::Core.CodeInstance, world::UInt) = (code.max_world = world; nothing)

"The code instances that inference has produced in this process."
inferred_here() = Core.Compiler.newly_inferred

"Was this code inferred before this process began?"
is_of_before(code::Core.CodeInstance) = !any(known -> known === code, inferred_here())

"""
Is the code still valid, although methods may have been defined since Julia's loader verified it? Here backedges refer to
the method instance, and only invalidate code in its cache. So the answer is yes if no method was
defined since, or if the code is valid in all worlds.
"""
is_reached(code::Core.CodeInstance, world::UInt) = code.min_world <= 1 || code.min_world == world

"Parse the header of a cache file that is open at the start of the header."
cache_header(io::IO, ::String) = Base.parse_cache_header(io)

"A constant of a module that was just loaded."
constant_of(mod::Module, name::Symbol) = getglobal(mod, name)

"The packages that trigger an extension. Julia keeps the parent; the parent's project names the others."
brought_by(extension::PkgId, parent::PkgId) = unique!([parent; triggers(extension, parent)])

function triggers(extension::PkgId, parent::PkgId)
    origin = get(Base.pkgorigins, parent, nothing)
    (origin === nothing || origin.path === nothing) && return PkgId[]
    project = Base.locate_project_file(dirname(dirname(origin.path)))
    project isa String || return PkgId[]
    toml = Base.parsed_toml(project)
    names = get(get(toml, "extensions", Dict{String,Any}()), extension.name, String[])
    weak = get(toml, "weakdeps", Dict{String,Any}())
    return PkgId[PkgId(UUID(weak[name]), name) for name in (names isa String ? [names] : names) if haskey(weak, name)]
end
