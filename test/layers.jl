# src/plan.jl, src/sources.jl, src/layers.jl: from test suites, scripts and statements to libraries.

using .Sandbox: uuid

"Lines that the code prints in a process of its own; what it says on the way goes nowhere."
lines_of(box, code; options...) = split(chomp(julia!(box, "using NativeCache\n" * code; options...).out), '\n')

@testset "layers of one package" begin
    box = Box()
    add_package(box, "Lay", """
        module Lay
        f(x; k = 1) = map(y -> y + k, x)
        g(x) = x + 1
        h(x) = x + 2
        struct P x::Int end
        Base.isless(a::P, b::P) = a.x < b.x
        precompile(h, (Float64,))
        precompile(sort, (Vector{P},))
        end
        """)
    tests = joinpath(box.packages, "Lay", "test")
    mkpath(tests)
    write(joinpath(tests, "runtests.jl"), """
        using Lay, Test
        include("more.jl")
        struct OfTheTests end
        @testset "passes" begin @test Lay.g(1) == 2 end
        @testset "fails" begin @test Lay.f([1]; k = 2) == [4] end
        """)
    write(joinpath(tests, "more.jl"), "@assert basename(pwd()) == \"test\"\n@assert !haskey(ENV, \"NATIVECACHE_RUN_FOLDER\")\n")
    script = joinpath(box.root, "script.jl")
    write(script, "using Lay\nLay.g(2.5)")
    out = lines_of(box, """
        has(r, text) = any(item -> item.statement == text, r.compiled)
        r = NativeCache.build("Lay"; from = :tests, quiet = true)
        s = only(r.sources)
        println(r.layers, " ", s.layer, " ", s.passed, " ", occursin("exit code 1", s.message), " ", s.methods == length(r.requested))
        println(has(r, "Tuple{typeof(Lay.g), Int64}"), any(item -> occursin("#1 of Tuple{", item.statement), r.compiled),
            any(item -> occursin("OfTheTests", item.statement), r.requested))
        r = NativeCache.build("Lay"; from = $(repr(script)), quiet = true)
        println(r.layers, r.others, only(r.sources).passed, has(r, "Tuple{typeof(Lay.g), Float64}"), has(r, "Tuple{typeof(Lay.g), Int64}"))
        r = NativeCache.build("Lay"; quiet = true)
        println(r.layers, " ", r.others, " ", has(r, "Tuple{typeof(Lay.g), Float64}"), has(r, "Tuple{typeof(Lay.g), Int64}"),
            has(r, "Tuple{typeof(Lay.h), Float64}"), has(r, "Tuple{typeof(Base.sort), Array{Lay.P, 1}}"))
        p = NativeCache.profile("Lay")
        println([layer.name for layer in p], " ", any(entry -> entry.milliseconds > 0, p[1].entries), NativeCache.stale())
        show(stdout, MIME("text/plain"), p)
        println("\\n", NativeCache.drop!("Lay", :script), [layer.name for layer in NativeCache.profile("Lay")])
        println(last(only(NativeCache.stale())))
        println(NativeCache.drop!("Lay"), length(NativeCache.profile("Lay")))
        """)
    @test out[1] == "[\"tests\"] tests false true true"
    @test out[2] == "truetruefalse"
    @test out[3] == "[\"script\"][\"tests\"]truetruefalse"
    @test out[4] == "[\"precompile\", \"tests\", \"script\"] String[] truetruetruetrue"
    @test out[5] == "[\"precompile\", \"tests\", \"script\"] truePair{Array{Base.PkgId,1},String}[]"
    @test startswith(out[6], "Lay: ") && any(line -> occursin(r"tests +\d+ .*test/runtests.jl, failed", line), out)
    @test out[end-2] == "[\"script\"][\"precompile\", \"tests\"]"
    @test out[end-1] == "the profile has changed since the library was built"
    @test out[end] == "[\"precompile\", \"tests\"]0"
    remove(box)
end

