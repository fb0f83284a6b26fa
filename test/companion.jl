# src/companion: what only the engine for Julia 1.10 and later does. What both engines do is tested by files such as edges
# and stale, on each.

# ---- statements ----

part("statements read back") && @testset "statements read back" begin
    box = Box()
    add_package(box, "Odd", raw"""
        module Odd
        struct Factor; power::Int; ratio::Rational{Int}; end
        struct Unit{F} end
        struct Pair2{A,B}; a::A; b::B; end
        primitive type Bits24 24 end
        abstract type Kind{T<:Real,S} end
        f(x) = x
        const closure = let y = 1; x -> x + y; end
        end
        """)
    # Types of every sort that can stand in a signature, some at random; the same in each run.
    said = julia!(box, raw"""
        using NativeCache, Odd, Random
        N = NativeCache
        N.send_layout()
        text(type) = N.taken(ccall((:nativecache_statement, N.LIBRARY), Ptr{UInt8}, (Any,), type))
        rng = MersenneTwister(7)
        symbols = [:a, Symbol("a\tb\\c", '"', "\$d\n"), Symbol(""), :+, :end, Symbol("é"), Symbol("#1#2"), Symbol("nothing"), :true, :T1, :var, Symbol("1")]
        values = Any[1, -1, typemin(Int), 0x05, 0xffff, Int8(-3), Int128(2)^100, true, false, 'x', '\xff', 1.5, NaN, -0.0, Inf32, Float16(2),
            reinterpret(Float64, 0x7ff8000000000001), nothing, missing, (1, 'a'), (), (1,), symbols..., (:a, :b), (:a,), Base, Odd, Core.Compiler,
            Odd.Factor(0, 1//1), Odd.Pair2(Odd.Factor(1, 2//3), (1, 0x02)), 1:3, C_NULL, Ptr{Int}(16), sin, Odd.f, 3//4, 1 + 2im, (a = 1, b = 0x02),
            reinterpret(Odd.Bits24, (0x01, 0x02, 0x03)), Val(:x), VersionNumber, Odd.closure]
        leaves = Any[Int, String, Any, Union{}, Nothing, Odd.Factor, Odd.Unit, Odd.Kind, typeof(Odd.f), typeof(Odd.closure), typeof(+), Type{Int},
            Type{Vector}, Array, Vector{T} where T<:Real, (Dict{K,V} where V<:Vector{K}) where K, NTuple{3,Int}, Tuple{}, Tuple, Tuple{Int,Vararg{String}},
            NamedTuple{(:a, :b),Tuple{Int,String}}, NamedTuple{(:a,)}, Ref{T} where Int<:T<:Real, Union{Int,Missing}, Core.Builtin, DataType, Module,
            Base.Order.By{typeof(identity),Base.Order.ForwardOrdering}, Type{Tuple{T}} where T, AbstractArray{<:Any,2}, Odd.Kind{T,Vector{T}} where T<:Integer]
        function any_type(depth)
            # Nothing can be inside a tuple of Julia.
            depth == 0 && return rand(rng, filter(leaf -> leaf !== Union{}, leaves))
            kind = rand(rng, 1:8)
            kind == 1 && return Vector{any_type(depth - 1)}
            kind == 2 && return Tuple{any_type(depth - 1),any_type(depth - 1)}
            kind == 3 && return Union{any_type(depth - 1),any_type(depth - 1)}
            kind == 4 && return Odd.Unit{rand(rng, values)}
            kind == 5 && return Val{rand(rng, values)}
            kind == 6 && return Odd.Pair2{any_type(depth - 1),T} where T<:Union{Int,any_type(depth - 1)}
            kind == 7 && return Type{any_type(depth - 1)}
            return Tuple{any_type(depth - 1),Vararg{any_type(depth - 1)}}
        end
        tried, wrong, unsaid = 0, String[], 0
        for types in (Any[Val{value} for value in values], leaves, Any[any_type(rand(rng, 1:4)) for _ in 1:2000]), type in types
            # 1.12 has no tuples with a field that nothing can be in.
            signature = Tuple{typeof(Odd.f),type === Union{} ? Type{type} : type}
            global tried += 1
            said = text(signature)
            isempty(said) && (global unsaid += 1; continue)
            back = try N.read_statement(said, N.loaded_root) catch err; sprint(showerror, err) end
            # Types are equal, or, where equality cannot be decided by `===`, each is the other's subtype.
            (back === signature || back isa Type && back == signature) && !occursin('\n', said) && !occursin('\t', said) ||
                push!(wrong, string(said, " for ", signature, " gave ", back))
        end
        println(tried, ' ', unsaid)
        foreach(println, unique(wrong)[1:min(end, 10)])
        """).out
    lines = split(said, '\n'; keepempty = false)
    @test length(lines) == 1        # nothing was read back as another type
    tried, unsaid = parse.(Int, split(lines[1]))
    @test tried > 2000 && unsaid == 0
    remove(box)
