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
    again() = build(box, repr("Absent"), ["Tuple{typeof(Absent.$f}" for f in asked])
    result = again()
    @test result.library !== nothing
    bytes = read(result.library)
    @test read(again().library) == bytes
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
    remove(box)
end

# Symbols that are in no IR: the code generator of LLVM calls them for what the machine has no instruction for.
part("C symbols that LLVM adds") && @testset "C symbols that LLVM adds" begin
    box = Box()
    add_package(box, "Late", """
        module Late
        powi(x, n) = Base.llvmcall(("declare double @llvm.powi.f64(double, i32)", "%3 = call double @llvm.powi.f64(double %0, i32 %1)\nret double %3"),
            Float64, Tuple{Float64,Int32}, x, n)
        sine(x) = Base.llvmcall(("declare double @llvm.sin.f64(double)", "%2 = call double @llvm.sin.f64(double %0)\nret double %2"), Float64, Tuple{Float64}, x)
        half(x) = Base.llvmcall("%2 = fptrunc double %0 to half\n%3 = fpext half %2 to double\nret double %3", Float64, Tuple{Float64}, x)
        quad(x) = Base.llvmcall("%2 = fpext double %0 to fp128\n%3 = fmul fp128 %2, %2\n%4 = fptrunc fp128 %3 to double\nret double %4", Float64, Tuple{Float64}, x)
        quotient(x, y) = div(x, y)
        product(x, y) = Core.Intrinsics.checked_smul_int(x, y)[1]
        remainder(x, y) = rem(x, y)
        end
        """)
    result = build(box, repr("Late"), ["Tuple{typeof(Late.$f}" for f in ("powi), Float64, Int32", "sine), Float64", "half), Float64",
        "quad), Float64", "quotient), Int128, Int128", "product), Int128, Int128", "remainder), Float64, Float64")])
    @test length(result["compiled"]) == 7
    script = """
        using Late
        println((Late.powi(2.0, Int32(3)), Late.sine(1.0), Late.half(1.5), Late.quad(1.5), Late.quotient(Int128(10)^20, Int128(7)),
            Late.product(Int128(3)^40, Int128(4)), Late.remainder(7.5, 2.0)))
        """
    cached = julia!(box, "using NativeCache; $script; println(length(NativeCache.status(\"Late\").installed))").out
    @test cached == string(julia!(box, script).out, "7\n")
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
        "Made.COLOR", "Made.NAMED", "Made.EITHER", "Made.Record", "Main.MadeBelow", "Main.Extra", "Made.Sub.#inner"))
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

