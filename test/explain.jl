# src/show/explain.jl: why not, for a package and for a method.

@testset "every method that is not installed is named with its reason" begin
    t = trained("Dates")
    explained = julia!(t.box, "using NativeCache, Dates\nshow(stdout, MIME(\"text/plain\"), NativeCache.explain(:Dates))").out
    @test all(item -> occursin(item[1], explained) && occursin(item[2], explained), [t.build["skipped"]; t.build["failed"]])
end

@testset "the component of the key that differs, with both values" begin
    t = trained("Dates")
    out = julia!(t.box, "using NativeCache, Dates\nshow(stdout, MIME(\"text/plain\"), NativeCache.explain(Dates))"; flags = `-O1`).out
    @test occursin("KeyDiffers: the library was built for another Julia, sysimage or set of flags", out)
    @test occursin("optimization (-O): built with 2, this session has 1", out)
    @test occursin("(build the library in a session started like this one)", out)
end

@testset "the story of a method" begin
    box = Box()
    add_package(box, "Plain", """
        module Plain
        @noinline f(x) = x + 1
        g(x) = f(x) * 2
        h(x) = x
        struct P end
        (::P)(x; by = 1) = x + by
        end
        """)
    out = julia!(box, """
        using NativeCache, Plain
        NativeCache.build(Plain; quiet = true, statements = [(Plain.g, (Int,)), (Plain.g, (Int8,)), "Tuple{typeof(Plain.nothere), Int64}"])
        show(stdout, MIME("text/plain"), @NativeCache.explain Plain.g(1))
        """).out
    @test occursin("BuiltLater: the library was built after the package was loaded", out)
    out = julia!(box, raw"""
        using NativeCache, Plain
        full(x) = (show(stdout, MIME("text/plain"), x); println("\n===="))
        full(@NativeCache.explain Plain.g(1))
        full(NativeCache.explain(Plain.f, (Int,)))
        full(NativeCache.explain(Plain.h, Tuple{Int}))
        full(@NativeCache.explain Plain.P()(1; by = 2))
        full(NativeCache.explain(Plain.f, (String, String)))
        full(NativeCache.explain("Plain"))
        @eval Plain f(x::Int) = x + 2
        full(@NativeCache.explain Plain.g(1))
        print(Plain.g(1))
        full(@NativeCache.explain Plain.g(1))
        print(NativeCache.json(@NativeCache.explain Plain.g(1)))
        println("\n====")
        full(NativeCache.explain(x -> x, (Int,)))
        m = Base.which(Plain.g, (Any,))
        Base.delete_method(m)
        full(NativeCache.explain(Tuple{typeof(Plain.g), Int8}))
        full(@NativeCache.explain sort([1]))
        """).out
    g, callee, h, keywords, none, package, changed, run, json, main, deleted, base = split(out, "\n====\n")
    @test occursin(r"method +Plain\.g at .*Plain\.jl:3", g) && occursin(r"library +/.*\n +installed\n", g)
    @test occursin("a call runs from a library of NativeCache", g) && !occursin("why", g)
    # Where a library has its own code for it; an image has only what Julia kept.
    @test occursin("installed, as part of what was asked for", callee) || COMPANIONS && occursin("NotRequested", callee)
    @test occursin("NotRequested: no library was asked to hold it", h) && occursin("(build again with a script", h)
    @test occursin("Plain.P", keywords) && occursin("by", keywords) && occursin("NotRequested", keywords)
    @test occursin("NoSuchMethod", none) && occursin("no method matches", none)
    @test occursin(COMPANIONS ? "NoTypeExpression" : "NoSuchMethod", package) && occursin("Tuple{typeof(Plain.nothere), Int64}", package)
    @test occursin(r"code +from a library of NativeCache, invalidated by f\(::Int64\) in Plain at .*:\d+ \(world \d+\)", changed)
    @test occursin("nothing yet: Julia compiles it then", changed) && occursin("Invalidated: a definition", changed)
    @test startswith(run, "6Tuple{typeof(Plain.g), Int64}") && occursin("a call runs compiled in this session", run)
    @test occursin("\"reason\":\"Invalidated\"", json) && occursin("\"runs\":\"session\"", json)
    @test occursin("NamesMain", main)
    @test occursin("no method matches", deleted)
    @test occursin("a call runs", base)
    remove(box)
end

@testset "what the caller got wrong" begin
    message(f) = try f(); "no error" catch err; sprint(showerror, err) end
    @test occursin("types: expected a tuple of types", message(() -> NativeCache.explain(sin, Int)))
    @test occursin("types: expected a tuple of types", message(() -> NativeCache.explain(sin, 3)))
    @test occursin("\"NoSuchPackage\" is not found", message(() -> NativeCache.explain("NoSuchPackage")))
end

COMPANIONS && @testset "what the loader did not take, and what a package that came later ended" begin
    box = Box()
    add_package(box, "Plain", """
        module Plain
        h(x) = x
        @noinline g(x) = h(x) + 1
        @noinline f(x) = g(x) * 2
        end
        """)
    # Many methods at once, of which one matters.
    add_package(box, "Later", """
        module Later
        import Plain
        $(join(("Plain.h(x::Tuple{$(join(fill("Int", n), ','))}) = $n" for n in 1:9), '\n'))
        Plain.h(x::Int) = x + 100
        other(x) = x
        end
        """; deps = ["Plain" => Sandbox.uuid("Plain")])
    statements = ["Tuple{typeof(Plain.f), Int64}", "Tuple{typeof(Plain.g), Int64}"]
    @test length(build(box, repr("Plain"), statements)["compiled"]) == 2
    show_it = "show(stdout, MIME(\"text/plain\"), NativeCache.explain(\"Plain\"))\nprintln(\"\\n====\")\nprint(Base.invokelatest(Plain.f, 1))"
    # Defined before the companion is loaded: Julia's loader refuses what calls it.
    before = julia!(box, "using Plain\n@eval Plain h(x::Int) = x + 7\nusing NativeCache\n$show_it").out
    @test endswith(before, "18") && occursin(r"2 rejected, EdgeChanged", before)
    @test occursin(r"Tuple\{typeof\(Plain\.h\), Int64\} now means h\(::Int64\) in Plain at .*:2", before)
    # Whoever keeps Julia's log of invalidations has it still, with what is theirs.
    kept = julia!(box, """
        mine = ccall(:jl_debug_method_invalidation, Any, (Cint,), 1)
        using NativeCache, Plain
        println(mine === ccall(:jl_debug_method_invalidation, Any, (Cint,), 1), ' ', length(NativeCache.status("Plain").installed))
        """).out
    @test kept == "true 2\n"
    @test julia!(box, "using NativeCache, Plain\n@eval Plain g(x::Int) = 1\nprint(length(ccall(:jl_debug_method_invalidation, Any, (Cint,), 1)))").out == "0"
    # By a package that came later: not its other methods.
    after = julia!(box, "using NativeCache, Plain, Later\n$show_it").out
    @test endswith(after, "204") && occursin("2 rejected, Invalidated", after)
    @test occursin(r"h\(::Int64\) in Later at ", after) && !occursin("Tuple{Int64, Int64}", after)
    # By one that was deleted.
    deleted = julia!(box, "using NativeCache, Plain\nBase.delete_method(which(Plain.g, (Int,)))\nshow(stdout, MIME(\"text/plain\"), NativeCache.@explain Plain.f(1))").out
    @test occursin(r"invalidated by g\(::Any\) in Plain at .*, which was deleted", deleted)
    remove(box)
end