end

part("statements are no code") && @testset "statements are no code" begin
    box = Box()
    add_package(box, "Plain", "module Plain; f(x) = x; end")
    mark = joinpath(box.root, "ran")
    bad = ["Tuple{typeof(Plain.f), typeof(touch($(repr(mark))))}", "Tuple{typeof(Plain.f), Val{begin touch($(repr(mark))); 1 end}}",
           "Tuple{typeof(Plain.f), eval(:(touch($(repr(mark)))))}", "Tuple{typeof(Plain.f), @eval touch($(repr(mark)))}",
           "(touch($(repr(mark))); Tuple{typeof(Plain.f), Int})", "Tuple{typeof(Plain.f), new(Base.RefValue, 1)}", "1", "Tuple{", "Tuple{typeof(Plain.g)}"]
    result = build(box, repr("Plain"), [bad; "Tuple{typeof(Plain.f), Int64}"])
    @test !ispath(mark)
    @test length(result["compiled"]) == 1 && length(result["skipped"]) == length(bad)
    @test all(item -> item[2] in ("NoTypeExpression", "NoSuchMethod"), result["skipped"])
    remove(box)
end

# ---- what a session has of it ----

"A package of functions that call each other, and what a trained session of it runs."
function chain(box)
    add_package(box, "Chain", """
        module Chain
        const K = 1
        @noinline g(x) = x + K
        f(x) = g(x) * 2
        k(x) = f(x) + f(x + 1)
        mid(x) = first(x)
        outer(x) = mid(x) * "!"
        precompile(k, (Int,))
        precompile(outer, (Vector{String},))
        end
        """)
    # Inferred with the package, and compiled by no image: what Julia itself would not keep.
    return ["Tuple{typeof(Chain.f), Int64}", "Tuple{typeof(Chain.g), Int64}", "Tuple{typeof(Chain.mid), Array{String, 1}}",
            "Tuple{typeof(Base.first), Array{String, 1}}"]
end

part("what images inferred and did not compile") && @testset "what images inferred and did not compile" begin
    box = Box()
    statements = chain(box)
    result = build(box, repr("Chain"), statements)
    @test length(result["compiled"]) == 4
    trace = joinpath(box.root, "trace")
    calls = raw"""
        println(Base.invokelatest(Chain.f, 1), Base.invokelatest(Chain.mid, ["a"]), Base.invokelatest(first, ["b"]))
        """
    run = julia!(box, "using NativeCache, Chain\n$calls\nprintln(stderr, NativeCache.status(\"Chain\"))"; flags = `--trace-compile=$trace`)
    @test run.out == "4ab\n" && occursin("4 of 4 installed", run.err)
    @test !any(line -> occursin(r"typeof\((Chain\.|Base\.first\))", line), eachline(trace))
    # Without the cache they are compiled: the test can fail.
    julia!(box, "using Chain\n$calls"; flags = `--trace-compile=$trace`)
    @test count(line -> occursin(r"typeof\((Chain\.|Base\.first\))", line), eachline(trace)) >= 2
    remove(box)
end

