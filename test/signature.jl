# rust/julia/src/signature.rs writes signatures, src/store/signature.jl reads them: any type that there is comes back as itself,
# or there is a reason why it has no text.

const READ_BACK = raw"""
using NativeCache, Odd
Base.include(Main, joinpath(ENV["TEST_SOURCES"], "mutation.jl"))
Base.include(Main, joinpath(ENV["TEST_SOURCES"], "store", "signature.jl"))

text_of(type) = NativeCache.taken(ccall((:nativecache_signature, NativeCache.LIBRARY), Ptr{UInt8}, (Any,), type))
why() = NativeCache.last_error()

"What is wrong with the text of a type; empty if nothing is."
function problem(type)
    text = text_of(type)
    isempty(text) && return "no text: " * why()
    any(c -> c in ('\n', '\t', '\r'), text) && return "more than one field: " * repr(text)
    found = try signature_of(text) catch err; return string(text, "  ", sprint(showerror, err)) end
    return found === type ? "" : string("another type: ", text)
end

check(type) = (what = problem(type); isempty(what) || println(what))
"""

in_fixture(box, script; options...) = julia!(box, READ_BACK * script; env = ["TEST_SOURCES" => joinpath(Sandbox.ROOT, "src")], options...)

"A box with the fixture."
function odd_box()
    box = Box()
    add_package(box, "Odd", read(joinpath(@__DIR__, "fixtures", "Odd.jl"), String))
    julia!(box, "using Odd")
    return box
end

