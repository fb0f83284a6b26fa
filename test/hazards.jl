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

# What is not there costs the one method that cannot do without it.
part("C symbols that are not there") && @testset "C symbols that are not there" begin
    box = Box()
    library, only = joinpath(box.root, "libabsent.so"), joinpath(box.root, "libonly.so")
    function compile(source, library)
        write("$library.c", source)
        run(`cc -shared -o $library $library.c`)
    end
    compile("long only_here(void) { return 7; }", only)
    add_package(box, "Absent", """
        module Absent
        using Libdl
        const LIBRARY = $(repr(library))
        f(x) = x + 1
        variable() = cglobal(:no_such_symbol, Int)
        variable_address() = UInt(cglobal(:no_such_symbol, Int)) >> 1
        called() = ccall((:no_such_function, "libm.so.6"), Int, ())
        called_and_handed() = called() + (@cfunction(f, Int, (Int,)) == C_NULL)
        there_later(x) = ccall((:twice, LIBRARY), Int, (Int,), x)
        there_later_too(x) = ccall((:twice, LIBRARY), Int, (Int,), x) + 1
        looked_up() = ccall((:no_such_function, LIBRARY), Int, ())
        declared() = Base.llvmcall(("declare i64 @no_such_function()", "%1 = call i64 @no_such_function()\\nret i64 %1"), Int, Tuple{})
        data() = Base.llvmcall(("@no_such_variable = external global i64", "%1 = load i64, i64* @no_such_variable\\nret i64 %1"), Int, Tuple{})
        # Of a library that this package loads, and not every session.
        own() = Base.llvmcall(("declare i64 @only_here()", "%1 = call i64 @only_here()\\nret i64 %1"), Int, Tuple{})
        known(x) = Base.llvmcall(("declare double @cos(double)", "%2 = call double @cos(double %0)\\nret double %2"), Float64, Tuple{Float64}, x)
        # The JIT compiles `looked_up` before a build begins.
        function __init__()
            Libdl.dlopen($(repr(only)), Libdl.RTLD_GLOBAL)
            try looked_up() catch end
        end
        end
        """; deps = ["Libdl" => "8f399da3-3557-5675-b5ff-fb832c97cbdb"])
    asked = ["f), Int64", "variable)", "variable_address)", "called)", "called_and_handed)", "there_later), Int64",
        "there_later_too), Int64", "looked_up)", "declared)", "data)", "own)", "known), Float64"]
    result = build(box, repr("Absent"), ["Tuple{typeof(Absent.$f}" for f in asked])
    @test result.library !== nothing
    left_out = Dict(match(r"Absent\.(\w+)", item[1])[1] => item[2] for item in result["skipped"])
    @test left_out == Dict("variable_address" => "IntegerAddress", "called_and_handed" => "ForeignCallback",
        "declared" => "UnknownForeignCall", "data" => "UnknownForeignCall", "own" => "UnknownForeignCall")
    @test any(item -> occursin("no_such_variable", item[3]), result["skipped"])
    @test isempty(result["failed"]) && length(result["compiled"]) == length(asked) - length(left_out)
    script = """
        using Absent
        said(f, x...) = try f(x...) catch err; sprint(showerror, err) end
        println(Absent.f(1), said(Absent.variable), said(Absent.called), said(Absent.looked_up), said(Absent.there_later, 1), Absent.known(0.0), Absent.own())
        """
    @test julia!(box, "using NativeCache; $script").out == julia!(box, script).out
    # The library is there by then: looked up when the code first runs.
    compile("long twice(long x) { return 2 * x; }", library)
    late = julia!(box, """
        using NativeCache
        $script
        print(said(Absent.there_later, 4), said(Absent.there_later_too, 4), length(NativeCache.status("Absent").installed))
        """)
    @test endswith(late.out, string("8", "9", length(result["compiled"])))
    @test startswith(late.out, "2")
    # The same bytes again.
    again(f...) = read(build(box, repr("Absent"), ["Tuple{typeof(Absent.$one" for one in f]).library)
    @test again("called)", "called_and_handed)", "looked_up)") == again("called)", "called_and_handed)", "looked_up)")
    @test again("known), Float64") == again("known), Float64")
    remove(box)
end