# Every change of what inserted code calls, before it is inserted and after, and for tasks of an older world.
part("inserted code follows its callees") && @testset "inserted code follows its callees" begin
    box = Box()
    build(box, repr("Chain"), chain(box))
    say = """
        say() = println(Base.invokelatest(Chain.f, 1), ' ', Base.invokelatest(Chain.k, 1), ' ', Base.invokelatest(Chain.outer, ["b"]), ' ',
            Base.invokelatest(Chain.mid, ["a"]), ' ', Base.invokelatest(first, ["c"]))
        """
    changes = ["@eval Chain g(x) = x + 100", "@eval Chain @noinline g(x::Int) = -1", "@eval Chain f(x::Int) = -1", "@eval Base first(x::Vector{String}) = \"changed\"",
               "Base.delete_method(which(Chain.mid, (Vector{String},))); @eval Chain mid(x::Vector) = \"new\"",
               "@eval Chain begin g(x::Int) = 7; end; Base.delete_method(which(Chain.g, (Int,)))"]
    # From 1.12 on constants have worlds.
    VERSION >= v"1.12" && push!(changes, "@eval Chain const K = 1000")
    for change in changes
        after = "using Chain; $say\nsay(); old = Base.get_world_counter(); $change; say(); println(Base.invoke_in_world(old, Chain.f, 1))\n" *
            "t = Task(() -> Chain.outer([\"t\"])); println(fetch(schedule(t)))"
        @test julia!(box, "using NativeCache; $after").out == julia!(box, after).out
        # Before the companion is there.
        before = "$say\nsay()"
        early = julia!(box, "using Chain; $change; using NativeCache; $before").out
        @test early == julia!(box, "using Chain; $change; $before").out
    end
    # The first of them was refused for its reason and not by luck.
    refused = julia!(box, "using Chain; $(changes[1]); using NativeCache; show(stdout, MIME(\"text/plain\"), NativeCache.status(\"Chain\"))").out
    @test occursin("EdgeChanged", refused)
    remove(box)
end

part("code that no call reaches any more") && @testset "code that no call reaches any more" begin
    box = Box()
    build(box, repr("Chain"), chain(box)[1:2])
    show_status = "show(stdout, MIME(\"text/plain\"), NativeCache.status(\"Chain\"))"
    taken = julia!(box, "using NativeCache, Chain; @eval Chain f(x::Int) = -1; $show_status").out
    @test occursin("1 of 2 methods installed", taken) && occursin("1 rejected, Invalidated", taken)
    told = julia!(box, "using NativeCache, Chain; @eval Chain f(x::Int) = -1; show(stdout, MIME(\"text/plain\"), NativeCache.explain(Chain.f, (Int,)))").out
    @test occursin("Invalidated", told) && occursin("f(::Int64) in Chain", told)
    # The method that takes its place was there before, and hidden.
    add_package(box, "Hidden", "module Hidden; f(x) = 1; f(x::Int) = 2; end")
    build(box, repr("Hidden"), ["Tuple{typeof(Hidden.f), Int64}"])
    gone = julia!(box, "using NativeCache, Hidden; Base.delete_method(which(Hidden.f, (Int,))); show(stdout, MIME(\"text/plain\"), NativeCache.explain(Hidden.f, (Int,)))").out
    @test occursin("Invalidated", gone) && occursin("f(::Int64) in Hidden", gone) && occursin("which was deleted", gone)
    remove(box)
end

