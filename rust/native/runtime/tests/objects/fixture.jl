# The package of these tests: a root module, as one that was loaded, with one of everything that a description can lead to.
Base.eval(Base.__toplevel__, Expr(:module, true, :Fixture, quote
    struct Point
        x::Float64
        y::Float64
    end

    "With bytes between its fields that nobody writes."
    struct Padded
        a::UInt8
        b::Int64
        c::UInt8
    end

    struct Boxed
        value
    end

    "References, and what lies inline: bits, and a struct with a reference in it."
    struct Mixed{T}
        name::Symbol
        value::T
        bytes::Tuple{UInt8,Int32}
        inner::Pair{Int64,Any}
    end

    "A union that lies inline."
    struct Choice
        value::Union{Nothing,Int64,UInt8}
        last::Int8
    end

    struct Address
        at::Ptr{Cvoid}
        size::Int64
    end

    struct Empty end

    struct Undefined
        value
        Undefined() = new()
    end

    mutable struct Cell
        value
    end

    primitive type Odd 24 end

    abstract type Shape{T} end

    struct Square{T,N} <: Shape{T} end

    const Squares{T} = Vector{Square{T,1}}
    const LIST = Any[1, 2]
    const TABLE = IdDict{Any,Any}()
    const HOLDER = (items = Any[], number = 1)
    variable = 1

    module Inner
    struct Deep{T}
        value::T
    end
    module Innermost
    const CELL = Ref(1)
    end
    end

    plain(x) = x + 1
    parametric(x::T, rest::Vector{T}...) where {T<:Real} = (x, rest)
    keywords(x; a = 1, b = :none) = (x, a, b)
    adder(x) = y -> x + y
    quotes(x) = Expr(:call, :(a.b + $x), QuoteNode(:c))
    (shape::Square{T})(x) where {T} = convert(T, x)
end))

const Fixture = Base.root_module(Base.PkgId("Fixture"))

# A mutable object in code of a method that was defined after the package was there.
Base.eval(Fixture, :(held() = $(Fixture.Cell(5))))

# The same in the first method of a package, which counts as one that its image brought: it has no `eval` before it.
Base.eval(Base.__toplevel__, Expr(:module, false, :Held, quote
    held() = $(Fixture.Cell(5))
end))

const Held = Base.root_module(Base.PkgId("Held"))

# A method, and another with its signature.
Base.eval(Fixture, :(replaced() = 1))
const OLD = which(Fixture.replaced, ())
Base.eval(Fixture, :(replaced() = 2))

struct InMain end

"An object of this type with these fields, without compiling a constructor."
new(@nospecialize(type), fields::Vector{Any}) =
    ccall(:jl_new_structv, Any, (Any, Ptr{Any}, UInt32), type, fields, length(fields))

bits(@nospecialize(type), bytes::Vector{UInt8}) = ccall(:jl_new_bits, Any, (Any, Ptr{UInt8}), type, bytes)

"The specialisation of the method that a call has."
function instance(@nospecialize(f), types...)
    signature = Tuple{Core.Typeof(f),types...}
    method = which(f, types)
    parameters = ccall(:jl_type_intersection_with_env, Any, (Any, Any), signature, method.sig)[2]
    return ccall(:jl_specializations_get_linfo, Any, (Any, Any, Any), method, signature, parameters)
end

function nameless()
    anonymous = Module(:Nameless)
    Base.eval(anonymous, :(struct T end))
    return anonymous
end
