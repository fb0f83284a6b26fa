# rust/native/runtime/src/edges/record.rs and verify.rs: cached code runs only when it is what Julia would
# compile now. Three packages, of which the third extends functions of the first two, built in
# one order and loaded in all; with redefinitions before loading, after it, and a deletion.

const EDGE_PACKAGES = [
    "EdgeA" => """
        module EdgeA
        abstract type Shape end
        struct Square <: Shape; a::Float64; end
        area(s::Square) = s.a^2
        area(s) = -1.0
        leaf(x) = x + 1
        @noinline middle(x) = leaf(x) * 10
        outer(x) = middle(x) + 1
        total(v) = sum(area(x) for x in v)
        each(v) = [area(x) for x in v]
        end
        """,
    "EdgeB" => """
        module EdgeB
        using EdgeA
        struct Circle <: EdgeA.Shape; r::Float64; end
        EdgeA.area(c::Circle) = 3.0 * c.r^2
        calls(x) = EdgeA.outer(x) + 100
        end
        """,
    "EdgeC" => """
        module EdgeC
        using EdgeA, EdgeB
        EdgeA.leaf(x::Int) = x + 5
        EdgeA.area(c::EdgeB.Circle, scale) = scale * EdgeA.area(c)
        end
        """,
]

# What a session prints: results, then the same after each change.
const EDGE_SESSION = """
const A = Base.loaded_modules[only(filter(id -> id.name == "EdgeA", keys(Base.loaded_modules)))]
const B = get(Base.loaded_modules, findfirst(m -> nameof(m) === :EdgeB, Base.loaded_modules), nothing)
now() = Base.invokelatest() do
    println(A.outer(1), " ", A.total([A.Square(2.0)]), " ", A.each(Any[A.Square(1.0), 3]),
        B === nothing ? "" : string(" ", B.calls(1), " ", A.area(B.Circle(1.0))))
end
now()
@eval A leaf(x::Int) = x + 2000
now()
@eval A area(s::Square) = 7.0
now()
Base.delete_method(first(methods(A.area, (A.Square,))))
now()
"""

function edge_box()
    box = Box()
    names = first.(EDGE_PACKAGES)
    for (i, (name, source)) in enumerate(EDGE_PACKAGES)
        add_package(box, name, source; deps = [dep => Sandbox.uuid(dep) for dep in names[1:i-1]])
    end
    julia!(box, "using NativeCache, EdgeA, EdgeB, EdgeC")
    a = build(box, repr("EdgeA"), ["Tuple{typeof(EdgeA.outer), Int64}", "Tuple{typeof(EdgeA.middle), Int64}",
        "Tuple{typeof(EdgeA.total), Array{EdgeA.Square,1}}", "Tuple{typeof(EdgeA.each), Array{Any,1}}"])
    b = build(box, repr("EdgeB"), ["Tuple{typeof(EdgeB.calls), Int64}", "Tuple{typeof(EdgeA.area), EdgeB.Circle}"])
    return box, a, b
end

@testset "edges" begin
    box, a, b = edge_box()
    @test length(a["compiled"]) == 4 && length(b["compiled"]) == 2

    before = "@eval EdgeA leaf(x::Int) = x + 50"
    same = "@eval EdgeA leaf(x) = x + 60"       # the signature of the package's own method
    orders = [["using EdgeA"], ["using EdgeB"], ["using EdgeA", "using EdgeB"], ["using EdgeB", "using EdgeA"],
              # All orders of the three.
              (["using Edge$a", "using Edge$b", "using Edge$c"] for (a, b, c) in ("ABC", "ACB", "BAC", "BCA", "CAB", "CBA"))...,
              ["using EdgeA", before, "using EdgeB"], ["using EdgeA", before, "using EdgeB", "using EdgeC"],
              ["using EdgeA", same, "using EdgeB"], ["using EdgeA", same, "using NativeCache", "using EdgeB"],
              ["using EdgeA", "using NativeCache"], ["using EdgeA", before, "using NativeCache", "using EdgeB"]]
    @testset "$(join(order, ", "))" for order in orders
        script(cached) = string(cached && !("using NativeCache" in order) ? "using NativeCache\n" : "",
            join(filter(line -> cached || line != "using NativeCache", order), '\n'), '\n', EDGE_SESSION)
        with = julia!(box, script(true))
        @test with.out == julia!(box, script(false)).out
        @test with.err == ""
    end

    # Only what a new method really affects is left out, and the edge is named.
    alone = status(box, repr("EdgeA"), "using EdgeA")
    @test length(alone["installed"]) == 4
    extended = status(box, repr("EdgeA"), "using EdgeA\n@eval EdgeA leaf(x::Int) = x + 50\nusing EdgeB")
    # EdgeA was linked before; Julia invalidated what it had to, and the status says so.
    @test "Tuple{typeof(EdgeA.total), Array{EdgeA.Square,1}}" in statements(extended["installed"])
    @test all(item -> item[2] == "Invalidated", extended["rejected"])
    @test "Tuple{typeof(EdgeA.outer), Int64}" in statements(extended["rejected"])
    late = status(box, repr("EdgeB"), "using EdgeA\n@eval EdgeA leaf(x::Int) = x + 50\nusing EdgeB")
    @test statements(late["installed"]) == ["Tuple{typeof(EdgeA.area), EdgeB.Circle}"]
    @test only(late["rejected"])[1] == "Tuple{typeof(EdgeB.calls), Int64}"

    # An unrelated method in Main, or a package that was not there at build, changes nothing.
    add_package(box, "EdgeD", "module EdgeD\nstruct D end\nBase.show(io::IO, ::D) = print(io, 'd')\nBase.:+(::D, ::D) = 1\nend")
    julia!(box, "using EdgeD")
    more = status(box, repr("EdgeA"), "using EdgeD\nBase.length(::Val{:edges}) = 1\nusing EdgeA")
    @test length(more["installed"]) == 4

    # An edit as Revise makes it: the old method is deleted, the new definition evaluated in its module with its place.
    edit = """
        using EdgeA
        print(EdgeA.outer(1), " ")
        Base.delete_method(only(methods(EdgeA.leaf)))
        Core.eval(EdgeA, Expr(:toplevel, LineNumberNode(6, Symbol(pathof(EdgeA))), :(leaf(x) = x + 7)))
        print(Base.invokelatest(EdgeA.outer, 1), " ", Base.invokelatest(EdgeA.middle, 1))
        """
    @test julia!(box, "using NativeCache\n" * edit).out == julia!(box, edit).out == "21 81 80"

    # Code that runs in an older world goes on with what it had.
    task = """
        using EdgeA
        f() = (first = EdgeA.outer(1); yield(); (first, EdgeA.outer(1)))
        t = @async f()
        yield()
        @eval EdgeA leaf(x::Int) = x + 50
        println(fetch(t), " ", EdgeA.outer(1))
        """
    @test julia!(box, "using NativeCache\n" * task).out == julia!(box, task).out == "(21, 21) 511\n"
    remove(box)
end
