# Functions of all the forms that Julia's code generator has a calling convention for, and calls of real ones.
module Fixture

mutable struct Counter
    n::Int
end
struct Mixed
    n::Int
    rest::Any
end
const COUNTER = Counter(0)
const TABLE = Dict{Symbol,Int}(:a => 1, :b => 2)
global variable = 3

boxed(x::Int) = x > 3 ? "more" : :less
bits(x::Int) = x > 3 ? 1 : x > 2 ? nothing : 2.0
struct_union(x::Int) = x > 3 ? Mixed(x, :a) : nothing
sret(x::Int) = (x, x + 1, x + 2, 4.0)
roots(x) = x isa Int ? Mixed(1, "s") : Mixed(2, x)
ghost(x::Int) = x > 3 ? nothing : missing
phi(c::Bool) = (c ? :x : :y, c ? Int : String)
sparam(x::Vector{T}) where {T} = T
varargs(a, b...) = (a, length(b), b)
keywords(x; a = 1, b = "two") = (x, a, b)
closure(n) = map(x -> x + n, [1, 2, 3])
recursion(n) = n < 2 ? n : recursion(n - 1) + recursion(n - 2)
mutates() = (COUNTER.n += 1; COUNTER.n > 0)
global_value() = variable + 1
set_global(x) = (global variable = x; variable)
lookup(s) = get(TABLE, s, 0)
throws(x) = try
    error("no $x")
catch e
    sprint(showerror, e)
end
type_error(x) = try
    (x::String)
catch e
    e isa TypeError
end
undefined() = try
    this_is_not_defined
catch e
    e.var
end
finally_block(x) = (r = Int[]; try; push!(r, x); x > 1 && return r; finally; push!(r, 0); end; r)
strlen(s) = ccall(:strlen, Csize_t, (Cstring,), s)
missing_library() = try
    ccall((:no_such_function, :libnosuchlibrary), Int, ())
catch e
    e isa ErrorException
end
world_counter() = unsafe_load(cglobal(:jl_world_counter, UInt)) > 0
compare(a::Int, b::Int)::Cint = cmp(a, b)
sorted(v) = (v = copy(v); ccall(:qsort, Cvoid, (Ptr{Int}, Csize_t, Csize_t, Ptr{Cvoid}), v, length(v), 8,
                                @cfunction(compare, Cint, (Ref{Int}, Ref{Int}))); v)
is_null(p::Ptr) = p == C_NULL
pointer_constant() = Ptr{Int}(16)
number() = 0x00007f0123456789 + 1 # looks like an address
wide() = 0x1234567890abcdef1234567890abcdef
symbols(s) = s === :a || s === :b || s === :c
big(n) = factorial(BigInt(n))
splat(v) = +(v...)
dynamic(f, x) = f(x)
invoked(x) = invoke(string, Tuple{Any}, x)
applied(f, v) = mapreduce(f, +, v)
preserve(s) = GC.@preserve s unsafe_load(pointer(s))
locked() = (l = ReentrantLock(); lock(() -> 7, l))
task(x) = fetch(@async x + 1)
allocates(n) = sum(length(string(i)) for i in 1:n)
collects(n) = (v = Any[]; for i in 1:n; push!(v, (i, string(i))); i % 100 == 0 && GC.gc(false); end; length(v))
generator() = collect(i^2 for i in 1:4 if isodd(i))
interpolated(x) = "$x and $(x + 1) of $(typeof(x))"
unions(v::Vector{Union{Int,Missing}}) = sum(skipmissing(v))
tuples(t::NTuple{4,Int}) = map(x -> 2x, t)
nested(x) = ((x, (x, "in")), [x => :p])
@noinline function late(x)
    y = x
    for i in 1:3
        y = y isa Int ? float(y) : y isa Float64 ? string(y) : 1
    end
    y
end

@noinline deep(x) = x > 0 ? throw(ArgumentError("deep")) : x
fails(x) = deep(x) + 1 # its line is looked for in the trace

# Floating point: what the passes and the machine make of it must be what the just-in-time compiler makes.
muladds(a, b, c) = muladd(a, b, c) + a * b - c
simd_sum(v) = (s = zero(eltype(v)); @simd for x in v; s += x; end; s)
plain_sum(v) = (s = zero(eltype(v)); for x in v; s += x; end; s)
fast(a, b) = @fastmath (a * b + a / b - sqrt(a)) / (a + b)
@noinline dot_fast(v, w) = (s = 0.0; @fastmath @inbounds for i in eachindex(v); s += v[i] * w[i]; end; s)
transcendental(x) = sin(x) + exp(x) * log(abs(x) + 1) - abs(x)^0.37 + tanh(x) / (1 + x^2)
division(a, b) = (div(a, b), mod(a, b), a / b, rem(a, b), divrem(a, b))
matmul(a, b) = (c = zeros(size(a, 1), size(b, 2)); @inbounds for j in axes(b, 2), k in axes(a, 2), i in axes(a, 1)
    c[i, j] += a[i, k] * b[k, j]
end; c)
halves(x) = Float16(x) * Float16(1.5) + Float16(0.1)
complexes(z) = exp(z) * z^2 / (z + 1)
polynomial(x) = evalpoly(x, (1.0, -2.5, 3.25, 0.1, 7.0))

