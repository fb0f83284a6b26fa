# What runs test files, in runtests.jl's own process or in several side by side. What a session
# does is tested in fresh processes with a depot of their own; nothing is written outside a
# temporary folder.

using Test
include("sandbox.jl")
using .Sandbox

# This process loads NativeCache too, for the parts that need no session.
const OWN_DEPOT = mktempdir(; prefix = "nativecache té st ")
empty!(DEPOT_PATH)
push!(DEPOT_PATH, OWN_DEPOT)
isempty(SHARED_IMAGES) || push!(DEPOT_PATH, SHARED_IMAGES)
VERSION >= v"1.11" && Base.append_bundled_depot_path!(DEPOT_PATH)     # images of the standard libraries
empty!(LOAD_PATH)
append!(LOAD_PATH, [ROOT, "@stdlib"])
ENV["JULIA_NATIVECACHE"] = "off"
using NativeCache
filter!(!=(SHARED_IMAGES), DEPOT_PATH)      # one depot, as tests of the store want it
Sandbox.IMAGES[] = SHARED_IMAGES

include("shared.jl")

atexit() do
    remove_shared()
    rm(OWN_DEPOT; recursive = true, force = true)
end

"What a test set and those in it found: (passed, texts of what failed or was thrown or is broken)."
function outcome(set, path = set.description)
    passed, bad = set.n_passed, String[]
    for result in set.results
        if result isa Test.AbstractTestSet
            p, b = outcome(result, string(path, " / ", result.description))
            passed += p
            append!(bad, b)
        elseif !(result isa Test.Pass)
            push!(bad, string(path, ": ", sprint(show, result)))
        end
    end
    return passed, bad
end

"Runs one test file, and never throws."
function run_file(file)
    started = time()
    Sandbox.IMAGES[] = SHARED_IMAGES        # a file that wants none says so
    Test.TESTSET_PRINT_ENABLE[] = false
    set = Test.DefaultTestSet(file)
    Test.push_testset(set)
    thrown = String[]
    try
        Base.include(Main, joinpath(@__DIR__, "$file.jl"))
    catch
        push!(thrown, string(file, ": ", sprint(Base.show_exception_stack, Base.catch_stack())))
    finally
        Test.pop_testset()
    end
    passed, bad = outcome(set)
    return (file = file, seconds = time() - started, passed = passed, bad = append!(thrown, bad))
end
