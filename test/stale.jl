# What cached code depends on, changed in every way that a session can: before a library is linked,
# between, after, and by the packages' own __init__. In each case the session prints what it prints
# without the cache; fixtures that Julia's own edges do not cover are here too.

const STALE = [
    # A method is not known by its signature alone.
    "Origin" => ("module Origin\n@noinline f(x) = x + 1\ng(x) = f(x) * 2\nh(x) = x * 3\nk(x) = x * 4\nend",
        ["Tuple{typeof(Origin.$f), Int64}" for f in "fghk"]),
    # What __init__ evaluates may be another method in each session.
    "InitDefined" => ("""
        module InitDefined
        g(x) = h(x) * 2
        h(x::String) = 1
        k(x) = x + 1
        __init__() = (@eval h(x) = x + \$(length(get(ENV, "STALE_H", "one"))))
        end
        """, ["Tuple{typeof(InitDefined.g), Int64}", "Tuple{typeof(InitDefined.h), Int64}", "Tuple{typeof(InitDefined.k), Int64}"]),
    "Trait" => ("module Trait\ntrait(x) = 1\nend", String[]),
    # A generator sees what was loaded before its package.
    "Generator" => ("""
        module Generator
        using Trait
        @generated f(x) = :(x + \$(Trait.trait(x)))
        g(x) = f(x) * 10
        @generated plain(x) = x <: Integer ? :(x + 1) : :(x)
        end
        """, ["Tuple{typeof(Generator.$f), Int64}" for f in ("f", "g", "plain")]),
    "TraitUser" => ("module TraitUser\nusing Trait\nTrait.trait(::Type{Int}) = 2\nend", String[]),
    # What inference calls itself, without an edge: pure functions, named, handed on, in a constant, calling others.
    "Pure" => ("""
        module Pure
        Base.@pure trait(x) = false
        @noinline inner(x) = 1
        Base.@pure outer(x) = inner(x)
        const ALIAS = (trait,)
        ask(t, x) = t(Int) ? x + 1 : x + 2
        named(x) = trait(Int) ? x + 1 : x + 2
        caller(x) = named(x) * 10
        handed(x) = ask(trait, x)
        held(x) = ALIAS[1](Int) ? x + 1 : x + 2
        deep(x) = x + outer(Int)
        plain(x) = x * 3
        end
        """, ["Tuple{typeof(Pure.$f), Int64}" for f in ("named", "caller", "handed", "held", "deep", "plain")]),
    "PureUser" => ("module PureUser\nusing Pure\nPure.trait(::Type{Int}) = true\nPure.inner(::Type{Int}) = 5\nend", String[]),
    # One or the other of two methods of the sysimage is gone.
    "Deletes" => ("""
        module Deletes
        of(x) = sign(x)
        __init__() = Base.delete_method(which(sign, Tuple{get(ENV, "STALE_SIGN", "") == "rational" ? Rational{Int} : UInt8}))
        end
        """, ["Tuple{typeof(Deletes.of), UInt8}"]),
    # Ambiguity, `invoke`, a method that was missing, keyword arguments, abstract calls, union splitting.
    "Calls" => ("""
        module Calls
        amb(x::Int, y) = 1
        ambiguous(x) = amb(x, x) + x
        inv(x) = x + 1; inv(x::Int) = x + 2
        invoking(x) = invoke(inv, Tuple{Integer}, x)
        lacking(x::String) = 0
        missed(x) = (try lacking(x) catch err; string(nameof(typeof(err)), x) end)
        kw(x; k = 1) = x + k
        keyword(x) = kw(x; k = 5)
        abstract type S end
        struct A <: S end
        struct B <: S end
        size_of(::A) = 1
        size_of(::B) = 2
        split(i) = size_of(i > 1 ? A() : B()) + i
        abstractly(v::Vector{S}) = sum(size_of(x) for x in v) + length(v)
        element(v) = eltype([size_of(x) for x in v])
        returns(x) = (Base.promote_op(kw, typeof(x)), x)
        applies(x) = (applicable(lacking, x), hasmethod(lacking, Tuple{typeof(x)}), x)
        spread(x...) = (length(x), x)
        varargs(x) = spread(x, x)
        shown(x) = string(A(), x)
        end
        """, ["Tuple{typeof(Calls.$f), Int64}" for f in ("ambiguous", "invoking", "missed", "keyword", "split", "returns", "applies", "varargs", "shown")] ∪
            ["Tuple{typeof(Calls.abstractly), Array{Calls.S, 1}}", "Tuple{typeof(Calls.element), Array{Calls.S, 1}}"]),
    # With WAITS_WITH it loads another package, as packages do that find one in an environment: what needs that one waits.
    "Awaited" => ("module Awaited\nstruct T end\nend", String[]),
    "Waits" => ("""
        module Waits
        @noinline leaf(x) = x + 1
        @noinline mid(x) = leaf(x) * 10
        outer(x, y) = mid(x) + 100
        __init__() = haskey(ENV, "WAITS_WITH") && Base.require(Base.PkgId(Base.UUID("$(Sandbox.uuid("Awaited"))"), "Awaited"))
        end
        """, ["Tuple{typeof(Waits.leaf), Int64}", "Tuple{typeof(Waits.mid), Int64}", "Tuple{typeof(Waits.outer), Int64, Awaited.T}"]),
    # One package's library holds code of another, with its own methods in it: only for the world that has them.
    "Older" => ("module Older\n@noinline leaf(x) = x + 1\nouter(x) = leaf(x) * 10\nend", String[]),
    "Newer" => ("module Newer\nusing Older\nOlder.leaf(x::Int) = x + 5\ncalls(x) = Older.outer(x)\nend",
        ["Tuple{typeof(Newer.calls), Int64}", "Tuple{typeof(Older.outer), Int64}", "Tuple{typeof(Older.leaf), Int64}"]),
]

