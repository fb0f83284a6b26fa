# What a process runs of a suite: everything in it, and at its end what passed, was broken, or failed.

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
Test.Random.seed!(1)    # some suites make up their numbers, and how many of them they test
include(PATH)
Test.pop_testset()
println(stderr, "suite: ", join(count_tests(TOP, [0, 0, 0]), " "))
"""
