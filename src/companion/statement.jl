# Reads statements. They are data: Julia's parser reads the text, and only type expressions are evaluated. The grammar is
# in rust/companion/src/statement.rs. Lines of `julia --trace-compile` can be read, too, if they are such expressions.

"The statement is not a type expression, or names something that does not exist."
struct Unreadable <: Exception
    message::String
end

Base.showerror(io::IO, err::Unreadable) = print(io, err.message)

unreadable(parts...) = throw(Unreadable(string(parts...)))

"""
The type of a statement. `root` returns the root module with a name, or `nothing`. Only type expressions are evaluated.

Throws an `Unreadable` that says what cannot be read.
"""
function read_statement(text::AbstractString, root)
    parsed = try
        Meta.parse(text; raise = false)
    catch
        unreadable("it cannot be parsed")
    end
    parsed isa Expr && parsed.head in (:error, :incomplete) && unreadable("it cannot be parsed")
    type = read_value(parsed, root, Pair{Symbol,TypeVar}[])
    Base.unwrap_unionall(type) isa DataType && type <: Tuple || unreadable("it is not a tuple type")
    return type
end

function read_value(@nospecialize(ex), root, variables::Vector{Pair{Symbol,TypeVar}})
    if ex isa Symbol
        at = findlast(known -> known.first === ex, variables)
        at === nothing || return variables[at].second
        ex === :nothing && return nothing
        mod = root(ex)
        mod === nothing || return mod
        isdefined(Core, ex) && return getglobal(Core, ex)
        isdefined(Base, ex) && return getglobal(Base, ex)
        unreadable(ex, " is not defined")
    elseif ex isa QuoteNode
        return ex.value
    elseif ex isa Union{Bool,Integer,AbstractFloat,Char}
        return ex
    elseif ex isa Expr
        return read_expression(ex, root, variables)
    end
    unreadable("it contains ", repr(ex), ", which cannot be part of a type")
end

function read_expression(ex::Expr, root, variables)
    value(@nospecialize part) = read_value(part, root, variables)
    if ex.head === :. && length(ex.args) == 2 && ex.args[2] isa QuoteNode
        return read_name(value(ex.args[1]), ex.args[2].value)
    elseif ex.head === :curly
        parameters = Any[value(part) for part in ex.args[2:end]]
        type = value(ex.args[1])
        return try
            Core.apply_type(type, parameters...)
        catch err
            unreadable(type, " does not take these parameters: ", sprint(showerror, err))
        end
    elseif ex.head === :where
        return read_where(ex, root, variables)
    elseif ex.head === :tuple
        return (Any[value(part) for part in ex.args]...,)
    elseif ex.head === :call && ex.args[1] === :typeof && length(ex.args) == 2
        return typeof(value(ex.args[2]))
    elseif ex.head === :call && ex.args[1] === :Symbol && length(ex.args) == 2 && ex.args[2] isa String
        return Symbol(ex.args[2])
    elseif ex.head === :call && ex.args[1] === :getfield && length(ex.args) == 3
        return read_name(value(ex.args[2]), value(ex.args[3]))
    elseif ex.head === :call && ex.args[1] === :bits && length(ex.args) == 3
        return read_bits(value(ex.args[2]), literal(ex.args[3]))
    elseif ex.head === :call && ex.args[1] === :new && length(ex.args) >= 2
        return read_new(value(ex.args[2]), Any[value(part) for part in ex.args[3:end]])
    elseif ex.head === :macrocall && length(ex.args) >= 3 && ex.args[3] isa String
        # Julia 1.10 parses var"..." after a dot in this way. Big integers cannot be parameters of types.
        ex.args[1] === Symbol("@var") && return value(Symbol(ex.args[3]))
    end
    unreadable("it contains `", ex, "`, which is not a type expression")
end

function read_name(@nospecialize(mod), @nospecialize(name))
    mod isa Module || unreadable(mod, " is not a module")
    name isa Symbol || unreadable(repr(name), " is not a name")
    isdefined(mod, name) || unreadable(mod, ".", name, " is not defined")
    return getglobal(mod, name)
end

"A number in the text. The parser turns numbers of more than 64 bits into macro calls."
literal(@nospecialize ex) = ex isa Expr && ex.head === :macrocall && ex.args[1] == GlobalRef(Core, Symbol("@uint128_str")) &&
    ex.args[end] isa String ? something(tryparse(UInt128, ex.args[end]), ex) : ex

function read_bits(@nospecialize(type), @nospecialize(bits))
    type isa DataType && isprimitivetype(type) && bits isa Unsigned && sizeof(bits) >= sizeof(type) ||
        unreadable("the bits of ", type, " are invalid")
    source = Ref(bits)
    GC.@preserve source begin
        return ccall(:jl_new_bits, Any, (Any, Ptr{Cvoid}), type, Base.unsafe_convert(Ptr{Cvoid}, source))
    end