# What generators and pure functions read: the session's own, not the builder's.
part("generators and pure functions that read state") && @testset "generators and pure functions that read state" begin
    box = Box()
    add_package(box, "Reads", """
        module Reads
        const CELL = Ref(1)
        const TABLE = Dict(:a => 1)
        const FIXED = 5
        global setting = 1
        helper() = CELL[]
        helped(x) = x + helper()
        struct Trait end
        Base.length(::Type{Trait}) = CELL[]
        struct Built v::Int; Built() = new(CELL[]); end
        abstract type Kind end
        struct OfKind <: Kind v::Int end
        (::Type{K})(::Nothing, ::Nothing) where {K<:Kind} = K(CELL[])
        # Whose elements are state, and whose methods count where there is one.
        mutable struct Buffer v::Int end
        Base.getindex(b::Buffer, i::Int) = b.v + CELL[]
        Base.length(b::Buffer) = CELL[]
        buffer() = Buffer(1)
        const BUFFER = Buffer(1)
        # These read nothing.
        @generated first_of(t::NTuple{N,Any}) where {N} = :(t[\$((1, 2)[1])])
        @generated by_captured(x) = (n = 0; add(i) = (n += i); add(1); add(2); :(x + \$n))
        @generated by_misspelt(x) = x <: String ? ArgumenError("") : :(x + 1)
        @generated by_caught(x) = try not_yet_there; :(x + 1) catch; :(x + 2) end
        @generated plain(x) = x <: Integer ? :(x + 1) : :(x)
        @generated unrolled(t::NTuple{N,Any}) where {N} = Expr(:call, :+, (:(t[\$i]) for i in 1:N)...)
        @generated fixed(x) = :(x + \$(FIXED + 1))
        @generated texts(x) = :(\$(string(x)), x)
        @generated by_cell(x) = :(x + \$(CELL[]))
        @generated by_helper(x) = :(x + \$(helped(1)))
        @generated by_table(x) = :(x + \$(get(TABLE, :a, 0)))
        @generated by_env(x) = :(x + \$(haskey(ENV, "READS") ? 100 : 10))
        @generated by_global(x) = :(x + \$(setting))
        @generated by_threads(x) = :(x + \$(Threads.nthreads()))
        @generated by_cpu(x) = :(x + \$(Sys.CPU_THREADS))
        @generated by_closure(x) = Expr(:call, :+, :x, map(i -> i + CELL[], 1:2)...)
        @generated by_type(x) = :(x + \$(length(Trait)))
        @generated by_methods(x) = :(x + \$(length(methods(helper))))
        @generated by_hasmethod(x) = hasmethod(helper, Tuple{Int}) ? :(x + 1) : :(x)
        @generated by_file(x) = :(x + \$(isfile(get(ENV, "READS", "")) ? 1 : 2))
        @generated by_module(x) = :(x + \$(getfield(Reads, :setting)))
        @generated by_defined(x) = isdefined(Reads, :nothing_of_this) ? :(x + 1) : :(x)
        @generated by_time(x) = :(x + \$(Int(time() > 0)))
        @generated by_made(x) = :(x + \$(MADE))
        @generated by_constructor(x) = :(x + \$(Built().v))
        @generated by_kind(x) = :(x + \$(OfKind(nothing, nothing).v))
        @generated by_buffer(x) = :(x + \$(Buffer(1)[1]))
        @generated by_buffer_made(x) = :(x + \$(length(buffer())))
        Base.@pure pure_plain(::Type{T}) where {T} = sizeof(T) + FIXED
        Base.@pure pure_cell() = CELL[]
        Base.@pure pure_deep() = helper()
        Base.@pure pure_env() = haskey(ENV, "READS")
        Base.@pure pure_threads() = Threads.nthreads()
        Base.@pure pure_constructor() = Built().v
        Base.@pure pure_given(b::Buffer) = b[1]
        Base.@pure pure_given_any(b) = b[1]
        Base.@pure pure_maker(f, x) = sum(f, (x, x))
        asks_constructor(x) = x + pure_constructor()
        asks_given(x) = x + pure_given(BUFFER)
        asks_given_any(x) = x + pure_given_any(BUFFER)
        asks_maker(x) = x + pure_maker(i -> Built().v, 1)
        asks_plain(x) = x + pure_plain(Tuple{Int,Int})
        asks_cell(x) = x + pure_cell()
        asks_deep(x) = x + pure_deep()
        asks_env(x) = x + pure_env()
        asks_threads(x) = x + pure_threads()
        calls(x) = asks_cell(x) * 2
        function __init__()
            CELL[] = TABLE[:a] = parse(Int, get(ENV, "READS", "1"))
            global setting = CELL[]
            @eval const MADE = \$(CELL[])
            CELL[] == 1 || @eval not_yet_there = 1
        end
        end
        """)
    reading = ["by_$what" for what in ("cell", "helper", "table", "env", "global", "threads", "cpu", "closure", "type", "methods",
        "hasmethod", "file", "module", "defined", "time", "made", "constructor", "kind", "buffer", "buffer_made", "caught")]
    pure = ["asks_cell", "asks_deep", "asks_env", "asks_threads", "asks_constructor", "asks_given", "asks_given_any", "asks_maker", "calls"]
    kept = ["plain", "fixed", "texts", "by_captured", "by_misspelt", "asks_plain"]
    lists = ["Tuple{typeof(Reads.$f), Int64}" for f in [reading; pure; kept]]
    append!(lists, ["Tuple{typeof(Reads.$f), Tuple{Int64, Int64}}" for f in ("unrolled", "first_of")])
    julia!(box, "import Reads")
    result = build(box, repr("Reads"), lists)
    name(item) = match(r"Reads\.(\w+)\)", item[1])[1]
    @test Set(name.(result["compiled"])) == Set([kept; "unrolled"; "first_of"])
    @test Dict(name(item) => item[2] for item in result["skipped"]) ==
        Dict([[f => "GeneratedFunction" for f in reading]; [f => "PureFunction" for f in pure]])
    calls = "print([Base.invokelatest(getfield(Reads, f), 3) for f in $(Symbol.([reading; pure; kept]))], Reads.unrolled((1, 2)), Reads.first_of((1, 2)))"
    for env in (Pair{String,String}[], ["READS" => "2"], ["JULIA_NUM_THREADS" => "2"]), change in ("", "Reads.CELL[] = 9; @eval Reads setting = 8\n")
        scripts = (string(cached, "using Reads; ", change, calls)
            for cached in ("using NativeCache; ", ""))
        with, without = (julia!(box, script; env = env).out for script in scripts)
        @test with == without
    end
    # What reads nothing that could be found is asked again, and is there; its answer is not kept for the session.
    @test length(status(box, repr("Reads"), "using Reads")["installed"]) == length(kept) + 2
    remove(box)
