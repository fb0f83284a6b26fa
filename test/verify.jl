# src/show/verify.jl: what a library holds is compiled anew and compared, on request and in verify mode.

COMPANIONS || @testset "verify" begin
    box = Box()
    project = joinpath(box.root, "project")
    mkpath(project)
    write(joinpath(project, "Project.toml"), "")
    # A generator that reads which project is active, which it must not, through a function of the sysimage that builds do not
    # know: it is run again when the library is linked, and nobody can see what it reads but by running it.
    add_package(box, "Odd", """
        module Odd
        f(x) = x + 1
        @noinline g(x) = sum(f(i) for i in 1:x)
        @generated env(x) = repr(Base.active_project(false)) == "nothing" ? :(x + 1) : :(x * 2.5)
        h(x) = env(x) + g(3)
        k(x) = string(x, g(x))
        end
        """)
    names = ("f", "g", "env", "h", "k")
    julia!(box, "using Odd")
    @test length(build(box, repr("Odd"), ["Tuple{typeof(Odd.$f), Int64}" for f in names])["compiled"]) == 5

    ask = """
        using NativeCache, Odd
        found = NativeCache.verify("Odd"; quiet = true)
        print(found.compared, " ", sort!(unique!([split(item.statement, [' ', ','])[1] for item in found.different])), found.message)
        """
    @test julia!(box, ask).out == "5 SubString{String}[]"
    different = julia!(box, ask; env = ["JULIA_PROJECT" => project]).out
    @test occursin("Odd.env", different) && occursin("Odd.h", different)
    @test !occursin("Odd.f)", different)
    # A package without a library, and one that is not there.
    @test julia!(box, "using NativeCache, Test; print(NativeCache.verify(\"Test\").compared)").out == "0"
    @test julia!(box, "using NativeCache; try NativeCache.verify(\"Nowhere\") catch err print(typeof(err)) end").out == "ArgumentError"

    # In verify mode what differs is not used, and neither is what relies on it.
    run(env) = julia!(box, "using NativeCache, Odd; print(Odd.h(3), ' ', Odd.k(4))"; env = env).out
    @test run(["JULIA_PROJECT" => project, "JULIA_NATIVECACHE" => "verify"]) == run(["JULIA_PROJECT" => project, "JULIA_NATIVECACHE" => "off"]) == "16.5 414"
    good = status(box, repr("Odd"), "using Odd"; env = ["JULIA_NATIVECACHE" => "verify"])
    @test length(good["installed"]) == 5
    bad = status(box, repr("Odd"), "using Odd"; env = ["JULIA_PROJECT" => project, "JULIA_NATIVECACHE" => "verify"])
    @test issubset(["Tuple{typeof(Odd.env), Int64}", "Tuple{typeof(Odd.h), Int64}"], statements(bad["rejected"]))
    @test all(item -> item[2] in ("Different", "DependsOnRejected"), bad["rejected"])
    remove(box)
end

COMPANIONS && @testset "verify: what became of each statement, and whole files" begin
    box = Box()
    add_package(box, "Odd", """
        module Odd
        @noinline f(x) = x + 1
        g(x) = sum(f(i) for i in 1:x)
        h(x) = string(x, g(x))
        end
        """)
    library = build(box, repr("Odd"), ["Tuple{typeof(Odd.$f), Int64}" for f in ("f", "g", "h", "none")]).library
    ask = """
        using NativeCache, Odd
        found = NativeCache.verify("Odd"; quiet = true)
        println(found.compared, ' ', found.message, [(item.statement, item.detail) for item in found.different])
        println(found.notes)
        """
    before = read.(library_files(library))
    good = split(julia!(box, ask).out, '\n')
    @test good[1] == "3 Tuple{String, String}[]"
    @test occursin(".so: ", good[2]) && occursin(".ji: ", good[2])
    # Nothing in the store is touched, and nothing is left there.
    @test read.(library_files(library)) == before
    @test !any(startswith("build-"), readdir(joinpath(box.depot, STORE_FOLDER)))
    # What the text says of a statement is not what comes out.
    write(library, replace(read(library, String), "statement\tcompiled\tTuple{typeof(Odd.h)" => "statement\tNotCompiled\tTuple{typeof(Odd.h)"))
    @test occursin("[(\"Tuple{typeof(Odd.h), Int64}\", \"NotCompiled in the library, compiled now\")]", julia!(box, ask).out)
    # A package without a companion, and one that is not there.
    @test julia!(box, "using NativeCache, Test; print(NativeCache.verify(\"Test\").compared)").out == "0"
    @test julia!(box, "using NativeCache; try NativeCache.verify(\"Nowhere\") catch err print(typeof(err)) end").out == "ArgumentError"
    remove(box)
end