part("types") && @testset "types of every kind" begin
    box = odd_box()
    run = in_fixture(box, raw"""
        const VALUES = Any[0, -1, typemin(Int), typemax(Int), Int8(-3), Int16(7), Int32(-5), Int128(2)^100, typemin(Int128), 0x07,
            0x0102, 0x01020304, typemax(UInt64), typemax(UInt128), true, false, 1.5, -0.0, 0.0, 1e300, 5e-324, 0.1, NaN, -NaN, Inf, -Inf,
            reinterpret(Float64, 0x7ff8000000000123), 1.5f0, -0.0f0, 1f-30, 0.1f0, NaN32, Inf32, reinterpret(Float32, 0x7fc00001),
            Float16(1.5), reinterpret(Float16, 0x7e01), 'a', '\n', '\t', '"', '\'', '(', 'é', '😀', reinterpret(Char, 0xff000000),
            reinterpret(Char, 0xf8000000), nothing, missing, C_NULL, Ptr{Int}(0), :a, :+, :end, :true, :while, Symbol(""), Symbol("a b"),
            Odd.SYMBOLS...,
            Odd.Factor(0, 1//1), Odd.Factor(-3, -5//7), Odd.Single(), Odd.OneField(0x09), Odd.Padded(1, NaN), Odd.Guarded(),
            Odd.Deep(1, (Int8(1), 2, Odd.Factor(1, 2//3)), (x = true, y = '\t')), Odd.three(0x030201), Odd.wide(3) , Odd.red, Odd.blue,
            1//2, 2 + 3im, 1:3, (), (1,), (1, :a, "x" === "y"), ((1, 2), (3.0, 'c')), (a = 1, b = 2.5), (a = (b = 1,),), NamedTuple(),
            (:a, Symbol("b\tc")), Val(3), Val{:x}(), sin, +, Odd.plain, Odd.keywords, Odd.lambda, Core.kwfunc(Odd.keywords), typeof(sin),
            Base.VecElement(1.0), ntuple(i -> Base.VecElement(Float32(i)), 4), getfield(Odd, Symbol("odd name"))(1, 2),
            getfield(Odd, Symbol("tab\tname"))(), getfield(Odd, Symbol("tab\tfunction")), Odd.Inner.var"odd module".f, Base.UUID(1)]
        const TYPES = Any[Int, Any, Union{}, Type, Type{Int}, Type{Type{Int}}, Type{Union{}}, typeof(Union{}), Array, Vector, Matrix{Int}, Array{Int},
            Vector{<:Integer}, Vector{>:Int}, Array{T,N} where {T<:Real,N}, Vector{T} where Int<:T<:Real, Vector{Vector{T} where T<:Integer},
            Vector{Vector{T}} where T, Ref{Ref{T} where T<:Vector{S}} where S, Tuple, Tuple{}, Tuple{Int}, NTuple{7,Int}, Tuple{Int,Vararg},
            Tuple{Vararg{Int}}, Tuple{Vararg{T,2}} where T, NTuple{N,T} where {N,T}, Tuple{Vararg{Int,N}} where N, Union{Int,String},
            Union{Nothing,Missing,Int8,Vector{Int}}, Union{T,Nothing} where T<:Integer, Union{Vector{T},Matrix{T}} where T, NamedTuple,
            NamedTuple{(:a, :b)}, NamedTuple{(:a, Symbol("b\tc")),Tuple{Int,String}}, NamedTuple{(),Tuple{}}, Dict{Symbol,Vector}, Type{Vector},
            Type{Vector{T}} where T, Type{T} where T<:Vector{S} where S, Tuple{Type{T},T} where T, Odd.Shape, Odd.Shape{Int}, Odd.Shape{T,3} where T<:Integer,
            Odd.Round, Odd.Inner.var"odd module".Here, Odd.Inner.var"odd module".Here{1}, Odd.Héllo{:é}, getfield(Odd, Symbol("odd name")),
            getfield(Odd, Symbol("tab\tname")), Odd.QUOTED, typeof(Odd.var"odd function"),
            typeof(getfield(Odd, Symbol("tab\tfunction"))), typeof(Odd.:⊕), typeof(getfield(Odd, Symbol("@mac"))), typeof(Core.kwfunc(Odd.keywords)),
            typeof(Odd.lambda), typeof(getfield), typeof(Core.Intrinsics.add_int), typeof(Core.Compiler.typeinf), Core.TypeofBottom, Base.RefValue{Any},
            typeof(Base.:(==)), typeof(!), typeof(:), typeof(÷), typeof(Base.var"@time"), Core.SimpleVector, Base.Iterators.Zip, DataType, UnionAll, TypeVar,
            typeof(Core.eval), typeof(Main.eval), Tuple{Type,Type}, Vector{Tuple{Type,Type}}, Odd.Colour, Core.LLVMPtr{UInt8,3}, Ptr{Cvoid}, Cstring]
        for value in VALUES
            check(Tuple{Val{value}})
            check(Tuple{typeof(Odd.take),Val{Val{value}},Vararg{Int}})
        end
        for type in TYPES
            check(Tuple{type})
            check(Tuple{typeof(Odd.plain),Type{type},Vararg{Int}})
        end
        println(length(VALUES), " ", length(TYPES))
        """)
    lines = split(chomp(run.out), '\n')
    @test lines[1:end-1] == []
    @test occursin(r"^\d\d+ \d\d+$", lines[end])
    @test run.err == ""
    remove(box)
end

part("reasons") && @testset "what has no text says why" begin
    box = odd_box()
    run = in_fixture(box, raw"""
        tell(type) = (text = text_of(type); println(isempty(text) ? why() : "TEXT " * text))
        tell(Tuple{Val{Ptr{Cvoid}(64)}})
        tell((Vector{T} where T).body)
        let deep = Int
            for _ in 1:3000; deep = Ref{deep}; end
            tell(Tuple{deep})
        end
        # The name is another module's by now.
        module Renamed struct T end; end
        const old = Renamed.T
        tell(Tuple{old})
        module Renamed struct T end; end
        tell(Tuple{old})
        # Nothing leads to its module.
        tell(Tuple{Core.eval(Module(:Anonymous), :(struct T end; T))})
        # A type variable of the name of a module or type that is used behind it.
        let Odd = TypeVar(:Odd)
            tell(UnionAll(Odd, Tuple{Main.Odd.Single,Odd}))
        end
        let T = TypeVar(:T), S = TypeVar(:T)
            tell(UnionAll(T, UnionAll(S, Tuple{T,S})))
        end
        """)
    lines = split(chomp(run.out), '\n')
    @test lines[1] == "a parameter holds an address, which is another one in each session"
    @test lines[2] == "the type variable T cannot be written"
    @test lines[3] == "it is nested too deeply"
    @test lines[4] == "TEXT Tuple{Main.Renamed.T}"
    @test lines[5] == "Main.Renamed is not what its module has under that name"
    @test lines[6] == "Main.Anonymous is not what its module has under that name"
    @test lines[7] == "the type variable Odd cannot be written"
    @test lines[8] == "the type variable T cannot be written"
    remove(box)