end

part("constants bound anew before they are used") && @testset "constants bound anew before they are used" begin
    box = Box()
    add_package(box, "BoundBelow", "module BoundBelow\nconst BELOW = 1\nconst OTHER = 2\nexport OTHER\nend")
    add_package(box, "Bound", """
        module Bound
        using BoundBelow
        struct Pair2; a::Int8; b::Any; end
        const LIMIT = 10
        const WORD = "a"
        const TUPLE = (1, "a", Int)
        const PAIR = Pair2(1, 2.5)
        const MODE = :fast
        const NAMES = (:OTHER_LIMIT, :one)
        const OTHER_LIMIT = 1
        const CELL = Ref(1)
        f(x) = x + LIMIT
        @noinline inner(x) = x + LIMIT
        outer(x) = inner(x) * 2
        word(x) = (x, length(WORD))
        tuple(x) = TUPLE[3](x) + TUPLE[1]
        pair(x) = PAIR.b * x
        mode(x) = MODE === :fast ? x : -x
        by_name(x) = getfield(Bound, NAMES[1]) + x
        by_type(::Val{S}, x) where {S} = getfield(Bound, S) + x
        below(x) = BoundBelow.BELOW + x
        imported(x) = OTHER + x
        cell(x) = CELL[] + x
        @generated generated(x) = :(x + \$(LIMIT))
        Base.@pure pure() = LIMIT + 1
        by_pure(x) = x + pure()
        none(x) = x * 3
        end
        """; deps = ["BoundBelow" => Sandbox.uuid("BoundBelow")])
    names = ["f", "inner", "outer", "word", "tuple", "pair", "mode", "by_name", "below", "imported", "cell", "generated", "by_pure", "none"]
    lists = [["Tuple{typeof(Bound.$f), Int64}" for f in names]; "Tuple{typeof(Bound.by_type), Val{:LIMIT}, Int64}"]
    julia!(box, "import Bound")
    result = build(box, repr("Bound"), lists)
    @test length(result["compiled"]) == length(lists)
    @test length(status(box, repr("Bound"), "import Bound")["installed"]) == length(lists)
    calls = "println([Base.invokelatest(getfield(Bound, f), 3) for f in $(Symbol.(names))], Bound.by_type(Val(:LIMIT), 3))"
    limit = ["f", "inner", "outer", "generated", "by_pure", "by_type"]
    changes = ["LIMIT = 50" => limit, "WORD = \"bcd\"" => ["word"], "TUPLE = (1, \"a\", Float64)" => ["tuple"],
        "PAIR = Pair2(1, 2)" => ["pair"], "MODE = :slow" => ["mode"], "OTHER_LIMIT = 7" => ["by_name"], "CELL = Ref(8)" => [],
        "BoundBelow, BELOW = 5" => ["below"], "BoundBelow, OTHER = 6" => ["imported"]]
    for (change, rests) in changes
        inside, what = occursin(", ", first(split(change, " ="))) ? split(change, ", "; limit = 2) : ("Bound", change)
        anew = "import Bound, BoundBelow\nCore.eval($inside, :($what))\n"
        with, without = (julia!(box, string(anew, cached, calls)).out for cached in ("using NativeCache\n", ""))
        @test with == without
        late = julia!(box, string(anew, "using NativeCache\nfor i in NativeCache.status(\"Bound\").rejected; println(i.statement, ' ', i.reason); end")).out
        left = sort!([String(m[1]) for m in eachmatch(r"Bound\.(\w+)\)", late)])
        @test left == sort(rests)
        @test isempty(rests) || occursin("ConstantChanged", late)
    end
    remove(box)
end