const STALE_CALLS = """
probe(f, x...) = println(f, " ", try Base.invokelatest(f, x...) catch err; typeof(err) end)
function probe_all()
    for f in (:ambiguous, :invoking, :missed, :keyword, :split, :returns, :applies, :varargs, :shown)
        probe(getfield(Calls, f), 3)
    end
    probe(Calls.abstractly, Calls.S[Calls.A(), Calls.B()])
    probe(Calls.element, Calls.S[Calls.A(), Calls.B()])
end
"""

const STALE_CHANGES = [
    "ambiguity" => "Calls.amb(x, y::Int) = 2",
    "a better method for invoke" => "Calls.inv(x::Integer) = x + 30",
    "the method that was missing" => "Calls.lacking(x::Int) = 7",
    "keyword arguments" => "Calls.kw(x::Int; k = 1) = x * k",
    "the same signature" => "@eval Calls kw(x; k = 1) = x - k",
    "one of a union" => "Calls.size_of(::Calls.A) = 10",
    "deleted" => "Base.delete_method(which(Calls.size_of, (Calls.B,)))",
    "result of another type" => "Calls.size_of(::Calls.B) = 2.5",
    "varargs" => "Calls.spread(x::Int, y::Int) = (x, y)",
    "Base extended" => "Base.show(io::IO, ::Calls.A) = print(io, \"an A\")",
]

# Which packages the parts of this file need.
stale_needs() = Set(Iterators.flatten([
    part("a method defined anew before the library is linked") ? ["Origin"] : [],
    part("a method that __init__ defines") ? ["InitDefined"] : [],
    any(part, STALE_ORDERS) ? ["Trait", "Generator", "TraitUser"] : [],
    any(part, keys(STALE_PURE)) ? ["Pure", "PureUser"] : [],
    part("one of two deleted methods") ? ["Deletes"] : [],
    part("all of them, one after the other") || any(change -> part(change.first), STALE_CHANGES) ? ["Calls"] : [],
    part("an older world does not see what is installed later") ? ["Older", "Newer"] : [],
    part("what waited relies on what was invalidated") ? ["Waits", "Awaited"] : []]))

const STALE_ORDERS = ["Generator", "TraitUser, Generator", "Generator, TraitUser", "Trait, TraitUser, Generator"]

# How a session comes by other answers of pure functions.
const STALE_PURE = Dict(
    "pure functions, nothing changed" => ("using Pure", 6),
    "pure functions, extended by a package" => ("using PureUser", 1),
    "pure functions, extended in the session" => ("using Pure\nPure.trait(::Type{Int}) = true\nPure.inner(::Type{Int}) = 5", 1),
    "pure functions, defined anew" => ("using Pure\n@eval Pure Base.@pure trait(x) = true\n@eval Pure inner(x) = 7", 1))

function stale_box()
    box = Box()
    chosen = filter(entry -> entry.first in stale_needs(), STALE)
    needs = Dict("Generator" => ["Trait"], "TraitUser" => ["Trait"], "Newer" => ["Older"], "PureUser" => ["Pure"])
    for (name, (source, _)) in chosen
        add_package(box, name, source; deps = [dep => Sandbox.uuid(dep) for dep in get(needs, name, String[])])
    end
    lists = [string(repr(name), " => ", repr(list)) for (name, (_, list)) in chosen if !isempty(list)]
    run = julia!(box, """
        ENV["WAITS_WITH"] = ""
        using NativeCache, $(join(first.(chosen), ", "))
        for (packages, list) in [$(join(lists, ", "))]
            result = NativeCache.build(packages; statements = list, quiet = true)
            for one in (result isa NativeCache.BuildResult ? [result] : result), item in [one.skipped; one.failed]
                println(item)
            end
        end
        """)
    return box, run.out
end

"Both runs of a script, `#cache` being where NativeCache comes in."
function stale_agree(box, script)
    with = julia!(box, replace(script, "#cache" => "using NativeCache"))
    @test with.out == julia!(box, script).out
    return with.out
end