end

part("random") && @testset "random types" begin
    box = odd_box()
    run = in_fixture(box, raw"""
        using Random
        const R = MersenneTwister(20261129)
        const LETTERS = Any['a', 'Z', '_', '!', '1', ' ', '\t', '\n', '\r', '\\', '"', '\'', '$', '#', '@', '.', '{', '}', '(', ')', ',', '\x01', 'é', '😀']
        name() = Symbol(String(rand(R, LETTERS, rand(R, 0:6))))
        bytes() = Symbol(String(filter!(b -> b != 0x00, rand(R, UInt8, rand(R, 0:6)))))
        bits(T) = reinterpret(T, rand(R, sizeof(T) == 1 ? UInt8 : sizeof(T) == 2 ? UInt16 : sizeof(T) == 4 ? UInt32 : UInt64))
        const PRIMITIVES = Any[Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float16, Float32, Float64, Char]
        function value(depth)
            kind = rand(R, depth <= 0 ? (1:5) : (1:13))
            kind == 1 && return name()
            kind == 2 && return bytes()
            kind == 3 && return bits(rand(R, PRIMITIVES))
            kind == 4 && return rand(R, Any[true, nothing, missing, NaN, -0.0, Odd.red, C_NULL, Odd.Single(), sin, Odd.keywords, Odd.lambda])
            kind == 5 && return rand(R, (rand(R, UInt128), rand(R, Int128), randn(R)))
            kind == 6 && return Odd.Factor(bits(Int64), Rational(Int(bits(Int32)), 1 + abs(Int(bits(Int16)))))
            kind == 7 && return Odd.three(bits(UInt32))
            kind == 8 && return Odd.wide(rand(R, UInt128))
            # Tuples with symbols in them may hold nothing but symbols.
            kind == 9 && return ntuple(_ -> plain(depth - 1), rand(R, 0:4))
            kind == 10 && return ntuple(_ -> name(), rand(R, 1:3))
            kind == 11 && return (a = plain(depth - 1), b = plain(depth - 1))
            kind == 12 && return let x = plain(depth - 1), T = typeof(x)
                Odd.Deep{T}(x, (bits(Int8), x, Odd.Factor(1, 2//3)), (x = rand(R, Bool), y = bits(Char)))
            end
            return type(depth - 1, TypeVar[])
        end
        function plain(depth)
            while true
                x = value(depth)
                isbits(x) && return x
            end
        end
        parameter(depth, vars) = rand(R, Bool) ? type(depth, vars) : value(depth)
        function type(depth, vars)
            depth <= 0 && return isempty(vars) || rand(R, Bool) ? rand(R, Any[Int, String, Any, Union{}, Tuple{}, Odd.Single, typeof(sin), Array, Odd.Shape]) : rand(R, vars)
            kind = rand(R, 1:11)
            some(n) = Any[type(depth - 1, vars) for _ in 1:n]
            kind == 1 && return Val{value(depth - 1)}
            kind == 2 && return Tuple{some(rand(R, 0:4))...}
            kind == 3 && return Tuple{some(rand(R, 0:2))...,Vararg{type(depth - 1, vars)}}
            kind == 4 && return Union{some(rand(R, 1:4))...}
            kind == 5 && return Array{type(depth - 1, vars),rand(R, 0:3)}
            kind == 6 && return Type{type(depth - 1, vars)}
            kind == 7 && return Dict{type(depth - 1, vars),type(depth - 1, vars)}
            kind == 8 && return NamedTuple{(:a, Symbol("b" * string(name()))),Tuple{some(2)...}}
            kind == 9 && return Val{Val{value(depth - 1)}}
            kind == 10 && return Tuple{typeof(Odd.keywords),typeof(getfield(Odd, Symbol("tab\tfunction"))),some(1)...}
            var = TypeVar(rand(R, (:A, :B, :C, Symbol("#s"), Symbol("x y"))), rand(R, 1:3) == 1 ? type(0, TypeVar[]) : Union{}, rand(R, 1:3) == 1 ? Any : type(depth - 1, vars))
            # One variable that hides another one it is used beside has no text.
            any(other -> other.name === var.name, vars) && return Vector
            return UnionAll(var, type(depth - 1, [vars; var]))
        end
        tried = same = 0
        while tried < 4000
            made = try
                Tuple{type(rand(R, 1:5), TypeVar[]),type(2, TypeVar[])}
            catch
                continue        # not a type that there is
            end
            global tried += 1
            what = problem(made)
            isempty(what) ? (global same += 1) : println(what)
        end
        println(same, " of ", tried)
        """)
    lines = split(chomp(run.out), '\n')
    @test lines[1:min(end-1, 5)] == []
    @test lines[end] == "4000 of 4000"
    @test run.err == ""
    remove(box)