# A companion does not hold what code of other images calls (src/companion/edges.jl). That code may have ended before, and it
# may end afterwards: by definitions of the session and of packages, deletions, at any depth, in images of Julia and of packages.
const SHORTENS = VERSION < v"1.11"
const ENDS_PACKAGES = [
    "Deep" => """
        module Deep
        # What depends on the number is known only where the number is.
        kind(::Int) = :int
        kind(::String) = :text
        kind(::Symbol) = :name
        kind(::Char) = :letter
        kind(::Float64) = :number
        item(i) = i == 1 ? 1 : i == 2 ? "a" : i == 3 ? :b : i == 4 ? 'c' : 5.0
        Base.@constprop :aggressive @noinline below(i) = kind(item(i))
        Base.@constprop :aggressive @noinline above(i) = below(i)
        part(x) = x + 1
        @noinline whole(x) = part(x) * 10
        precompile(below, (Int,))
        precompile(above, (Int,))
        end
        """ => String[],
    "Left" => """
        module Left
        using Deep
        @noinline named() = Deep.above(1)
        @noinline sized(x::Int8) = Deep.whole(x)
        precompile(named, ())
        precompile(sized, (Int8,))
        end
        """ => ["Deep"],
    # The same code of another package as in `Left`.
    "Right" => """
        module Right
        using Deep
        @noinline sized(x::Int8) = Deep.whole(x) + 1
        precompile(sized, (Int8,))
        end
        """ => ["Deep"],
    "Pirate" => """
        module Pirate
        Base.promote_rule(::Type{Int64}, ::Type{Int16}) = Int128
        end
        """ => String[],
    "Ends" => """
        module Ends
        using Deep, Left
        # promote_typeof > promote_type > promote_rule: that it is Int64 is a constant in Julia's image.
        far(x::Int64, y::Int16) = string(Base.promote_typeof(x, y))
        plain(x::Int) = string(x, "!")
        direct() = Deep.above(1) === :int ? "int" : "other"
        through() = Left.named() === :int ? "int" : "other"
        sized(x::Int8) = string(Deep.whole(x), "?")
        end
        """ => ["Deep", "Left"]]

# Each entry as it runs, and as the compiler knows it when it compiles a caller.
const ENDS_SAY = """
    far(x, y) = Ends.far(x, y); plain(x) = Ends.plain(x); direct() = Ends.direct(); through() = Ends.through(); sized(x) = Ends.sized(x)
    calls() = (("far", 1, Int16(1)), ("plain", 1), ("direct",), ("through",), ("sized", Int8(1)))
    ask(mod, name, arguments...) = try Base.invokelatest(getfield(mod, Symbol(name)), arguments...) catch err; typeof(err) end
    say() = println(join((ask(mod, call...) for mod in (Ends, Main) for call in calls()), ' '))
    """
# How many of the entries run code of an image, and how many do not.
const ENDS_COUNTS = """
    let N = NativeCache, types = [N.read_statement(text, N.loaded_root) for (_, text, _) in N.account(N.SESSION.found[1].companion)]
        held = count(type -> (i = N.instance_of(type, Base.get_world_counter()); i isa Core.MethodInstance &&
            N.any_code(code -> N.is_valid(code) && N.has_image_code(code), i)), types)
        print(stderr, held, ' ', length(types) - held)
    end
    """

function ends_box()
    box = Box()
    for (name, (source, deps)) in ENDS_PACKAGES
        add_package(box, name, source; deps = [dep => Sandbox.uuid(dep) for dep in deps])
    end
    result = build(box, repr("Ends"), ["Tuple{typeof(Ends.far), Int64, Int16}", "Tuple{typeof(Ends.plain), Int64}", "Tuple{typeof(Ends.direct)}",
        "Tuple{typeof(Ends.through)}", "Tuple{typeof(Ends.sized), Int8}"])
    @test length(result["compiled"]) == 5
    return box
end

# What is defined, and how many of the five entries hold no more if it is defined before.
const ENDS_CHANGES = [
    "@eval Base promote_typeof(x::Int64, y::Int16) = Int128" => 1,
    "@eval Base promote_type(::Type{Int64}, ::Type{Int16}) = Int128" => 1,
    "@eval Base promote_rule(::Type{Int64}, ::Type{Int16}) = Int128" => 1,
    # Its own method once more: `string` of two entries rests on it, too.
    "@eval Base promote_typeof(x, xs...) = (@_inline_meta; promote_type(typeof(x), promote_typeof(xs...)))" => 3,
    # It ends and comes back: what was compiled with it is not what there is now, and the results are the same again.
    "@eval Base promote_rule(::Type{Int64}, ::Type{Int16}) = Int128; Base.delete_method(which(Base.promote_rule, (Type{Int64}, Type{Int16})))" => 1,
    "using Pirate" => 1,
    "@eval Deep kind(::Int) = :whole" => 2,
    "@eval Deep kind(::Integer) = :whole; Base.delete_method(which(Deep.kind, (Int,)))" => 2,
    "@eval Deep part(x::Int8) = 2.5" => 1,
    "@eval Deep part(x) = x + 2.5" => 1]

