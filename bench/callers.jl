# Code of the user's own, compiled by the JIT, over cached functions: it must be inferred and optimised as it
# is without the cache, only sooner. Functions in Main over small functions of a package, each against the same
# without the cache; and the first call of functions in Main over trained packages.

const CALLED = """
    module Called
    struct Point; x::Float64; y::Float64; end
    Base.:+(a::Point, b::Point) = Point(a.x + b.x, a.y + b.y)
    norm2(p::Point) = p.x^2 + p.y^2
    between(x, low, high) = low <= x <= high
    clipped(x, low, high) = x < low ? low : x > high ? high : x
    mixed(a, b) = xor(a * 0x9e3779b97f4a7c15, b >> 7)
    poly(x) = @evalpoly(x, 1.0, 0.5, 0.25, 0.125)
    scaled(x; by = 2, shift = 1) = x * by + shift
    maybe(i) = i % 3 == 0 ? nothing : i
    pair(i) = (i, i + 1.5)
    second(t) = t[2]
    apply(f, x) = f(x) + 1
    is_vowel(c::Char) = c in ('a', 'e', 'i', 'o', 'u')
    at(v, i) = @inbounds v[i]
    @noinline far(x) = muladd(x, 3, 1)
    @noinline shape(i) = i % 2 == 0 ? 1 : 2.5
    mutable struct Counter; n::Int; end
    bump!(c::Counter) = (c.n += 1)
    end
    """

# What of it is called, as inference sees it in the functions below.
const CALLED_METHODS = ["Tuple{typeof(+), Called.Point, Called.Point}", "Tuple{typeof(Called.norm2), Called.Point}",
    "Tuple{typeof(Called.between), Int64, Int64, Int64}", "Tuple{typeof(Called.clipped), Float64, Float64, Float64}",
    "Tuple{typeof(Called.mixed), UInt64, UInt64}", "Tuple{typeof(Called.poly), Float64}", "Tuple{typeof(Called.scaled), Int64}",
    "Tuple{Core.kwftype(typeof(Called.scaled)), NamedTuple{(:by,), Tuple{Int64}}, typeof(Called.scaled), Int64}",
    "Tuple{typeof(Called.maybe), Int64}", "Tuple{typeof(Called.pair), Int64}", "Tuple{typeof(Called.second), Tuple{Int64, Float64}}",
    "Tuple{typeof(Called.is_vowel), Char}", "Tuple{typeof(Called.at), Array{Float64, 1}, Int64}",
    "Tuple{typeof(Called.far), Int64}", "Tuple{typeof(Called.shape), Int64}", "Tuple{typeof(Called.bump!), Called.Counter}"]

# Each for some 20 ms.
const CALLER_FUNCTIONS = [
    "points" => "(s = Called.Point(0, 0); for i in 1:4_000_000; s += Called.Point(i, 1.0); end; Called.norm2(s))",
    "between" => "(n = 0; for i in 1:30_000_000; n += Called.between(xor(i, 12345), 7, 1 << 20); end; n)",
    "clipped" => "(s = 0.0; for i in 1:8_000_000; s += Called.clipped(i * 0.5, 3.0, 1e6); end; s)",
    "mixed" => "(h = UInt(1); for i in 1:8_000_000; h = Called.mixed(h, i % UInt); end; h)",
    "poly" => "(s = 0.0; for i in 1:8_000_000; s += Called.poly(i * 1e-6); end; s)",
    "keywords" => "(s = 0; for i in 1:30_000_000; s = xor(s, Called.scaled(s; by = 3) + Called.scaled(i)); end; s)",
    "unions" => "(s = 0; for i in 1:8_000_000; v = Called.maybe(xor(s, i)); v === nothing || (s += v); end; s)",
    "tuples" => "(s = 0.0; for i in 1:8_000_000; s += Called.second(Called.pair(i)); end; s)",
    "closures" => "(k = 3; s = 0; for i in 1:20_000_000; s = xor(s, Called.apply(x -> x * k, i)); end; s)",
    "characters" => "(n = 0; for i in 1:8_000_000; n += Called.is_vowel('a' + i % 26); end; n)",
    "arrays" => "(v = collect(1.0:1000.0); s = 0.0; for j in 1:8_000, i in 1:1000; s += Called.at(v, i); end; s)",
    "not inlined" => "(s = 0; for i in 1:8_000_000; s = xor(s, Called.far(i)); end; s)",
    "small unions" => "(s = 0.0; for i in 1:3_000_000; s += Called.shape(i); end; s)",
    "mutable" => "(c = Called.Counter(0); for i in 1:30_000_000; Called.bump!(c); c.n = xor(c.n, i); end; c.n)",
]

