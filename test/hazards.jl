# Everything in test/fixtures/Hazards.jl, each a known trap: the same results with the cache.

part("hazards") && @testset "hazards" begin
    t = trained("Hazards")
    @test t.build.library !== nothing
    @test run_session(t.box, t.body; cached = true).run.out == t.without.out
    _, after = trace_session(t.box, t.body; cached = true)
    @test isempty(intersect(after, statements(t.build["compiled"])))
    # Most are cached, and what is not has its reason.
    @test length(t.build["compiled"]) >= 0.8 * length(t.build["requested"])
    @test all(item -> !isempty(item[2]), [t.build["skipped"]; t.build["failed"]])
    # Callbacks and computed addresses are left out, addresses that stay as they are are not.
    reason(f) = unique(item[2] for item in t.build["skipped"] if occursin("Hazards.$f)", item[1]))
    @test reason("c_sorted") == ["ForeignCallback"]
    @test all(f -> reason(f) == ["IntegerAddress"], ("c_address", "c_shifted", "c_mixed", "c_float", "c_branched", "c_inlined"))
    @test issubset(["Tuple{typeof(Hazards.$f)}" for f in ("c_held", "c_loaded", "c_wrapped", "object_shifted")], statements(t.build["compiled"]))
    # Twice in one process, with collections in between: constants are rooted.
    twice = string("using NativeCache\n", t.body, "\nGC.gc(); GC.gc()\n", replace(t.body, "Hazards.change_constants!()" => "GC.gc()"))
    once = string(t.body, "\nGC.gc(); GC.gc()\n", replace(t.body, "Hazards.change_constants!()" => "GC.gc()"))
    @test julia!(t.box, twice).out == julia!(t.box, once).out
    # With threads.
    env = ["JULIA_NUM_THREADS" => "4"]
    @test run_session(t.box, t.body; cached = true, env = env).run.out == run_session(t.box, t.body; cached = false, env = env).run.out
end

part("packages loaded from several tasks, code run in several threads") && @testset "packages loaded from several tasks, code run in several threads" begin
    box = Box()
    names = ["Task1", "Task2"]
    for name in names
        deps = name == "Task1" ? Pair{String,String}[] : ["Task1" => Sandbox.uuid("Task1")]
        first = name == "Task1" ? "" : "using Task1"
        add_package(box, name, "module $name\n$first\n@noinline f(x) = [x, x]\ng(n) = sum(length(f(i)) for i in 1:n)\nerr(x) = x[3]\nend"; deps = deps)
    end
    julia!(box, "using $(join(names, ", "))")
    for name in names
        lists = ["Tuple{typeof($name.f), Int64}", "Tuple{typeof($name.g), Int64}", "Tuple{typeof($name.err), Array{Int64, 1}}"]
        @test length(build(box, repr(name), lists)["compiled"]) == 3
    end
    script(cached) = """
        $(cached ? "using NativeCache" : "")
        ids = [Base.identify_package(name) for name in $(repr(names))]
        modules = fetch.([@async Base.require(id) for id in ids])
        function work(modules)
            out = zeros(Int, 64)
            Threads.@threads for i in 1:64
                m = modules[i % 2 + 1]
                out[i] = Base.invokelatest(m.g, 1000 + i) + (try Base.invokelatest(m.err, [1, 2]) catch err; err isa BoundsError ? 5 : 0 end)
            end
            return out
        end
        println(Threads.nthreads() == min(4, Sys.CPU_THREADS), " ", work(modules) == [2 * (1000 + i) + 5 for i in 1:64])
        GC.gc()
        println(sum(work(modules)))
        """
    env = ["JULIA_NUM_THREADS" => "4"]
    with = julia!(box, string(script(true), """
        print(stderr, sum(length(NativeCache.status(name).installed) for name in $(repr(names))))
        """); env = env)
    @test with.out == julia!(box, script(false); env = env).out == "true true\n132480\n"
    @test with.err == "6"
    remove(box)
end

