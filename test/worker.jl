# src/processes/worker.jl: how the build process reads statements, and that what it compiles is found in
# the session. `Odd` has what Julia writes in ways that cannot be read back as they are.

@testset "type parameters that Julia writes oddly" begin
    box = shared_box()
    add_package(box, "Odd", """
        module Odd
        struct Point; x::Int; y::Float64; end
        primitive type Mark 16 end
        mark(n) = reinterpret(Mark, UInt16(n))
        struct Tag{T} end
        Base.@pure tag(x) = Tag{x}()
        shout(t::Tag{T}, n) where {T} = string(T isa Mark ? reinterpret(UInt16, T) : T, " ", n)
        end
        """)
    body = """
        using Odd
        println(Odd.shout(Odd.Tag{'y'}(), 1), Odd.shout(Odd.Tag{:a}(), 2), Odd.shout(Odd.Tag{Symbol("b c")}(), 3))
        println(Odd.shout(Odd.Tag{Odd.Point(1, 2.5)}(), 4), Odd.shout(Odd.Tag{Odd.mark(7)}(), 5))
        println(Odd.shout(Odd.Tag{(1, true, 0x03)}(), 6), Odd.shout(Odd.Tag{Tuple{Int,Vararg{Any}}}(), 7))
        println(Odd.shout(Odd.Tag{Vector{T} where T<:Real}(), 8), Odd.shout(Odd.Tag{-3}(), 9))
        """
    run_session(box, body; cached = false)
    trace, before = trace_session(box, body; cached = false)
    odd = filter(statement -> startswith(statement, "Tuple{typeof(Odd.shout)"), before)
    @test length(odd) >= 9
    result = build(box, repr("Odd"), trace)
    @test issubset(odd, statements(result["compiled"]))
    _, after = trace_session(box, body; cached = true)
    @test isempty(intersect(odd, after))
    @test run_session(box, body; cached = true).run.out == run_session(box, body; cached = false).run.out
end

@testset "statements that name nothing" begin
    box = shared_box()
    add_package(box, "Plain", "module Plain\nf(x) = x + 1\ng(x::Int) = x\nend")
    given = ["Tuple{typeof(Plain.f), Int64}", "Tuple{typeof(Plain.missing_one), Int64}", "Tuple{typeof(Elsewhere.f), Int64}",
             "Tuple{typeof(Main.f), Int64}", "Tuple{typeof(Plain.g), String}", "1 +", "Tuple{", "Int64", "Plain.f(1) Plain.f(2)",
             "error(\"thrown\")"]
    result = build(box, repr("Plain"), given)
    reasons = Dict(item[1] => item[2] for bucket in ("skipped", "failed") for item in result[bucket])
    @test statements(result["compiled"]) == [given[1]]
    @test reasons["Tuple{typeof(Main.f), Int64}"] == "NamesMain"
    @test all(statement -> reasons[statement] == "NoSuchMethod", setdiff(given[2:end], ["Tuple{typeof(Main.f), Int64}"]))
    @test sort(statements(result["requested"])) == sort(given)
    detail = Dict(item[1] => item[3] for item in result["skipped"])
    @test occursin("thrown", detail["error(\"thrown\")"])
    @test occursin("missing_one", detail["Tuple{typeof(Plain.missing_one), Int64}"])
end
