# The packages' own test suites, in a process with the cache and in one without: the same tests
# pass. The library holds what the suite itself compiles, as far as it belongs to packages.

const SUITE_SCRIPT = """
using Test
Test.TESTSET_PRINT_ENABLE[] = false
function count_tests(set, totals)
    totals[1] += set.n_passed
    for result in set.results
        result isa Test.AbstractTestSet ? count_tests(result, totals) :
            result isa Test.Broken ? (totals[2] += 1) : result isa Test.Pass ? (totals[1] += 1) : (totals[3] += 1)
    end
    return totals
end
const TOP = Test.DefaultTestSet("suite")
Test.push_testset(TOP)
include(PATH)
Test.pop_testset()
println(stderr, "suite: ", join(count_tests(TOP, [0, 0, 0]), " "))
"""

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
