# Random packages, changes and load orders: what a session prints does not depend on the cache.
# A bounded part of what `make random` runs; a failure names its seed, which reproduces it:
# julia test/random/run.jl case SEED SESSION

include("random/generator.jl")
include("random/differential.jl")

@testset "random packages" begin
    @test RandomPackages.random_case(7).sources == RandomPackages.random_case(7).sources
    started, seed, installed, sessions = time(), 1, 0, 0
    while time() - started < 35 && seed <= 3
        mismatches, count = run_case(seed; sessions = 4)
        foreach(println, mismatches)
        @test isempty(mismatches)
        installed += count
        sessions += 4
        seed += 1
    end
    # Something was compared.
    @test installed > 10sessions
end