part("code of other images that holds no more") && @testset "code of other images that holds no more" begin
    box = ends_box()
    uncached(script) = julia!(box, replace(script, "using NativeCache, " => "using ", "using NativeCache\n" => "")).out
    # Before it is loaded, with packages loaded in several orders. With `Ends` there already, NativeCache comes last.
    loads = ["using Right, Deep", "using Ends, Deep"]
    @testset "$change" for (number, (change, ended)) in enumerate(ENDS_CHANGES)
        # After it was loaded; and what an older world sees.
        after = "using NativeCache, Ends\nusing Deep\n$(ENDS_SAY)say(); old = Base.get_world_counter(); $change\nsay()\n" *
            "println([Base.invoke_in_world(old, f) for f in (Ends.direct, Ends.through)], Base.invoke_in_world(old, Ends.far, 1, Int16(1)), Base.invoke_in_world(old, Ends.sized, Int8(1)))\n"
        with = julia!(box, "$after$ENDS_COUNTS")
        @test with.out == uncached(after)
        SHORTENS && @test with.err == "$(5 - ended) $ended"
        for load in loads
            before = "$load\n$change\nusing NativeCache, Ends\n$(ENDS_SAY)say()\n"
            with = julia!(box, "$before$ENDS_COUNTS")
            @test with.out == uncached(before)
            SHORTENS && @test with.err == "$(5 - ended) $ended"
        end
        number in (3, 7) || continue
        # What has ended before must not hide what ends afterwards.
        twice = "using Deep\n$change\nusing NativeCache, Ends\n$(ENDS_SAY)say(); $(ENDS_CHANGES[3].first); $(ENDS_CHANGES[7].first); say()"
        @test julia!(box, twice).out == uncached(twice)
        # With threads one of them could run what is taken out: nothing is loaded.
        for threads in (number == 3 ? "2" : "1,1",)
            run = julia!(box, "using Deep\n$change\nusing NativeCache, Ends\n$(ENDS_SAY)say()\n$ENDS_COUNTS"; flags = `--threads=$threads`)
            @test run.out == uncached("using Deep\n$change\nusing NativeCache, Ends\n$(ENDS_SAY)say()")
            SHORTENS && @test run.err == "0 5"
        end
    end
    SHORTENS && @test julia!(box, "using NativeCache, Ends\n$ENDS_COUNTS"; flags = `--threads=2`).err == "5 0"
    remove(box)
end

# NativeCache's own image is made in the same way, and Julia loads it before NativeCache can look.
SHORTENS && part("NativeCache's own code that holds no more") && @testset "NativeCache's own code that holds no more" begin
    box = Box()
    add_package(box, "Plain", "module Plain\nf(x::Int) = string(x, 1)\nend\n")
    build(box, repr("Plain"), ["Tuple{typeof(Plain.f), Int64}"])
    # A definition below what NativeCache runs at its start.
    change = "@eval Base.Filesystem isdir(path::String) = (global asked = true; ispath(path) && isdir(stat(path)))"
    said = julia!(box, "$change\nusing NativeCache, Plain\nprint(length(NativeCache.invalid_ends(NativeCache.OWN_ENDS)) > 0, ' ', Base.Filesystem.asked, ' ', " *
        "length(NativeCache.status(\"Plain\").installed))").out
    @test said == "true true 1"
    # Nothing of its image can be reached by others before that: all methods are NativeCache's, or for its types.
    own = julia!(box, """
        id = Base.identify_package("NativeCache")
        cache = only(filter(path -> Base.stale_cachefile(Base.locate_package(id), path) !== true, Base.find_all_in_cache_path(id)))
        modules, object = Base.stale_cachefile(Base.locate_package(id), cache)
        parts = @lock Base.require_lock ccall(:jl_restore_package_image_from_file, Any, (Cstring, Any, Cint, Cstring), object, modules, true, "NativeCache")
        print(length(parts[4]), ' ', count(code -> nameof(Base.moduleroot(code.def.def.module)) !== :NativeCache, parts[4]))
        """).out
    total, others = parse.(Int, split(own))
    @test total > 20 && others == 0
    remove(box)
