# src/build/plan.jl, src/build/sources.jl, src/store/profiles.jl: from test suites, scripts and statements to libraries.

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
        @noinline twice(f, x) = f(f(x))
        g(x) = twice(y -> twice(z -> z + x, y), x)
        end
        """
    add_package(box, "Moved", source(""))
    session = "using Moved\nMoved.f([1]; k = 2); Moved.g(3)\n"
    later = "using Moved\nMoved.f([1.5]; k = 2); Moved.g(3.5)\n"
    tracing = ["JULIA_NATIVECACHE_TRACE" => "yes"]
    julia!(box, "using NativeCache\n" * session; env = tracing)
    # Closures and keyword functions above shift the numbers of all that follow.
    write(joinpath(box.packages, "Moved", "src", "Moved.jl"), source("before(x; a = 1, b = 2) = map(y -> y + a + b, x)"))
    # A session with this build adds to what one with the other has noted.
    julia!(box, "using NativeCache\n" * later; env = tracing)
    out = lines_of(box, """
        r = NativeCache.build("Moved"; quiet = true)
        println(length(r.failed), r.skipped)
        println(r.layers, NativeCache.profile("Moved")[1].header["sessions"])
        """)
    @test startswith(out[1], "0") && !occursin("NoSuchMethod", out[1]) && out[2] == "[\"trace\"]2"
    trace = joinpath(box.root, "moved.trace")
    julia!(box, "using NativeCache\n" * session * later; flags = `--trace-compile=$trace`)
    @test filter(statement -> occursin("Moved.", statement), traced(trace)) == []
    # What is gone is named.
    write(joinpath(box.packages, "Moved", "src", "Moved.jl"), "module Moved\nf(x) = x\ng(x) = [x]\nend")
    out = lines_of(box, """
        r = NativeCache.build("Moved"; quiet = true)
        gone = [item.detail for item in r.skipped if item.reason === :NoSuchMethod]
        foreach(println, sort!(unique(gone)))
        """)
    for name in ("Moved has no #1 of Tuple{typeof(Moved.g), Any} in this build", "Moved has no #1 of Tuple{Moved.var\"#1 of Tuple{typeof(Moved.g), Any}",
                 "Moved has no #1 of Tuple{Moved.var\"#1 of Tuple{typeof(Moved.f), Any}", "#f##kw not defined")
        @test any(detail -> occursin(name, detail), out)
    end
    remove(box)
end

@testset "tests in the environment that Pkg.test makes" begin
    box = Box()
    # With a registry that is there Pkg asks for no other.
    registry = joinpath(box.depot, "registries", "Empty")
    mkpath(registry)
    write(joinpath(registry, "Registry.toml"), "name = \"Empty\"\nuuid = \"c0ffee00-0000-4000-8000-0000000000aa\"\nrepo = \"\"\n[packages]\n")
    add_package(box, "Help", "module Help\nhelp(x) = x + 1\nend")
    # What the tests alone need: by [extras] and [targets] in one, by test/Project.toml in the other.
    add_package(box, "Old", "module Old\nimport Help\nf(x) = [Help.help(x)]\nend"; deps = ["Help" => uuid("Help")])
    add_package(box, "New", "module New\nf(x) = [x]\nend")
    check(name, dependency) = """
        using $name, $dependency, Test
        # Neither the session's load path nor NativeCache are there, nor what others depend on.
        @assert Base.identify_package("NativeCache") === nothing && Base.identify_package("Pkg") === nothing
        @assert basename(dirname(Base.active_project())) != "project"
        @test $name.f(1) isa Vector
        """
    for (name, text) in ("Old" => check("Old", "Random") * "@test Old.f(1.5) == [3.5]\n", "New" => check("New", "Dates"))
        mkpath(joinpath(box.packages, name, "test"))
        write(joinpath(box.packages, name, "test", "runtests.jl"), text)
    end
    open(io -> write(io, "[extras]\nTest = \"8dfed614-e22c-5e08-85e1-65c5234f0b40\"\nRandom = \"9a3f8284-a2c9-5f02-9a11-845980a1fd5c\"\n",
        "[targets]\ntest = [\"Test\", \"Random\"]\n"), joinpath(box.packages, "Old", "Project.toml"), "a")
    write(joinpath(box.packages, "New", "test", "Project.toml"),
        "[deps]\nDates = \"ade2ca70-3891-5945-98fb-dc099432e06a\"\nTest = \"8dfed614-e22c-5e08-85e1-65c5234f0b40\"\n")
    project = joinpath(box.root, "project")
    mkpath(project)
    developed = join(("PackageSpec(path = $(repr(joinpath(box.packages, name))))" for name in ("Help", "Old", "New")), ", ")
    out = lines_of(box, """
        using Pkg
        Pkg.develop([$developed])
        for r in NativeCache.build(["Old", "New"]; from = :tests, quiet = true)
            println(r.package, [(s.name, s.passed) for s in r.sources], length(r.failed), [item.statement for item in r.compiled if occursin(".f)", item.statement)])
        end
        """; flags = `--project=$project`, env = ["JULIA_LOAD_PATH" => "@:$ROOT:@stdlib"])
    ran = "Tuple{String,Bool}[(\"tests of Old\", 0), (\"tests of New\", 1)]"
    @test out == ["Old$(ran)0[\"Tuple{typeof(Old.f), Float64}\", \"Tuple{typeof(Old.f), Int64}\"]", "New$(ran)0[\"Tuple{typeof(New.f), Int64}\"]"]
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
    # A specialisation of Base that two of them need.
    out = lines_of(box, """
        for id in NativeCache.package_ids(["First", "Second"])
            NativeCache.put_layer([id], "statements", "precompile(Tuple{typeof(Base.sort), Array{Float16, 1}})"; mode = NativeCache.ADD)
        end
        r = NativeCache.build(; quiet = true)
        println([item.package for item in r], [item.layers for item in r])
        """; flags = `--project=$project`)
    @test out == ["[\"First\", \"Second\", \"First, Second\"][[\"statements\"], [\"statements\"], [\"statements\"]]"]
    waiting = status(box, "\"First\"", "using First")
    @test length(waiting["installed"]) == 2 && length(waiting["waiting"]) <= 1
    # It is installed once: the second library finds it there, and both say that it is.
    trace = joinpath(box.root, "sort.trace")
    all = status(box, "\"First\"", """
        using First, Second
        const LIST = sort(Float16[2, 1])
        instance = Base.method_instances(sort, (Vector{Float16},))[1]
        @assert !isdefined(instance.cache, :next) && LIST == [1, 2]
        for name in ("First", "Second")
            @assert any(item -> item.statement == "Tuple{typeof(Base.sort), Array{Float16, 1}}", NativeCache.status(name).installed)
        end
        """; flags = `--trace-compile=$trace`)
    @test length(all["installed"]) == 3 && !any(statement -> occursin(r"sort.*Float16", statement), traced(trace))
    remove(box)
end

@testset "packages of one name" begin
    box = Box()
    # Only the last digit of their uuids differs.
    twins = map(1:2) do number
        root = joinpath(box.root, "twin$number")
        mkpath(joinpath(root, "Twin", "src"))
        write(joinpath(root, "Twin", "Project.toml"), "name = \"Twin\"\nuuid = \"c0ffee00-0000-4000-8000-00000000000$number\"\nversion = \"0.1.0\"\n")
        write(joinpath(root, "Twin", "src", "Twin.jl"), "module Twin\nf$number(x) = x + $number\nend")
        ["JULIA_LOAD_PATH" => join([root, ROOT, "@stdlib"], ':')]
    end
    for (number, env) in enumerate(twins)
        julia!(box, "using Twin"; env = env)
        @test length(build(box, repr("Twin"), ["Tuple{typeof(Twin.f$number), Int64}"]; env = env)["compiled"]) == 1
    end
    for (number, env) in enumerate(twins)
        out = julia!(box, """
            using NativeCache, Twin
            println([entry.statement for layer in NativeCache.profile("Twin") for entry in layer.entries])
            print(Twin.f$number(1), " ", length(NativeCache.status("Twin").installed), " ", length(NativeCache.stale()))
            """; env = env).out
        @test out == "[\"Tuple{typeof(Twin.f$number), Int64}\"]\n$(1 + number) 1 0"
    end
    remove(box)
end
