# src/verify.jl: what a library holds is compiled anew and compared, on request and in verify mode.

@testset "verify" begin
    box = Box()
    # A generator that reads the environment, and what calls it: a build leaves them out, so verify has nothing to find there.
    add_package(box, "Odd", """
        module Odd
        f(x) = x + 1
        @noinline g(x) = sum(f(i) for i in 1:x)
        @generated env(x) = get(ENV, "ODD", "a") == "a" ? :(x + 1) : :(x * 2.5)
        h(x) = env(x) + g(3)
        k(x) = string(x, g(x))
        end
        """)
    names = ("f", "g", "env", "h", "k")
    julia!(box, "using Odd")
    @test length(build(box, repr("Odd"), ["Tuple{typeof(Odd.$f), Int64}" for f in names])["compiled"]) == 3

    ask = """
        using NativeCache, Odd
        found = NativeCache.verify("Odd"; quiet = true)
        print(found.compared, " ", sort!(unique!([split(item.statement, [' ', ','])[1] for item in found.different])), found.message)
        """
    @test julia!(box, ask).out == "3 SubString{String}[]"
    @test julia!(box, ask; env = ["ODD" => "b"]).out == "3 SubString{String}[]"
    # A package without a library, and one that is not there.
    @test julia!(box, "using NativeCache, Test; print(NativeCache.verify(\"Test\").compared)").out == "0"
    @test julia!(box, "using NativeCache; try NativeCache.verify(\"Nowhere\") catch err print(typeof(err)) end").out == "ArgumentError"

    # In verify mode the rest is used, and a session's own answer is right.
    run(env) = julia!(box, "using NativeCache, Odd; print(Odd.h(3), ' ', Odd.k(4))"; env = env).out
    @test run(["ODD" => "b", "JULIA_NATIVECACHE" => "verify"]) == run(["ODD" => "b", "JULIA_NATIVECACHE" => "off"]) == "16.5 414"
    good = status(box, repr("Odd"), "using Odd"; env = ["JULIA_NATIVECACHE" => "verify"])
    @test length(good["installed"]) == 3
    bad = status(box, repr("Odd"), "using Odd"; env = ["ODD" => "b", "JULIA_NATIVECACHE" => "verify"])
    @test isempty(bad["rejected"]) && length(bad["installed"]) == 3
    remove(box)
end