end

part("a traced session starts warm") && @testset "a traced session starts warm" begin
    box = Box()
    add_stdlib_copy(box, "Dates")
    body = read(joinpath(SESSIONS, "Dates.jl"), String)
    plain = julia!(box, body).out
    first = julia!(box, "using NativeCache\n$body"; env = ["JULIA_NATIVECACHE_TRACE" => "yes"])
    @test first.out == plain && isempty(first.err)
    built = julia!(box, "using NativeCache; println(length(NativeCache.build(\"Dates\"; quiet = true).compiled))").out
    @test parse(Int, built) > 20
    trace = joinpath(box.root, "trace")
    warm = julia!(box, "using NativeCache\n$body"; flags = `--trace-compile=$trace`)
    @test warm.out == plain
    left = [line for line in eachline(trace) if !occursin("Main.", line) && !occursin("NativeCache", line) && !occursin("include", line)]
    julia!(box, body; flags = `--trace-compile=$trace`)
    before = [line for line in eachline(trace) if !occursin("Main.", line)]
    # What is left on 1.10, 59 of 187, is what the generators of Dates run, and who depends on them.
    @test length(left) < 0.35 * length(before)
    remove(box)
end

part("methods of every kind") && @testset "methods of every kind" begin
    box = Box()
    add_package(box, "Kinds", """
        module Kinds
        known(::Type) = 1
        @generated gen(x) = known(x)
        caller(x) = gen(x) + 1
        @noinline far(x) = caller(x) * 2
        callback(x::Cint) = x + Cint(1)
        through_c(x) = ccall(@cfunction(callback, Cint, (Cint,)), Cint, (Cint,), x)
        keywords(x; a = 1, b = "z") = string(x, a, b)
        closure(n) = map(x -> x + n, [1, 2, 3])
        end
        """)
    good = ["Tuple{typeof(Core.kwcall), NamedTuple{(:a,), Tuple{Int64}}, typeof(Kinds.keywords), Float64}", "Tuple{typeof(Kinds.through_c), Int64}",
            "Tuple{typeof(Kinds.closure), Int64}", "Tuple{Type{Base.Dict}, Pair{String, Array{Int64, 1}}, Vararg{Pair}}",
            "Tuple{Type{Pair}, String, Nothing}"]
    # A generator may see other methods in a session.
    bad = ["Tuple{typeof(Kinds.caller), Int64}", "Tuple{typeof(Kinds.far), Float64}", "Tuple{typeof(Kinds.gen), Int32}"]
    result = build(box, repr("Kinds"), [good; bad])
    @test sort(statements(result["compiled"])) == sort(good)
    @test sort(statements(result["skipped"])) == sort(bad) && all(item -> item[2] == "GeneratedFunction", result["skipped"])
    body = """
        using Kinds
        call(f, arguments...; keywords...) = Base.invokelatest(f, arguments...; keywords...)
        println(call(Kinds.keywords, 2.0; a = 5), call(Kinds.through_c, 3), call(Kinds.closure, 4), call(Kinds.caller, 1), call(Kinds.far, 1.0))
        println(sort(collect(keys(call(Dict, "a" => [1], "b" => nothing)))), call(Pair, "c", nothing))
        """
    trace = joinpath(box.root, "trace")
    warm = julia!(box, "using NativeCache\n$body"; flags = `--trace-compile=$trace`)
    @test warm.out == julia!(box, body).out
    left = read(trace, String)
    @test !any(name -> occursin("Kinds.$name", left), ("keywords", "through_c", "closure"))
    @test !occursin("Vararg{Pair", left) && !occursin(r"Type\{Pair.*String, Nothing\}", left)
    remove(box)
end

