# Steady state: hot loops compiled ahead of time and taken from the cache, against the same compiled by
# the JIT; and loops of the session's own, compiled by the JIT, over functions of the package.

const LOOPS = ["arrays", "dictionaries", "strings", "sorting", "dispatch", "transcendental", "closures", "allocation",
    "exceptions", "unions", "broadcasting", "tasks", "nbody", "edits", "ways"]
const CALLERS = ["calls_small", "calls_generic"]

# The best of nine.
const LOOP_BEST = """
function bench_best(loop)
    result, best = loop(), Inf
    for _ in 1:9
        GC.gc()
        start = bench_clock()
        loop()
        best = min(best, bench_clock() - start)
    end
    return result, best
end
"""

# Each loop for some 0.1 s; the results must agree.
const LOOP_SCRIPT = Measure.CLOCK * LOOP_BEST * """
using HotLoops
for name in $(Symbol.(LOOPS))
    result, best = bench_best(getfield(HotLoops, name))
    println(name, '\\t', result, '\\t', best)
end
# What the session itself defines calls into the package: inlining must work as without the cache.
@noinline function calls_small()     # or it would be inlined, and left out since nobody reads the result
    total = 0
    for i in 1:60_000_000
        total += HotLoops.small(i)
    end
    return total
end
@noinline function calls_generic()
    total = 0.0
    for i in 1:1500
        total += HotLoops.generic([i, 2.5, i + 1], x -> x * 2)
    end
    return total
end
for loop in (calls_small, calls_generic)
    result, best = bench_best(loop)
    println(nameof(loop), '\\t', result, '\\t', best)
end
"""

# Where the JIT puts a loop changes its time by some per cent, so each run has another number of functions before it.
displaced(number) = string(("@noinline placed$i(x) = x + $i\nplaced$i(1)\n" for i in 1:number)...)

read_results(run) = Dict(field[1] => (result = field[2], seconds = parse(Float64, field[3]))
                         for field in split.(split(run.out, '\n'; keepempty = false), '\t'))

function steady(settings)
    settings.say("steady state")
    box = Box()
    try
        add_package(box, "HotLoops", read(joinpath(@__DIR__, "HotLoops.jl"), String))
        julia!(box, "using HotLoops\nusing NativeCache")
        trace = joinpath(box.root, "trace.jl")
        julia!(box, LOOP_SCRIPT; flags = `--trace-compile=$trace`)
        # A trace names what dispatch compiles; the loops are compiled with their only caller.
        loops = ["Tuple{typeof(HotLoops.$name)}" for name in LOOPS]
        also = ["Tuple{typeof(HotLoops.small), Int64}"]
        result = build(box, repr("HotLoops"), [Sandbox.traced(trace); loops; also])
        result.library === nothing && error(result.message)
        missed = setdiff(loops, statements(result["compiled"]))
        isempty(missed) || error("not cached, so not measured: $missed")
        runs = settings.quick ? 3 : max(settings.runs, 9)
        session(first_line) = (number = Ref(0); () -> read_results(julia!(box, string(first_line, displaced(number[] += 1), LOOP_SCRIPT))))
        without, with = in_turn(runs, session(""), session("using NativeCache\n"))
        rows = map([LOOPS; CALLERS]) do name
            length(unique(run[name].result for run in [without; with])) == 1 || error("$name: the results differ")
            row("steady state", name in CALLERS ? "$name, uncached code over cached" : name, "s", "JIT" => "cached",
                [run[name].seconds for run in without], [run[name].seconds for run in with]; budget = 1.03)
        end
        ratios = [median([run[name].seconds for run in with]) / median([run[name].seconds for run in without]) for name in LOOPS]
        return [rows; row("steady state", "mean of the ratios", "", "JIT" => "cached", [1.0], [sum(ratios) / length(ratios)]; budget = 1.0)]
    finally
        remove(box)
    end
end