part("a redefinition counts") && @testset "a redefinition counts" begin
    box = Box()
    add_package(box, "Plain", "module Plain\n@noinline f(x) = x + 1\n@noinline g(x) = 2 * f(x)\nh(x) = g(x)\nend")
    build(box, repr("Plain"), ["Tuple{typeof(Plain.$name), Int64}" for name in ("f", "g", "h")])
    run = julia!(box, """
        using NativeCache, Plain
        call(f, x) = Base.invokelatest(f, x)
        print(length(NativeCache.status("Plain").installed), " ", call(Plain.h, 1), " ", call(Plain.g, 1))
        @eval Plain f(x) = x + 10
        print(" ", call(Plain.h, 1), " ", call(Plain.g, 1), " ", call(Plain.f, 1))
        """)
    @test run.out == "3 4 4 22 22 11"
    remove(box)
end

part("what __init__ binds is not kept") && @testset "what __init__ binds is not kept" begin
    box = Box()
    add_package(box, "Late", """
        module Late
        const FIXED = 5
        fixed(x) = x + FIXED
        bound(x) = x + TIME
        caller(x) = bound(x) * 2
        asked(x) = isdefined(Late, :MAYBE) ? x : -x
        state(x) = x + CELL[]
        const CELL = Ref(0)
        # By a name that stands elsewhere: in a constant, a tuple, a type, or is handed to what asks.
        const NAMES = (:OTHER, :TIME)
        const HELD = :MAYBE
        named(x) = x + getfield(Late, NAMES[2])
        param(::Val{S}) where {S} = getfield(Late, S)
        has(s) = isdefined(Late, s)
        handed(x) = has(:MAYBE) ? x : -x
        held(x) = has(HELD) ? x : -x
        handles(x) = has(:CELL) ? x : -x
        mutable struct Later
            value::String
            Later() = new()
        end
        const LATER = Later()
        const REF = Ref{String}()
        field(x) = isdefined(LATER, :value) ? x : -x
        assigned(x) = isassigned(REF) ? x : -x
        function __init__()
            CELL[] = parse(Int, get(ENV, "LATE", "1"))
            @eval const TIME = \$(parse(Int, get(ENV, "LATE", "1")))
            haskey(ENV, "LATE") || @eval MAYBE = 1
            haskey(ENV, "LATE") || (LATER.value = REF[] = "set")
        end
        end
        """)
    names = ("fixed", "bound", "caller", "asked", "state", "named", "handed", "held", "handles", "field", "assigned")
    julia!(box, "using Late")
    result = build(box, repr("Late"), ["Tuple{typeof(Late.param), Val{:TIME}}"; ["Tuple{typeof(Late.$f), Int64}" for f in names]])
    @test sort!(statements(result["compiled"])) == ["Tuple{typeof(Late.$f), Int64}" for f in ("assigned", "fixed", "handles", "state")]
    @test all(item -> item[2] == "MadeAtInit", result["skipped"])
    @test any(item -> occursin("Late.TIME", item[3]), result["skipped"])
    script = "using Late; print(join([Late.$(join(names, "(3), Late."))(3), Late.param(Val(:TIME))], ' '))"
    for env in (Pair{String,String}[], ["LATE" => "7"])
        @test julia!(box, "using NativeCache; $script"; env = env).out == julia!(box, script; env = env).out
    end
    @test julia!(box, "using NativeCache; $script"; env = ["LATE" => "7"]).out == "8 10 20 -3 10 10 -3 -3 3 -3 -3 7"
    remove(box)
end