@testset "a profile survives another build of the package" begin
    box = Box()
    source(above) = """
        module Moved
        $above
        f(x; k = 1) = map(y -> y + k, x)
        twice(f, x) = f(f(x))
        g(x) = twice(y -> twice(z -> z + x, y), x)
        end
        """
    add_package(box, "Moved", source(""))
    session = "using Moved\nMoved.f([1]; k = 2); Moved.g(3)\n"
    julia!(box, "using NativeCache\n" * session; env = ["JULIA_NATIVECACHE_TRACE" => "yes"])
    # Closures and keyword functions above shift the numbers of all that follow.
    write(joinpath(box.packages, "Moved", "src", "Moved.jl"), source("before(x; a = 1, b = 2) = map(y -> y + a + b, x)"))
    out = lines_of(box, """
        r = NativeCache.build("Moved"; quiet = true)
        println(length(r.failed), r.skipped)
        println(r.layers)
        """)
    @test startswith(out[1], "0") && !occursin("NoSuchMethod", out[1]) && out[2] == "[\"trace\"]"
    trace = joinpath(box.root, "moved.trace")
    julia!(box, "using NativeCache\n" * session; flags = `--trace-compile=$trace`)
    @test filter(statement -> occursin("Moved.", statement), traced(trace)) == []
    # What is gone is named.
    write(joinpath(box.packages, "Moved", "src", "Moved.jl"), "module Moved\nf(x; k = 1) = k\ng(x) = [x]\nend")
    out = lines_of(box, """
        r = NativeCache.build("Moved"; quiet = true)
        gone = filter(item -> item.reason === :NoSuchMethod, r.skipped)
        println(any(item -> occursin("Moved has no #1 of Tuple{Moved.var", item.detail), gone) || r.skipped)
        """)
    @test out == ["true"]
    remove(box)
end

@testset "several packages" begin
    box = Box()
    add_package(box, "First", "module First\nf(x) = x + 1\nstruct One x::Int end\nabstract type Thing end\n@noinline g(x::Thing) = [x]\nend")
    add_package(box, "Second", "module Second\nstruct Two x::Int end\nh(x) = x * 3\n@noinline held(x) = [x]\nend")
    add_package(box, "Third", "module Third\nimport First\nstruct T <: First.Thing end\nend"; deps = ["First" => uuid("First")])
    julia!(box, "using Second, Third")
    out = lines_of(box, """
        using First, Second, Third
        list = [(First.f, (Int,)), (Second.h, (Int,)), (First.g, (Third.T,)), Tuple{typeof(Second.held), First.One}]
        r = NativeCache.build([First, :Second, "Third"]; statements = list, quiet = true)
        println([item.package for item in r])
        println([(length(item.compiled), item.skipped, item.failed) for item in r])
        println(length(unique(item.library for item in r)))
        println([length.((NativeCache.profile(x)[1].entries,)) for x in ("First", "Second", ["First", "Second"])])
        """)
    @test out[1] == "[\"First\", \"Second\", \"Third\", \"First, Second\"]"
    @test length(split(out[2], "(1, [], [])")) == 5
    @test out[3] == "4"
    @test out[4] == "[(1,), (1,), (1,)]"
    project = joinpath(box.root, "project")
    mkpath(project)
    write(joinpath(project, "Project.toml"), string("[deps]\n", (string(name, " = \"", uuid(name), "\"\n") for name in ("First", "Second", "Dates"))...))
    out = lines_of(box, """
        r = NativeCache.build(; quiet = true)
        println([item.package for item in r], [item.layers for item in r])
        """; flags = `--project=$project`)
    @test out == ["[\"First\", \"Second\", \"First, Second\"][[\"statements\"], [\"statements\"], [\"statements\"]]"]
    waiting = status(box, "\"First\"", "using First")
    @test length(waiting["installed"]) == 1 && length(waiting["waiting"]) <= 1
    all = status(box, "\"First\"", "using First, Second")
    @test length(all["installed"]) == 2
    remove(box)
end