# The process that precompiles a companion loads extensions by rules of its own.
# Julia 1.10 knows extensions in projects only, and there is none here.
VERSION >= v"1.11" && part("methods of extensions") && @testset "methods of extensions" begin
    box = Box()
    add_package(box, "Trigger", "module Trigger; struct T{N}; x::Int; end; end")
    add_package(box, "Host", "module Host; describe(x) = \"anything\"; end")
    host = joinpath(box.packages, "Host")
    open(io -> print(io, "\n[weakdeps]\nTrigger = \"", Sandbox.uuid("Trigger"), "\"\n\n[extensions]\nHostTriggerExt = \"Trigger\"\n"),
        joinpath(host, "Project.toml"), "a")
    mkpath(joinpath(host, "ext"))
    write(joinpath(host, "ext", "HostTriggerExt.jl"),
        "module HostTriggerExt\nusing Host, Trigger\nHost.describe(x::Trigger.T{N}) where N = string(\"T\", N, \" of \", inside(x))\n@noinline inside(x) = x.x\nend")
    body = "using Host, Trigger; println(Base.invokelatest(Host.describe, Trigger.T{2}(7)))"
    plain = julia!(box, body).out
    @test plain == "T2 of 7\n"
    @test julia!(box, "using NativeCache; $body"; env = ["JULIA_NATIVECACHE_TRACE" => "yes"]).out == plain
    julia!(box, "using NativeCache; NativeCache.build([\"Host\", \"Trigger\"]; quiet = true)")
    trace = joinpath(box.root, "trace")
    # There is no file where nothing was compiled.
    describes() = isfile(trace) ? count(line -> occursin("typeof(Host.describe)", line), eachline(trace)) : 0
    for order in ("using Host, Trigger", "using Trigger, Host")
        warm = replace(body, "using Host, Trigger" => order)
        @test julia!(box, "using NativeCache; $warm"; flags = `--trace-compile=$trace`).out == plain
        @test describes() == 0
        julia!(box, warm; flags = `--trace-compile=$trace`)
        @test describes() == 1
        rm(trace)
    end
    remove(box)
end

part("companions that do not fit are left alone") && @testset "companions that do not fit are left alone" begin
    box = Box()
    build(box, repr("Chain"), chain(box))
    reason(flags = ``, code = ""; env = Pair{String,String}[]) = julia!(box, """
        $code
        using NativeCache, Chain
        print(Base.invokelatest(Chain.f, 1), ' ')
        status = NativeCache.status("Chain")
        print(status.library === nothing ? status.reason : isempty(status.rejected) ? "" : status.rejected[1].reason)
        """; flags = flags, env = env).out
    @test reason() == "4 "
    @test reason(`-O1`) == "4 KeyDiffers"
    @test reason(`--check-bounds=yes`) == "4 KeyDiffers"
    @test reason(`--code-coverage=$(joinpath(box.root, "coverage.info"))`) == "4 Coverage"
    @test reason(`--pkgimages=no`) == "4 NoImages"
    @test reason(`--compile=min`) == "4 CompileMode"
    @test reason(; env = ["JULIA_NATIVECACHE" => "off"]) == "4 Disabled"
    store = joinpath(box.depot, "nativecache", "v$(VERSION.major).$(VERSION.minor)")
    files = [joinpath(folder, name) for (folder, _, names) in walkdir(store) for name in names if occursin(r"^[0-9a-f]{32}", name)]
    image = only(filter(endswith(".so"), files))
    # Others could have written it.
    chmod(image, 0o666)
    @test reason() == "4 Untrusted"
    chmod(image, 0o644)
    # Cut short, changed, and gone.
    bytes = read(image)
    for changed in (bytes[1:end÷2], [bytes[1:end÷2]; bytes[end÷2+1] ⊻ 0x01; bytes[end÷2+2:end]], UInt8[])
        write(image, changed)
        @test reason() == "4 KeyDiffers"
    end
    rm(image)
    @test reason() in ("4 KeyDiffers", "4 Untrusted")
    write(image, bytes)
    @test reason() == "4 "
    # Another system image, and be it a copy.
    other = joinpath(box.root, "sys.so")
    cp(unsafe_string(Base.JLOptions().image_file), other; follow_symlinks = true)
    @test reason(`-J $other`) == "4 KeyDiffers"
    rm(other)
    for ends in filter(endswith(".ends"), files)
        # What it rests on: cut short, changed, empty, of another image, and gone. Nothing of it is believed.
        bytes = read(ends)
        foreign = "let e = NativeCache.read_ends($(repr(ends))); write($(repr(ends)), NativeCache.words_of(NativeCache.Ends(e.checksum + 1, e.system, e.packages))); end"
        for changed in (bytes[1:end-8], bytes[1:end-3], [bytes[1:end-1]; bytes[end] ⊻ 0x01], UInt8[])
            write(ends, changed)
            @test reason() == "4 LinkFailed"
        end
        write(ends, bytes)
        julia!(box, "using NativeCache; $foreign")
        @test reason() == "4 LinkFailed"
        rm(ends)
        @test reason() in ("4 LinkFailed", "4 Untrusted")
        write(ends, bytes)
        @test reason() == "4 "
    end
    for index in filter(endswith(".companion"), files)
        write(index, "name\tx\n")
        @test startswith(reason(), "4 ")
    end
    remove(box)