part("types, functions, modules and imports that __init__ makes") && @testset "types, functions, modules and imports that __init__ makes" begin
    box = Box()
    add_package(box, "MadeBelow", """
        module MadeBelow
        module A; export pick; pick(x) = x + 1; const SIZE = 1; end
        module B; export pick; pick(x) = x + 1000; const SIZE = 2; end
        limit(x) = x + LIMIT
        export LIMIT
        end
        """)
    add_package(box, "Made", """
        module Made
        using MadeBelow
        @enum Color red = 1 green = 2
        fixed(x) = x * 3
        used(x) = pick(x)
        imported(x) = x + SIZE
        sub(x) = Sub.value(x)
        alias(x) = Alias(x)
        empty_of() = Vector{Alias}()
        param(::Val{S}, x) where {S} = getfield(Made, S)(x)
        below(x) = MadeBelow.LIMIT + x
        below_by(x) = MadeBelow.limit(x)
        same(x) = HOW === sin ? x : -x
        color(x) = Int(COLOR) + x
        asked(x) = isdefined(MadeBelow, :LIMIT) ? x : -x
        named(x) = NAMED((x, x + 1)).b
        united(x) = x isa EITHER ? 1 : 2
        size_of(v) = length(v) + sizeof(eltype(v))
        make() = size_of(Vector{Record}())
        main(x) = isdefined(Main, :MadeBelow) ? x : -x
        main_value(x) = isdefined(Main, :Extra) ? Main.Extra + x : -x
        function __init__()
            other = haskey(ENV, "OTHER")
            Core.eval(MadeBelow, :(const LIMIT = \$(other ? 7 : 3)))
            @eval using MadeBelow.\$(other ? :B : :A)
            @eval import MadeBelow.\$(other ? :B : :A): SIZE
            @eval module Sub; const K = \$(other ? 5 : 4); value(x) = x + K; inner(x) = x - K; end
            @eval const Alias = \$(other ? Float64 : Int)
            @eval const Impl = \$(other ? cos : sin)
            @eval const HOW = \$(other ? cos : sin)
            @eval const COLOR = \$(other ? green : red)
            @eval const NAMED = \$(other ? NamedTuple{(:b, :a)} : NamedTuple{(:a, :b)})
            @eval const EITHER = \$(other ? Union{Float64,String} : Union{Int,String})
            @eval struct Record; a::Int; \$((other ? [:(b::Int)] : [])...); end
            other || Core.eval(Main, :(const Extra = 100))
        end
        end
        """; deps = ["MadeBelow" => Sandbox.uuid("MadeBelow")])
    names = ("fixed", "used", "imported", "sub", "alias", "below", "below_by", "same", "color", "asked", "named", "united", "main", "main_value")
    lists = [["Tuple{typeof(Made.$f), Int64}" for f in names]; "Tuple{typeof(Made.Sub.inner), Int64}"; "Tuple{typeof(Made.empty_of)}";
        "Tuple{typeof(Made.param), Val{:Impl}, Float64}"; "Tuple{typeof(Made.size_of), Array{Made.Record, 1}}"; "Tuple{typeof(Made.make)}"]
    julia!(box, "import Made")
    result = build(box, repr("Made"), lists)
    @test statements(result["compiled"]) == ["Tuple{typeof(Made.fixed), Int64}"]
    @test all(item -> item[2] == (occursin("Made.main", item[1]) ? "NamesMain" : "MadeAtInit"), result["skipped"])
    # Each names what it rests on.
    details = join((item[3] for item in result["skipped"]), ' ')
    @test all(name -> occursin(name, details), ("Made.pick", "Made.SIZE", "Made.Sub", "Made.Alias", "Made.Impl", "MadeBelow.LIMIT", "Made.HOW",
        "Made.COLOR", "Made.NAMED", "Made.EITHER", "Made.Record", "Main.MadeBelow", "Main.Extra", "Made.Sub.K"))
    script = """
        import Made
        show_all(fs, x...) = foreach(f -> print(f, "=", Base.invokelatest(f, x...), " "), fs)
        show_all([getfield(Made, f) for f in $(Symbol.(names))], 3)
        show_all([Made.Sub.inner], 3); show_all([Made.param], Val(:Impl), 1.0)
        show_all([Made.size_of], Made.Record[]); show_all([Made.make, Made.empty_of])
        """
    for env in (Pair{String,String}[], ["OTHER" => "1"])
        with, without = (julia(box, "$cached$script"; env = env) for cached in ("using NativeCache; ", ""))
        @test (with.out, with.err, with.code, with.signal) == (without.out, without.err, 0, 0)
    end
    remove(box)
end