end

part("live") && @testset "every signature of a session" begin
    box = odd_box()
    run = in_fixture(box, raw"""
        using Markdown, Dates, Test, Random
        Odd.keywords(1; k = 2); Odd.keywords([1], 2); Odd.closure(1)(2); Odd.nested(1)(2)(3); Odd.take(Val(Odd.Factor(0, 1//1)))
        sprint(show, MIME("text/plain"), Markdown.parse("# a\n* b\n"))
        Dates.format(Dates.now(), "yyyy-mm-dd\tHH"); Dates.DateTime("2020-01-02", "y-m-d")
        # As the build process does it.
        for mod in Base.loaded_modules_array()
            isdefined(Main, nameof(mod)) || ccall(:jl_set_const, Cvoid, (Any, Any, Any), Main, nameof(mod), mod)
        end
        rebuilt(x) = x
        rebuilt(x::Union) = Union{rebuilt(x.a),rebuilt(x.b)}
        rebuilt(x::DataType) = isempty(x.parameters) || x === x.name.wrapper ? x :
            x.name === Tuple.name ? Tuple{rebuilt.(x.parameters)...} : x.name.wrapper{rebuilt.(x.parameters)...}
        seen, wrong, without = 0, 0, Dict{String,Int}()
        visit(module_, done = Set{Module}()) = (push!(done, module_); for name in names(module_; all = true, imported = true)
            isdefined(module_, name) || continue
            value = getfield(module_, name)
            value isa Module && value !== Main && !(value in done) && visit(value, done)
        end; done)
        modules = Set{Module}()
        foreach(root -> visit(root, modules), [Base.loaded_modules_array(); Core; Base])
        tables = IdDict()
        for mod in modules, name in names(mod; all = true)
            isdefined(mod, name) || continue
            type = Base.unwrap_unionall(getfield(mod, name) isa Type ? getfield(mod, name) : typeof(getfield(mod, name)))
            type isa DataType && isdefined(type.name, :mt) && (tables[type.name.mt] = true)
        end
        for table in keys(tables)
            table isa Core.MethodTable || continue
            Base.visit(table) do method
                for k in 1:length(method.specializations)
                    isassigned(method.specializations, k) || continue
                    mi = method.specializations[k]
                    mi isa Core.MethodInstance || continue
                    global seen += 1
                    # All of what is the session's own, and enough of the sysimage.
                    method.module === Odd || seen % 8 == 0 || continue
                    text = text_of(mi.specTypes)
                    if isempty(text)
                        what = replace(why(), r"^.* (is not what|cannot|has no)" => s"\1")
                        without[what] = get(without, what, 0) + 1
                        continue
                    end
                    found = try signature_of(text) catch err; sprint(showerror, err) end
                    # A variable may be another object of the same bounds. Of some types that came with a .ji file Julia has two,
                    # and makes the other one of the same parameters: those no session can ask for.
                    if !(found isa Type && found == rebuilt(mi.specTypes))
                        global wrong += 1
                        wrong < 5 && println(text, "\n   ", found)
                    end
                end
            end
        end
        println(seen > 20_000, " ", wrong, " ", sum([0; collect(values(without))]) < seen ÷ 100)
        println(seen, " seen; without a text: ", without)
        """)
    lines = split(chomp(run.out), '\n')
    @test lines[end-1] == "true 0 true"
    @test length(lines) == 2
    lines[end-1] == "true 0 true" || println(run.out)
    remove(box)
