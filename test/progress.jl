# src/show/progress.jl: what a build shows.

@testset "the estimate comes down to nothing" begin
    N = NativeCache
    progress = N.Progress(:none, "", "", "", 0.0, NaN, 0.0, 0.0, 0.0, 0)
    @test isnan(N.estimate(progress, 1.0))
    left = Float64[]
    now = 0.0
    for (stage, _, weight) in N.STAGES
        progress.stage, progress.stage_since = stage, now
        progress.finished = N.weight_of(N.STAGES[1:findfirst(s -> s[1] == stage, N.STAGES)-1])
        for part in (0.0, 0.5)      # a machine that is twice as slow as the one measured
            progress.fraction = stage == "infer" ? part : NaN
            push!(left, N.estimate(progress, now + 2 * weight * part))
        end
        now += 2 * weight
    end
    known = filter(!isnan, left)
    @test isnan(left[1]) && length(known) > 6 && issorted(known; rev = true)
    all = 2 * N.weight_of(N.STAGES)
    @test 0.5 * all < known[1] < 1.1 * all && known[end] < 0.05 * all
end

@testset "a log has a line per stage, quiet none" begin
    t = trained("Dates")
    few = filter(statement -> occursin("Dates.", statement), t.traced)[1:2]
    loud = julia!(t.box, "using NativeCache\nNativeCache.build(\"Dates\"; statements = $(repr(few)), linker = \"false\")").err
    for words in ("loading packages", "inferring types of 2 methods", "generating code", "linking")
        @test length(collect(eachmatch(Regex("^NativeCache: +\\d+ s  $words\$", "m"), loud))) == 1
    end
    @test !occursin('\e', loud) && occursin("no library for Dates", loud)
    @test julia!(t.box, "using NativeCache\nNativeCache.build(\"Dates\"; statements = $(repr(few)), linker = \"false\", quiet = true)").err == ""
    @test !occursin("loading", julia!(t.box, "using NativeCache\nNativeCache.build(\"Dates\"; statements = $(repr(few)), linker = \"false\")";
        env = ["JULIA_NATIVECACHE_PROGRESS" => "no"]).err)
end
