# All tests of the Julia side; each file mirrors one of the sources. What a session does is
# tested in fresh processes with a depot of their own; nothing is written outside a temporary
# folder. `julia test/runtests.jl build load` runs only those files.

using Test
include("sandbox.jl")
using .Sandbox

# Every other file of this folder is a part of the tests.
const FILES = [name[1:end-3] for name in readdir(@__DIR__)
               if endswith(name, ".jl") && !(name in ("runtests.jl", "sandbox.jl", "shared.jl"))]

# This process loads NativeCache too, for the parts that need no session.
const OWN_DEPOT = mktempdir(; prefix = "nativecache té st ")
empty!(DEPOT_PATH)
push!(DEPOT_PATH, OWN_DEPOT)
empty!(LOAD_PATH)
append!(LOAD_PATH, [ROOT, "@stdlib"])
ENV["JULIA_NATIVECACHE"] = "off"
using NativeCache

include("shared.jl")

"Passed, and not passed: failed, thrown or broken."
function totals(set)
    passed, bad = set.n_passed, 0
    for result in set.results
        if result isa Test.AbstractTestSet
            p, b = totals(result)
            passed += p
            bad += b
        elseif !(result isa Test.Pass)
            bad += 1
        end
    end
    return passed, bad
end

function main(chosen)
    started = time()
    Test.TESTSET_PRINT_ENABLE[] = false
    top = Test.DefaultTestSet("NativeCache")
    Test.push_testset(top)
    try
        for file in chosen
            since = time()
            @testset "$file" begin
                include(joinpath(@__DIR__, "$file.jl"))
            end
            println(rpad(file, 10), lpad(round(Int, time() - since), 5), " s")
        end
    finally
        Test.pop_testset()
        remove_shared()
        rm(OWN_DEPOT; recursive = true, force = true)
    end
    Test.TESTSET_PRINT_ENABLE[] = true
    Test.print_test_results(top)
    passed, bad = totals(top)
    println("in ", round(Int, time() - started), " s")
    println(passed, " passed, ", bad, " failed")
    exit(bad == 0 && passed > 0 ? 0 : 1)
end

main(isempty(ARGS) ? FILES : ARGS)
