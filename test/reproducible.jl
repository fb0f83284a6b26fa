# The same inputs give the same library, byte by byte: in another depot and work folder, at another time,
# with statements in another order, on one core or two. Addresses differ in each process anyway.

@testset "byte-identical libraries" begin
    t = trained("Statistics")
    expected = read(t.build.library)
    # The depot elsewhere, with the same .ji files: precompiled anew they would have other build ids.
    elsewhere = mktempdir(; prefix = "nativecache another depot ")
    cp(joinpath(t.box.depot, "compiled"), joinpath(elsewhere, "compiled"))
    on_one_core = Sys.which("taskset") === nothing ? Sandbox.julia_program() : `taskset -c 0 $(Sandbox.julia_program())`
    other = build(t.box, repr("Statistics"), reverse(t.traced); depot = elsewhere, program = on_one_core,
        env = ["TMPDIR" => elsewhere, "LANG" => "C"])
    @test other.message == ""
    @test startswith(other.library, elsewhere)
    @test basename(other.library) == basename(t.build.library)
    @test read(other.library) == expected
    rm(elsewhere; recursive = true)
end
