# rust/native/runtime/src/objects/inferred.rs: a function of the user that calls cached ones is inferred without
# redoing them, and optimised as it is without the cache.

const CALLERS = """
    c1(a, n) = a + Dates.Day(n)
    c2(d) = Dates.lastdayofquarter(d)
    c3(a, b) = Dates.value(a - b)
    c4(d) = Dates.format(d, "yyyy-mm-dd")
    c5(d) = (Dates.dayname(d), Dates.monthname(d))
    c6(v) = sum(Dates.value(x) for x in v)
    const CALLS = [(c1, (Dates.Date, Int)), (c2, (Dates.DateTime,)), (c3, (Dates.Date, Dates.Date)), (c4, (Dates.DateTime,)),
        (c5, (Dates.DateTime,)), (c6, (Vector{Dates.Day},))]
    "Code instances of the package's own methods."
    function instances()
        count = 0
        for name in names(Dates; all = true)
            isdefined(Dates, name) || continue
            f = getfield(Dates, name)
            f isa Union{Function,Type} || continue
            for method in methods(f), i in 1:length(method.specializations)
                isassigned(method.specializations, i) || continue
                code = method.specializations[i]
                isdefined(code, :cache) || continue
                code = code.cache
                while true
                    count += 1
                    isdefined(code, :next) || break
                    code = code.next
                end
            end
        end
        return count
    end
    instances()
    """

part("callers of cached functions") && @testset "callers of cached functions" begin
    t = trained("Dates")
    session(cached, what) = julia!(t.box, string(cached ? "using NativeCache\n" : "", "using Dates\n", CALLERS, what))
    typed = "for (f, types) in CALLS, (code, type) in code_typed(f, types; debuginfo = :none); println(f, ' ', type, '\\n', code); end"
    without = session(false, typed).out
    @test length(without) > 2000
    @test session(true, typed).out == without
    # What a session has inferred of the package after its callers were: nothing new.
    grown = "before = instances(); foreach(call -> code_typed(call...), CALLS); print(instances() - before)"
    @test parse(Int, session(false, grown).out) > 20
    @test session(true, grown).out == "0"
    # Inlined code of cached functions is invalidated like any other.
    late = "f(d) = Dates.value(d) + 1; print(f(Dates.Day(2))); @eval Dates value(x::Day) = 41; print(' ', f(Dates.Day(2)))"
    @test session(true, late).out == session(false, late).out == "3 42"
end

part("inferred code with the type variables of its method") && @testset "inferred code with the type variables of its method" begin
    box = Box()
    add_package(box, "Opened", """
        module Opened
        struct T; v::Int; end
        same(v::A) where {A<:Array} = ccall(:jl_array_copy, Ref{A}, (Any,), v)
        call(v) = same(v)
        copied(v) = copy(v)
        end
        """)
    lists = ["Tuple{typeof(Opened.$f), Array{Opened.T, 1}}" for f in ("call", "copied")]
    @test length(build(box, repr("Opened"), lists)["compiled"]) == 2
    script = """
        using Opened
        f(v) = copy(v)
        g(v) = Opened.same(v)
        for h in (f, g, Opened.call)
            println(h([Opened.T(1)]), Base.code_typed(h, (Vector{Opened.T},); debuginfo = :none))
        end
        """
    with = julia!(box, "using NativeCache\n" * script)
    @test with.out == julia!(box, script).out
    @test occursin("Ref{Array{Opened.T,1}}", with.out)
    remove(box)
end

part("one inlineable method with hundreds of roots") && @testset "one inlineable method with hundreds of roots" begin
    # Its compressed code, one for each type, refers to types by their numbers among them.
    box = Box()
    count = 120
    add_package(box, "Rooted", """
        module Rooted
        for i in 1:$count
            @eval struct \$(Symbol(:T, i)); v::Int; end
        end
        describe(x::T) where {T} = (T, Val{T}, Vector{T}, x.v)
        @noinline through(x) = describe(x)
        end
        """)
    julia!(box, "using Rooted")
    lists = ["Tuple{typeof(Rooted.through), Rooted.T$i}" for i in 1:count]
    @test length(build(box, repr("Rooted"), lists)["compiled"]) == count
    script = """
        using Rooted
        for i in 1:$count
            T = getfield(Rooted, Symbol(:T, i))
            f(x) = Rooted.describe(x)
            println(Rooted.through(T(i)), f(T(i)), Base.code_typed(f, (T,); debuginfo = :none))
        end
        """
    with = julia!(box, "using NativeCache\n" * script)
    @test with.out == julia!(box, script).out
    @test occursin("(Rooted.T$count, Val{Rooted.T$count}, Array{Rooted.T$count,1}, $count)", with.out)
    remove(box)
end

part("inlined though it ran while its package was precompiled") && @testset "inlined though it ran while its package was precompiled" begin
    # A .ji keeps no inferred code of functions that callers do not inline: the build infers it anew, and must find there
    # what the sysimage has to inline. The same function in two packages, of which one has called it: what is not inlined
    # is called through a slot.
    box = Box()
    body = """
        @noinline function f(n)
            s = 0
            for i in 1:n
                s += own(i) * n
            end
            return s
        end
        own(i) = div(i, 3) - i
        """
    add_package(box, "Ran", "module Ran\n$(body)const RAN = f(3)\nend")
    add_package(box, "Fresh", "module Fresh\n$(body)end")
    julia!(box, "using Ran, Fresh")
    out = julia!(box, """
        using NativeCache, Ran, Fresh
        for mod in (Ran, Fresh)
            result = NativeCache.build(mod; statements = [(mod.f, (Int,))], quiet = true)
            print(length(result.compiled), ' ', Int(result.statistics["slots"]), '\\n')
        end
        """).out
    ran, fresh = split(chomp(out), '\n')
    @test ran == fresh == "1 1"      # Base.throw's argument for a division that overflows
    script(name) = "using $name\nprint($name.f(1000))"
    for name in ("Ran", "Fresh")
        @test julia!(box, "using NativeCache\n" * script(name)).out == julia!(box, script(name)).out
    end
    remove(box)
end
