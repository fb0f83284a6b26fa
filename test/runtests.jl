# All tests of the Julia side; each file mirrors one of the sources. `julia test/runtests.jl build load`
# runs only those files. Several run side by side, as many as the machine has cores, at most four;
# NATIVECACHE_TEST_LANES=1 says how many.

using Distributed

# What the engine of Julia 1.10 and later has, and those of the other files that hold on it as they are.
const COMPANION_FILES = ["companion", "edges", "clean", "explain", "verify", "config", "profile", "lines", "store"]

# Every other file of this folder is a part of the tests on Julia 1.5.
const FILES = VERSION >= v"1.10" ? COMPANION_FILES : [name[1:end-3] for name in readdir(@__DIR__)
               if endswith(name, ".jl") && !(name in ("runtests.jl", "lane.jl", "sandbox.jl", "shared.jl", "companion.jl"))]

# Those that take longest, so that none of them begins when the others are done.
const LONG = ["faults", "suites", "load", "build", "verify", "docs", "random", "reasons", "edges", "stale", "status", "key"]

function main(chosen)
    unknown = setdiff(chosen, FILES)
    isempty(unknown) || error("no such test file: ", join(unknown, ", "), "; there are ", join(FILES, ", "))
    started = time()
    files = isempty(chosen) ? [filter(in(FILES), LONG); setdiff(FILES, LONG)] : chosen
    lanes = parse(Int, get(ENV, "NATIVECACHE_TEST_LANES", string(min(Sys.CPU_THREADS, 4))))
    flags = `--startup-file=no --history-file=no --color=no`
    pids = addprocs(min(lanes, length(files)); exeflags = flags)
    lane = joinpath(@__DIR__, "lane.jl")
    foreach(pid -> remotecall_fetch(Base.include, pid, Main, lane), pids)
    free = Channel{Int}(length(pids))
    foreach(pid -> put!(free, pid), pids)
    results = asyncmap(files; ntasks = length(pids)) do file
        pid = take!(free)
        result = remotecall_fetch(Core.eval, pid, Main, :(run_file($file)))
        put!(free, pid)
        println(rpad(file, 12), lpad(result.passed, 5), " passed ", lpad(length(result.bad), 3), " failed ",
            lpad(round(Int, result.seconds), 5), " s")
        flush(stdout)   # a file is buffered
        return result
    end
    rmprocs(pids)
    # At the end once more, where it is looked for.
    foreach(text -> println("\n", text), Iterators.flatten(result.bad for result in results))
    passed, bad = sum(result -> result.passed, results), sum(result -> length(result.bad), results)
    println("in ", round(Int, time() - started), " s")
    println(passed, " passed, ", bad, " failed")
    exit(bad == 0 && passed > 0 ? 0 : 1)
end

main(ARGS)
