# The packages' own test suites, in a process with the cache and in one without: the same tests
# pass. The library holds what the suite itself compiles, as far as it belongs to packages.

include("suites/count.jl")

@testset "$package" for package in ("Dates", "Markdown")
    t = trained(package)
    box = t.box
    path = joinpath(STDLIB, package, "test", "runtests.jl")
    script(cached) = string(cached ? "using NativeCache\n" : "", "import $package\nconst PATH = $(repr(path))\n", SUITE_SCRIPT,
        cached ? "println(stderr, \"installed: \", length(NativeCache.status(\"$package\").installed))\n" : "")
    trace = joinpath(box.root, "$package-suite.trace")
    without = julia!(box, script(false); flags = `--trace-compile=$trace`)
    kept = read(t.build.library)
    result = build(box, repr(package), trace)
    @test result.library == t.build.library
    @test length(result["compiled"]) > 200
    with = julia!(box, script(true))
    totals(run) = parse.(Int, split(match(r"^suite: (.*)$"m, run.err)[1]))
    @test totals(with) == totals(without)
    @test totals(with)[1] > 50 && totals(with)[3] == 0
    @test parse(Int, match(r"^installed: (\d+)$"m, with.err)[1]) > 200
    println("  ", package, "'s own tests: ", totals(with)[1], " pass with the cache, ", totals(without)[1], " without; ",
        round(with.seconds; digits = 1), " s and ", round(without.seconds; digits = 1), " s")
    write(t.build.library, kept)
end