end

const VALUES = [0.1 * i - 3.7 + 1 / (i + 0.3) for i in 1:1003]
const F = Fixture
const CASES = Any[
    (F.boxed, 2), (F.boxed, 7), (F.bits, 1), (F.bits, 3), (F.bits, 9), (F.struct_union, 1), (F.struct_union, 8),
    (F.sret, 4), (F.roots, 1), (F.roots, "x"), (F.ghost, 1), (F.ghost, 9), (F.phi, true), (F.phi, false),
    (F.sparam, [1]), (F.varargs, 1, 2, 3), (F.keywords, 1), (F.closure, 4), (F.recursion, 12), (F.mutates,),
    (F.global_value,), (F.set_global, 3), (F.lookup, :b), (F.throws, 5), (F.type_error, 1), (F.undefined,),
    (F.finally_block, 1), (F.finally_block, 2), (F.strlen, "four"), (F.missing_library,), (F.world_counter,),
    (F.sorted, [3, 1, 2]), (F.is_null, C_NULL), (F.pointer_constant,), (F.number,), (F.wide,), (F.symbols, :b),
    (F.big, 30), (F.splat, [1, 2, 3]), (F.dynamic, sin, 1.0), (F.invoked, 3), (F.applied, abs, [-1, 2]),
    (F.preserve, "abc"), (F.locked,), (F.task, 4), (F.allocates, 1000), (F.collects, 1000), (F.generator,),
    (F.interpolated, 4), (F.unions, Union{Int,Missing}[1, missing, 3]), (F.tuples, (1, 2, 3, 4)), (F.nested, 1),
    (F.late, 1), (F.fails, 1), (F.fails, 0),
    (F.muladds, 0.1, 0.7, -0.07), (F.muladds, 0.1f0, 0.7f0, -0.07f0), (F.simd_sum, VALUES),
    (F.simd_sum, Float32.(VALUES)), (F.plain_sum, VALUES), (F.fast, 0.3, 0.7), (F.dot_fast, VALUES, reverse(VALUES)),
    (F.transcendental, 0.73), (F.transcendental, -5.1), (F.division, 17, -5), (F.division, 17.5, -5.25),
    (F.matmul, reshape(VALUES[1:144], 12, 12), reshape(VALUES[145:288], 12, 12)), (F.halves, 0.3),
    (F.complexes, 0.3 + 0.9im), (F.polynomial, 0.77),
    # of Base
    (string, 1, "two", :three), (parse, Int, "123"), (parse, Float64, "1.5e3"), (split, "a,b,c", ","),
    (join, ["a", "b"], ", "), (replace, "aXbX", "X" => "-"), (sort, [3, 1, 2]), (sort, ["b", "a"]),
    (unique, [1, 1, 2]), (reverse, "abc"), (uppercase, "abc"), (occursin, r"b+", "abbbc"),
    (match, r"(\d+)", "a12b"), (hex2bytes, "0aff"), (digits, 1234), (gcd, 12, 18), (big, 3), (sqrt, 2.0),
    (collect, 1:5), (map, abs, [-1, 2]), (filter, isodd, [1, 2, 3]), (sum, [1.5, 2.5]), (cumsum, [1, 2, 3]),
    (zip, 1:2, 3:4), (Dict, :a => 1), (merge, Dict(:a => 1), Dict(:b => 2)), (setdiff, [1, 2, 3], [2]),
    (repr, [1, 2]), (repr, (a = 1, b = "c")), (sprint, show, 1.25), (lpad, "a", 3), (bitstring, 5),
    (isapprox, 1.0, 1.0 + 1e-12), (hash, "abc"), (copy, Dict(1 => "one")), (findfirst, ==(2), [1, 2, 3]),
    (tryparse, Int, "x"), (vcat, [1], [2]), (broadcast, +, [1, 2], 3), (eltype, [1]), (typejoin, Int, String),
    (titlecase, "a word"), (strip, "  a "), (chomp, "a\n"), (string, 1.0f0), (read, IOBuffer("abc"), String),
    (startswith, "abc", "ab"), (first, [1, 2]), (last, "abc"), (isempty, ""), (range, 1, 2), (rationalize, 0.25),
]
