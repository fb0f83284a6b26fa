# All tests of the Julia side; each file mirrors one of the sources. `julia test/runtests.jl build load`
# runs only those files. Several run side by side, as many as the machine has cores, at most four;
# NATIVECACHE_TEST_LANES=1 says how many. NATIVECACHE_TEST_IMAGES=/a/folder keeps the images of NativeCache that the sessions of
# Julia 1.10 and later load, for another run.

using Distributed

# What the engine of Julia 1.10 and later has, and those of the other files that hold on it as they are.
const COMPANION_FILES = ["companion", "edges", "clean", "explain", "verify", "config", "profile", "lines", "store",
    "cli", "workload", "trace"]

# Every other file of this folder is a part of the tests on Julia 1.5.
const FILES = VERSION >= v"1.10" ? COMPANION_FILES : [name[1:end-3] for name in readdir(@__DIR__)
               if endswith(name, ".jl") && !(name in ("runtests.jl", "lane.jl", "sandbox.jl", "shared.jl", "own_library.jl", "companion.jl"))]

# Those that take longest, so that none of them begins when the others are done.
const LONG = ["companion", "clean", "explain", "cli", "faults", "suites", "load", "build", "verify", "docs", "random", "reasons", "edges", "stale", "status", "key"]

"""
A depot with native code of NativeCache, which all sessions have behind their own: the hundreds of processes that build and
ask would each compile it. From Julia 1.10 on that is an image with what the tests call (src/companion/precompile.jl), before
it the library that NativeCache makes of itself (own_library.jl).
"""
function with_images(body, chosen)
    kept = get(ENV, "NATIVECACHE_TEST_IMAGES", "")
    # A file or two compile less than making it takes.
    VERSION < v"1.10" && isempty(kept) && 1 <= length(chosen) <= 3 && return body("")
    folder = isempty(kept) ? mktempdir(; prefix = "nativecache té st ") : mkpath(kept)
    try
        env = Dict{String,String}(name => value for (name, value) in ENV if !startswith(name, "JULIA_"))
        env["JULIA_DEPOT_PATH"] = VERSION < v"1.11" ? folder : "$folder:"
        env["JULIA_LOAD_PATH"] = "$(dirname(@__DIR__)):@stdlib"
        env["JULIA_TESTS"] = "true"
        env["NATIVECACHE_TEST_IMAGE"] = ""
        script = joinpath(@__DIR__, "own_library.jl")
        what = VERSION < v"1.10" ? `$script` : `-e "import NativeCache"`
        run(setenv(`$(Base.julia_cmd()) --startup-file=no $what`, env))
        return body(folder)
    finally
        isempty(kept) && rm(folder; recursive = true, force = true)
    end
end

main(chosen) = with_images(images -> main(chosen, images), chosen)

function main(chosen, images)
    unknown = setdiff(chosen, FILES)
    isempty(unknown) || error("no such test file: ", join(unknown, ", "), "; there are ", join(FILES, ", "))
    started = time()
    files = isempty(chosen) ? [filter(in(FILES), LONG); setdiff(FILES, LONG)] : chosen
    lanes = parse(Int, get(ENV, "NATIVECACHE_TEST_LANES", string(min(Sys.CPU_THREADS, 4))))
    flags = `--startup-file=no --history-file=no --color=no`
    pids = addprocs(min(lanes, length(files)); exeflags = flags)
    lane = joinpath(@__DIR__, "lane.jl")
    foreach(pid -> remotecall_fetch(Core.eval, pid, Main, :(const SHARED_IMAGES = $images)), pids)
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
    return bad == 0 && passed > 0 ? 0 : 1
end

exit(main(ARGS))