end

part("end") && @testset "a session with them ends well, and starts warm" begin
    box = odd_box()
    session = raw"""
        using NativeCache, Odd
        print("buffered ")
        Odd.take(Val(Odd.Factor(0, 1//1))); Odd.take(Val((Odd.red, NaN, -0.0, Int32(-5)))); Odd.take(Val(Symbol("a\tb\n\\T")))
        Odd.take(Val(Odd.three(1))); Odd.take(Val(reinterpret(Char, 0xf8000000)))
        Odd.keywords(1; k = 2); Odd.keywords([1], 2); getfield(Odd, Symbol("tab\tfunction"))(1; k = 3); Odd.nested(1)(2)(3)
        Odd.take(Val(Ptr{Cvoid}(64)))
        """
    tracing = ["JULIA_NATIVECACHE_TRACE" => "yes"]
    run = julia(box, session; env = tracing)
    @test (run.code, run.signal, run.out, run.err) == (0, 0, "buffered ", "")
    told = julia!(box, session * "println(NativeCache.trace!().unnamed)"; env = tracing).out
    @test occursin("a parameter holds an address", told)
    built = julia!(box, """
        using NativeCache
        result = NativeCache.build("Odd"; quiet = true)
        foreach(item -> println(item.statement), result.compiled)
        foreach(item -> println("NOT ", item.statement, " ", item.reason, " ", item.detail), [result.skipped; result.failed])
        """).out
    compiled = filter(line -> !startswith(line, "NOT"), split(built, '\n'))
    for text in ("Tuple{typeof(Odd.take), Base.Val{Odd.Factor(tens=0, power=Base.Rational{Int64}(num=1, den=1))}}",
                 "Tuple{typeof(Odd.take), Base.Val{(Odd.Colour(0x00000000), Float64(0x7ff8000000000000), -0.0, Int32(0xfffffffb))}}",
                 "Tuple{typeof(Odd.take), Base.Val{Symbol(\"a\\tb\\n\\\\T\")}}", "Tuple{typeof(Odd.take), Base.Val{Odd.Three(0x000001)}}",
                 "Tuple{typeof(Odd.take), Base.Val{Char(0xf8000000)}}")
        # Constant results have no code, and count as compiled too.
        @test text in compiled
    end
    # The body of the function with a tab in its name, whose name the parser has made up.
    @test any(line -> occursin("Odd.var\"#1 of ", line) && occursin("tab\\\\tfunction", line), compiled)
    @test !occursin("NOT Tuple{typeof(Odd.take)", built) && !occursin("NoSuchMethod", built)
    status = julia!(box, session * """
        s = NativeCache.status("Odd")
        println(count(item -> occursin("Odd.take", item.statement), s.installed))
        """).out
    @test status == "buffered 5\n"
    remove(box)
end