end

# On 1.12 loading an image touches its code, so that all of them count as run.
VERSION < v"1.11" && part("what a project's sessions do not use") && @testset "what a project's sessions do not use" begin
    box = Box()
    # Nothing that anything else calls.
    build(box, repr("Chain"), chain(box)[1:2])
    project(name) = (folder = mkpath(joinpath(box.root, name)); touch(joinpath(folder, "Project.toml")); folder)
    one, two = project("one"), project("two")
    session(project, script) = julia!(box, "using NativeCache, Chain\n$script"; flags = `--project=$project`, env = ["JULIA_NATIVECACHE_TRACE" => "yes"])
    call = "println(Base.invokelatest(Chain.f, 1))"
    show_status = "println(NativeCache.status(\"Chain\")); show(stdout, MIME(\"text/plain\"), NativeCache.status(\"Chain\"))"
    for number in 1:5
        said = session(one, number == 5 ? show_status : "")
        @test isempty(said.err) && (number < 5 || occursin("2 of 2 installed", said.out))
        @test session(two, call).out == "4\n"
    end
    # The sixth of the one leaves it alone; those of the other have it.
    @test occursin("NotUsedHere", session(one, show_status).out)
    @test occursin("2 of 2 installed", session(two, "$call; $show_status").out)
    # What a session has to compile brings it back, for its project only.
    missed = session(one, call)
    @test missed.out == "4\n" && isempty(missed.err)
    @test occursin("2 of 2 installed", session(one, "$call; $show_status").out)
    # So does a build.
    foreach(_ -> session(one, ""), 1:5)
    @test occursin("NotUsedHere", session(one, show_status).out)
    records = joinpath(box.depot, NativeCache.STORE, "projects")
    @test !isempty(readdir(records))
    @test session(one, "NativeCache.build(\"Chain\"; quiet = true)").err == ""
    @test !occursin("NotUsedHere", session(one, show_status).out)
    # Nothing of it is left.
    foreach(_ -> session(one, ""), 1:2)
    session(one, "NativeCache.clear!()")
    @test !isdir(records) || isempty(readdir(records))
    remove(box)
end

part("a session builds by itself") && @testset "a session builds by itself" begin
    box = Box()
    chain(box)
    store = joinpath(box.depot, "nativecache", "v$(VERSION.major).$(VERSION.minor)")
    # `now`: the session waits for the build.
    run = julia!(box, "using NativeCache, Chain; println(Base.invokelatest(Chain.outer, [\"x\"]), Base.invokelatest(Chain.mid, (1, 2)))";
        env = ["JULIA_NATIVECACHE_TRACE" => "yes", "JULIA_NATIVECACHE_AUTO" => "now"])
    @test run.out == "x!1\n" && isempty(run.err)
    made = [name for (_, _, names) in walkdir(store) for name in names if endswith(name, ".companion")]
    @test length(made) == 1
    remove(box)
end
