# src/session/workload.jl: @workload in a package, built and used by another package's tests.

@testset "@workload" begin
    box = Box()
    # Julia 1.10 looks for what a package needs in the environment that the package is in.
    COMPANIONS && symlink(ROOT, joinpath(box.packages, "NativeCache"))
    here = "NativeCache" => "1402d8af-b1ee-4baf-ab8c-666e41cddb50"
    add_package(box, "Works", """
        module Works
        using NativeCache
        struct P x::Int end
        f(x; k = 1) = map(y -> y + k, x)
        const LIST = Any[1, 2.5, P(3)]
        @noinline dispatched(x) = [x]
        NativeCache.@workload begin
            secret = f([1]; k = 2)
            for x in LIST
                dispatched(x)
            end
            write(joinpath(tempdir(), "works-" * string(getpid())), "")
            rm(joinpath(tempdir(), "works-" * string(getpid())))
        end
        NativeCache.@workload error("not a good workload")
        end
        """; deps = [here])
    add_package(box, "User", "module User\nimport Works\ng(x) = Works.dispatched(Works.P(x))\nend"; deps = ["Works" => Sandbox.uuid("Works")])
    tests = joinpath(box.packages, "User", "test")
    mkpath(tests)
    write(joinpath(tests, "runtests.jl"), "using User, Works, Test\n@testset \"all\" begin\n@test User.g(1) == [Works.P(1)]\n@test !isdefined(Works, :secret)\n@test Works.f([1]; k = 2) == [3]\nend\n")
    # Since 1.12 `using` shows what a package says while it is precompiled if it may say that it precompiles.
    run = julia!(box, "using Works"; env = ["JULIA_TESTS" => "false"])
    @test occursin("the workload of Works stopped: not a good workload", run.err)
    @test julia!(box, "using Works").err == ""
    out = split(julia!(box, """
        using NativeCache
        layer = only(NativeCache.profile("Works"))
        println(layer.name, " ", layer.header["from"])
        for wanted in ("Tuple{typeof(Works.dispatched), Float64}", "Tuple{typeof(Works.dispatched), Works.P}", "Tuple{typeof(Works.dispatched), Int64}")
            print(any(entry -> entry.statement == wanted, layer.entries))
        end
        println(any(entry -> occursin("NativeCache", entry.statement), layer.entries))
        r = NativeCache.build("Works"; quiet = true)
        println(r.layers, length(r.compiled) >= 4)
        """).out, '\n')
    @test out[1:3] == ["precompile @workload", "truetruetruefalse", "[\"precompile\"]true"]
    # Another package's tests find it warm.
    trace = joinpath(box.root, "user.trace")
    julia!(box, "using NativeCache\ncd($(repr(tests)))\ninclude(joinpath(pwd(), \"runtests.jl\"))"; flags = `--trace-compile=$trace`)
    @test filter(statement -> occursin("typeof(Works.", statement) || occursin("Works.var\"#f##kw\"", statement), traced(trace)) == []
    remove(box)
end

COMPANIONS && @testset "@workload gives way to PrecompileTools" begin
    box = Box()
    symlink(ROOT, joinpath(box.packages, "NativeCache"))
    # Its one macro, which says that it was asked.
    add_package(box, "PrecompileTools", """
        module PrecompileTools
        const ASKED = Ref(0)
        macro compile_workload(block)
            return esc(:(\$ASKED[] += 1; let; \$block; end))
        end
        end
        """)
    here = "NativeCache" => "1402d8af-b1ee-4baf-ab8c-666e41cddb50"
    tools = "PrecompileTools" => Sandbox.uuid("PrecompileTools")
    source(name, loads) = """
        module $name
        using NativeCache$loads
        @noinline f(x) = [x]
        NativeCache.@workload f(1)
        $(isempty(loads) ? "" : "const TIMES = PrecompileTools.ASKED[]")
        end
        """
    add_package(box, "Both", source("Both", ", PrecompileTools"); deps = [here, tools])
    add_package(box, "Only", source("Only", ""); deps = [here, tools])
    out = julia!(box, """
        using NativeCache, Both, Only
        print(Both.TIMES, length(NativeCache.profile("Both")), [layer.name for layer in NativeCache.profile("Only")])
        """).out
    @test out == "10[\"precompile\"]"
    remove(box)
end