const CALLER_SCRIPT = Measure.CLOCK * LOOP_BEST * """
using Called
$(join("@noinline caller$i() = $body\n" for (i, (_, body)) in enumerate(CALLER_FUNCTIONS)))
for (name, f) in zip($(repr(first.(CALLER_FUNCTIONS))), ($(join("caller$i, " for i in 1:length(CALLER_FUNCTIONS)))))
    result, best = bench_best(f)
    println(name, '\\t', result, '\\t', best)
end
"""

# Sessions that train a package, and a function of the user's that uses it in another way.
const FIRST_CALLERS = [
    "Dates" => "report(a, b) = string(Dates.format(a + Day(3), \"yyyy-mm-dd HH:MM\"), ' ', Dates.dayname(a), ' ', Dates.value(Date(b) - Date(a)))" =>
        "report(DateTime(2020, 2, 29, 13), DateTime(\"2021-03-14T10:11:12\"))",
    "Markdown" => "page(title) = sprint(show, MIME(\"text/html\"), Markdown.parse(\"# \$title\\n\\nSome *words*, `code`\\n\\n- a\\n- b\\n\"))" =>
        "page(\"A title\")",
    "SHA" => "digest(text) = string(bytes2hex(sha256(text)), bytes2hex(sha1(Vector{UInt8}(text))))" => "digest(\"some text\")",
]

function callers(settings)
    settings.say("callers of cached functions")
    rows = Row[]
    box = Box()
    try
        add_package(box, "Called", CALLED)
        julia!(box, "using Called\nusing NativeCache")
        result = build(box, repr("Called"), CALLED_METHODS)
        missed = setdiff(CALLED_METHODS, statements(result["compiled"]))
        isempty(missed) || error("not cached, so not measured: $missed")
        without, with = in_turn(max(settings.runs, 3), () -> read_results(julia!(box, CALLER_SCRIPT)),
            () -> read_results(julia!(box, "using NativeCache\n" * CALLER_SCRIPT)))
        for (name, _) in CALLER_FUNCTIONS
            length(unique(run[name].result for run in [without; with])) == 1 || error("$name: the results differ")
            push!(rows, row("callers", "$name, in Main", "s", "without" => "cached", [run[name].seconds for run in without],
                [run[name].seconds for run in with]; budget = 1.03))
        end
        for (package, (definition, call)) in FIRST_CALLERS
            add_stdlib_copy(box, package)
            body = read(joinpath(SESSIONS, "$package.jl"), String)
            julia!(box, "using NativeCache\n" * body)
            build(box, repr(package), Sandbox.trace_session(box, body; cached = false)[1]).library === nothing && error(package)
            script(cached) = string(Measure.CLOCK, cached ? "using NativeCache\n" : "", "using $package\n", definition,
                "\nconst t = bench_clock()\nconst said = $call\nconst seconds = bench_clock() - t\nprint(seconds, '\\t', said)")
            first(cached) = split(julia!(box, script(cached)).out, '\t'; limit = 2)
            without, with = in_turn(settings.runs, () -> first(false), () -> first(true))
            length(unique(last.([without; with]))) == 1 || error("$package: the results differ")
            push!(rows, row("callers", "first call of a function in Main over $package", "s", "without" => "cached",
                parse.(Float64, getindex.(without, 1)), parse.(Float64, getindex.(with, 1)); budget = 0.2))
        end
    finally
        remove(box)
    end
    return rows
end
