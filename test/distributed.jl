# src/session/distributed.jl: workers link what the master links, and their traces are merged.

@testset "workers" begin
    box = Box()
    add_package(box, "Dist", "module Dist\nf(x) = [x, x]\ng(x) = (x, [x])\nend")
    julia!(box, "using Dist")
    @test build(box, repr("Dist"), ["Tuple{typeof(Dist.f), Int64}"]).library !== nothing
    # NativeCache first, as in startup.jl: the workers come later.
    out = julia!(box, """
        using NativeCache, Distributed
        addprocs(2)
        @everywhere using Dist
        cache() = Base.loaded_modules[Base.PkgId(Base.UUID("1402d8af-b1ee-4baf-ab8c-666e41cddb50"), "NativeCache")]
        println(sum(x -> x[1], pmap(Dist.f, 1:10)))
        for worker in workers()
            println(remotecall_fetch(Core.eval, worker, Main, :(length(Base.loaded_modules[Base.PkgId(Base.UUID("1402d8af-b1ee-4baf-ab8c-666e41cddb50"), "NativeCache")].status("Dist").installed))))
        end
        remotecall_fetch(Dist.g, workers()[1], 1.5)
        remotecall_fetch(Dist.g, workers()[2], 0x01)
        """; env = ["JULIA_NATIVECACHE_TRACE" => "yes"]).out
    @test out == "55\n1\n1\n"
    methods = julia!(box, """
        using NativeCache
        layer = NativeCache.profile("Dist")[end]
        println(layer.name, layer.header["sessions"])
        println(["Tuple{typeof(Dist.g), \$T}" in [entry.statement for entry in layer.entries] for T in ("Float64", "UInt8")])
        """).out
    @test methods == "trace3\nBool[1, 1]\n"
    remove(box)
end
