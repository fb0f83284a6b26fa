# What Julia 1.10 keeps to itself and the other files of this folder use. julia_1_11.jl and julia_1_12.jl say the same of
# theirs: nothing else in src/companion asks for the version.

# Does the image writer put what others' code calls into an image, so that edges are worth shortening (edges.jl)?
const SHORTENS = true

# Does loading leave the pages of an image's code alone, so that one that is there was run (rust/companion/src/idle.rs)?
const TELLS_WHAT_RUNS = true

# What typemaps keep their parts in.
const TYPEMAP_ARRAY = Vector{Any}
const MEMORY = false

"The address of the one method table; 0 where each function has its own."
global_table() = UInt(0)

"Is this code instance of Julia itself, and not of an interpreter that a package brings?"
is_native(::Core.CodeInstance) = true

set_max_world!(code::Core.CodeInstance, world::UInt) = (code.max_world = world; nothing)

"The code instances that inference has made since the companion began."
inferred_here() = Core.Compiler.newly_inferred

"Was it inferred before this package began?"
is_of_before(code::Core.CodeInstance) = !any(known -> known === code, inferred_here())

"""
Has every method that was defined since Julia's loader verified this code reached it? Backedges name the method instance,
and reach only what is in its cache.
"""
is_reached(code::Core.CodeInstance, world::UInt) = code.min_world <= 1 || code.min_world == world

"What the head of a cache file says, for the file open at its place."
cache_header(io::IO, ::String) = Base.parse_cache_header(io)

"A constant of a module that was loaded a moment ago."
constant_of(mod::Module, name::Symbol) = getglobal(mod, name)

"The packages that bring about an extension: Julia keeps the parent, and what else it needs is in its project."
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
