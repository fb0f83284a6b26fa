# make bench: hot loops compiled ahead of time and taken from the cache, against the same
# compiled by the JIT. Fresh processes in turn, in each of them the best of several repetitions,
# of these the median; the budget is 1.03. Prints a table, and the figures as JSON.

include(joinpath(@__DIR__, "..", "test", "sandbox.jl"))
using .Sandbox
using .Sandbox: julia!, statements

const LOOPS = ["arrays", "dictionaries", "strings", "sorting", "dispatch", "transcendental", "closures", "allocation"]
const RUNS = parse(Int, get(ENV, "BENCH_RUNS", "7"))
const BUDGET = 1.03

const CLOCK = """
function sandbox_clock()
    now = Ref((0, 0))
    ccall(:clock_gettime, Cint, (Cint, Ptr{Cvoid}), 3, now)     # CLOCK_THREAD_CPUTIME_ID
    return now[][1] + now[][2] / 1e9
end
"""

# Each loop for some 0.1 s, the best of nine; the results must agree.
const SCRIPT = CLOCK * """
using HotLoops
function sandbox_best(loop)
    result, best = loop(), Inf
    for _ in 1:9
        GC.gc()
        start = sandbox_clock()
        loop()
        best = min(best, sandbox_clock() - start)
    end
    return result, best
end
for name in $(Symbol.(LOOPS))
    result, best = sandbox_best(getfield(HotLoops, name))
    println(name, '\\t', result, '\\t', best)
end
"""

read_results(run) = Dict(field[1] => (result = field[2], seconds = parse(Float64, field[3]))
                         for field in split.(split(run.out, '\n'; keepempty = false), '\t'))

function measure(box)
    add_package(box, "HotLoops", read(joinpath(@__DIR__, "HotLoops.jl"), String))
    julia!(box, "using HotLoops")
    trace = joinpath(box.root, "trace.jl")
    julia!(box, SCRIPT; flags = `--trace-compile=$trace`)
    # A trace names what dispatch compiles; the loops are compiled with their only caller.
    loops = ["Tuple{typeof(HotLoops.$name)}" for name in LOOPS]
    result = build(box, repr("HotLoops"), [Sandbox.traced(trace); loops])
    result.library === nothing && error(result.message)
    missed = setdiff(loops, statements(result["compiled"]))
    isempty(missed) || error("not cached, so not measured: $missed")
    without, with = [], []
    for _ in 1:RUNS
        push!(without, read_results(julia!(box, SCRIPT)))
        push!(with, read_results(julia!(box, "using NativeCache\n" * SCRIPT)))
    end
    return without, with
end

"Milliseconds of `using`: NativeCache, against an empty package that is precompiled too."
function load_times(box)
    add_package(box, "Empty", "module Empty end")
    script(name) = CLOCK * "sandbox_clock()\nconst t = sandbox_clock()\nusing $name\nprint((sandbox_clock() - t) * 1e3)"
    foreach(name -> julia!(box, script(name)), ("Empty", "NativeCache"))
    empty, cache = Float64[], Float64[]
    for _ in 1:RUNS
        push!(empty, parse(Float64, julia!(box, script("Empty")).out))
        push!(cache, parse(Float64, julia!(box, script("NativeCache")).out))
    end
    return median(empty), median(cache)
end

function main()
    box = Box()
    without, with, empty, cache = try
        (measure(box)..., load_times(box)...)
    finally
        remove(box)
    end
    rows = map(LOOPS) do name
        length(unique(run[name].result for run in [without; with])) == 1 || error("$name: the results differ")
        jit, cached = median(run[name].seconds for run in without), median(run[name].seconds for run in with)
        (name = name, jit = jit, cached = cached, ratio = cached / jit)
    end
    println(rpad("loop", 16), lpad("JIT", 10), lpad("cached", 10), lpad("ratio", 8))
    ms(s) = string(round(1e3 * s; digits = 2), " ms")
    for row in rows
        println(rpad(row.name, 16), lpad(ms(row.jit), 10), lpad(ms(row.cached), 10), lpad(string(round(row.ratio; digits = 3)), 8),
            row.ratio > BUDGET ? "  over $BUDGET" : "")
    end
    println("\nusing: an empty package ", round(empty; digits = 1), " ms, NativeCache ", round(cache; digits = 1), " ms")
    println("medians of ", RUNS, " runs\n")
    println("{\"runs\": ", RUNS, ", \"loops\": {", join(("\"$(row.name)\": {\"jit_s\": $(row.jit), \"cached_s\": $(row.cached), " *
        "\"ratio\": $(round(row.ratio; digits = 4))}" for row in rows), ", "), "}, \"using_empty_ms\": ", empty,
        ", \"using_nativecache_ms\": ", cache, "}")
end

main()