@testset "what cached code depends on changes" begin
    box, missed = stale_box()
    # `InitDefined.h` is the one that __init__ defines, known by what it says. Companions hold nothing that needs a generator.
    @test COMPANIONS ? all(line -> occursin("Generator", line), split(missed, '\n'; keepempty = false)) : missed == ""

    part("a method defined anew before the library is linked") && @testset "a method defined anew before the library is linked" begin
        changes = "@eval Origin f(x) = x + 100\n@eval Origin h(x) = x * 30\n"
        print_all = "print([f(1) for f in (Origin.f, Origin.g, Origin.h, Origin.k)])\n"
        @test stale_agree(box, "using Origin\n$changes#cache\n$print_all") == "[101, 202, 30, 4]"
        late = julia!(box, "using Origin\n$(changes)using NativeCache\nfor i in NativeCache.status(\"Origin\").rejected; println(i.statement, i.reason); end").out
        COMPANIONS ? (@test all(f -> occursin("Origin.$f), Int64}", late), "fgh") && occursin("Origin.g), Int64}EdgeChanged", late) && !occursin("Origin.k", late)) :
            @test occursin("Origin.f), Int64}Redefined", late) && occursin("Origin.h), Int64}Redefined", late) && occursin("Origin.g), Int64}", late) && !occursin("Origin.k", late)
    end

    part("a method that __init__ defines") && @testset "a method that __init__ defines" begin
        for value in ("one", "another")
            stale_agree(box, "ENV[\"STALE_H\"] = $(repr(value))\n#cache\nusing InitDefined\nprint(InitDefined.g(1), InitDefined.h(1), InitDefined.k(1))")
        end
        same = status(box, repr("InitDefined"), "using InitDefined")
        @test length(same["installed"]) == 3
        other = status(box, repr("InitDefined"), "ENV[\"STALE_H\"] = \"another\"\nusing InitDefined")
        @test statements(other["installed"]) == ["Tuple{typeof(InitDefined.k), Int64}"]
    end

    @testset "generated bodies: $order" for order in filter(part, STALE_ORDERS)
        stale_agree(box, "#cache\nusing $order\nprint(Generator.g(1), Generator.f(1), Generator.plain(1))")
        stale_agree(box, "using $order\n#cache\nprint(Generator.g(1), Generator.f(1), Generator.plain(1))")
        count = length(status(box, repr("Generator"), "using $order")["installed"])
        # Only the bodies that the other order changes are left out.
        # The engine of later Julias leaves all of them out.
        @test count == (VERSION < v"1.6" && startswith(order, "Generator") ? 3 : 1)
    end

    @testset "$what" for (what, (change, valid)) in filter(change -> part(change.first), STALE_PURE)
        call = "import Pure\nprint([Base.invokelatest(getfield(Pure, f), 3) for f in (:named, :caller, :handed, :held, :deep, :plain)])"
        stale_agree(box, "$change\n#cache\n$call")
        stale_agree(box, "#cache\n$change\n$call")
        # What asked is left out, or Julia has invalidated it; and nothing else.
        @test length(status(box, repr("Pure"), "$change\nimport Pure")["installed"]) == valid
    end

    part("one of two deleted methods") && @testset "one of two deleted methods" begin
        script = "using Deletes\nprint(try Deletes.of(0x05) catch err; typeof(err) end)"
        @test stale_agree(box, "#cache\n$script") == "InexactError"
        @test stale_agree(box, "ENV[\"STALE_SIGN\"] = \"rational\"\n#cache\n$script") == "1"
    end

    @testset "$what" for (what, change) in filter(change -> part(change.first), STALE_CHANGES)
        stale_agree(box, "using Calls\n$STALE_CALLS\n$change\n#cache\nprobe_all()")
    end

    part("all of them, one after the other") && @testset "all of them, one after the other" begin
        steps = join(("println($(repr(what)))\n$change\nprobe_all()\n" for (what, change) in STALE_CHANGES))
        stale_agree(box, "#cache\nusing Calls\n$STALE_CALLS\nprobe_all()\n$steps")
    end

    part("an older world does not see what is installed later") && @testset "an older world does not see what is installed later" begin
        out = stale_agree(box, """
            #cache
            using Older
            # Called by dispatch: in the task's own code it would be inlined.
            f, go = Ref{Any}(Older.outer), Channel{Int}(1)
            t = @async (take!(go); first = f[](1); yield(); (first, f[](2)))
            yield()
            using Newer
            put!(go, 1)
            print(Newer.calls(1), " ", Older.outer(1), " ", fetch(t), " ", Older.outer(2))
            """)
        @test out == "60 60 (20, 30) 70"
    end

    part("what waited relies on what was invalidated") && @testset "what waited relies on what was invalidated" begin
        out = stale_agree(box, """
            #cache
            using Waits
            call(f, a...) = print(Base.invokelatest(f, a...), " ")
            call(Waits.mid, 1)
            @eval Waits leaf(x::Int) = x + 5
            call(Waits.mid, 1)
            Base.delete_method(which(Waits.leaf, (Int,)))
            call(Waits.leaf, 1)
            using Awaited
            call(Waits.outer, 1, Awaited.T())
            @eval Waits leaf(x::Int) = x + 50
            call(Waits.outer, 1, Awaited.T())
            call(Waits.mid, 1)
            """)
        @test out == "20 60 2 120 610 510 "
        waiting = status(box, repr("Waits"), "using Waits")
        @test (length(waiting["installed"]), length(waiting["waiting"])) == (2, 1)
    end
    remove(box)
end