end

function read_new(@nospecialize(type), fields::Vector{Any})
    type isa DataType && isbitstype(type) && length(fields) == fieldcount(type) ||
        unreadable(type, " is not a plain immutable type with ", length(fields), " fields")
    for (number, field) in enumerate(fields)
        field isa fieldtype(type, number) || unreadable("field ", number, " of ", type, " is not of type ", fieldtype(type, number))
    end
    return ccall(:jl_new_structv, Any, (Any, Ptr{Any}, UInt32), type, fields, length(fields))
end

function read_where(ex::Expr, root, variables)
    inner = copy(variables)
    added = TypeVar[]
    for part in ex.args[2:end]
        variable = read_variable(part, root, inner)
        push!(inner, variable.name => variable)
        push!(added, variable)
    end
    type = read_value(ex.args[1], root, inner)
    for variable in reverse(added)
        type = UnionAll(variable, type)
    end
    return type
end

function read_variable(@nospecialize(ex), root, variables)
    value(@nospecialize part) = read_value(part, root, variables)
    ex isa Symbol && return TypeVar(ex)
    if ex isa Expr && ex.head === :comparison && length(ex.args) == 5 && ex.args[3] isa Symbol
        return TypeVar(ex.args[3], value(ex.args[1]), value(ex.args[5]))
    elseif ex isa Expr && ex.head in (:<:, :>:) && length(ex.args) == 2
        a, b = ex.args
        fresh(part) = part isa Symbol && root(part) === nothing && !isdefined(Core, part) && !isdefined(Base, part) &&
            findlast(known -> known.first === part, variables) === nothing
        # `Lower<:T` means the same as `T>:Lower`. The variable is the name that is not defined.
        ex.head === :<: && fresh(a) && return TypeVar(a, value(b))
        ex.head === :<: && fresh(b) && return TypeVar(b, value(a), Any)
        ex.head === :>: && a isa Symbol && return TypeVar(a, value(b), Any)
        ex.head === :<: && a isa Symbol && return TypeVar(a, value(b))
    end
    unreadable("it contains an invalid `where ", ex, "`")
end

"""
The root module with this name: a loaded one, `Core`, `Base` or `Main`. Throws an error if there are several. A package has
precedence over a package with the same name in the sysimage.
"""
function loaded_root(name::Symbol)
    name === :Core && return Core
    name === :Base && return Base
    name === :Main && return Main
    found, several = nothing, count(id -> id.name == String(name), keys(Base.loaded_modules)) > 1
    for (id, mod) in Base.loaded_modules
        id.name == String(name) && !(several && Base.in_sysimage(id)) || continue
        found === nothing || found === mod || unreadable("there are several packages called ", name)
        found = mod
    end
    return found
end

"The method instance that `precompile` compiles for this signature, or what is wrong with it."
function instance_of(@nospecialize(signature), world)
    matches = Base._methods_by_ftype(signature, -1, world)
    (matches isa Vector && !isempty(matches)) || return "no method matches"
    match = length(matches) == 1 ? matches[1]::Core.MethodMatch : most_general(signature, matches)
    match === nothing && return "its arguments are too abstract: $(length(matches)) methods match"
    # Julia compiles one for several signatures where the method says so.
    types = Core.Compiler.get_compileable_sig(match.method, match.spec_types, match.sparams)
    (types === nothing || types === match.spec_types) && return ccall(:jl_specializations_get_linfo, Any, (Any, Any, Any),
        match.method, match.spec_types, match.sparams)::Core.MethodInstance
    meet = ccall(:jl_type_intersection_with_env, Any, (Any, Any), types, match.method.sig)::Core.SimpleVector
    return ccall(:jl_specializations_get_linfo, Any, (Any, Any, Any), match.method, types, meet[2])::Core.MethodInstance
end

"""
Which of several matches `precompile` takes, as `jl_get_compile_hint_specialization` says: of those that this signature is
compiled for as it stands, the one that is more specific than no other.
"""
function most_general(@nospecialize(signature), matches::Vector)
    signature isa DataType || return nothing
    compiled = Core.MethodMatch[match for match in matches if
        ccall(:jl_isa_compileable_sig, Int32, (Any, Any, Any), signature, match.sparams, match.method) != 0]
    general = Core.MethodMatch[match for match in compiled if
        !any(other -> other !== match && Base.morespecific(match.method.sig, other.method.sig), compiled)]
    return length(general) == 1 ? general[1] : nothing
end
