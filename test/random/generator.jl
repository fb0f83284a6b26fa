# Random packages and random sessions with them, from a seed: three packages with call graphs in
# which whatever an edge can be occurs, and scripts that load them in some order and change
# methods before, between and after. The same seed gives the same texts.

module RandomPackages

using Random

export Case, Session, random_case, random_session

"A generic function of the packages to come."
struct Func
    pkg::Int
    name::String
    arity::Int
    total::Bool         # has a method for anything
    keyword::Bool
    rank::Int           # calls only those of lower rank, so that everything ends
end

struct Meth
    func::Func
    types::Vector{String}
end

"A package's sources, and what sessions need to know of them."
struct Case
    seed::Int
    names::Vector{String}
    sources::Vector{String}
    functions::Vector{Func}
    methods::Vector{Meth}
end

"A script: the same text but for the line `using NativeCache`."
struct Session
    lines::Vector{String}
    cache_at::Int       # `using NativeCache` stands before this line
end

const NAMES = ["RandA", "RandB", "RandC"]
const BUILTIN_TYPES = ["Any", "Integer", "Int", "Real", "Float64", "String", "Number", "Union{Int,String}",
    "AbstractVector", "Vector{Int}", "Tuple", "Symbol", "Nothing", "Tuple{Int,Int}", "(Vector{T} where T)", "Type{Int}", "Type{<:Real}"]
const BUILTIN_VALUES = ["1", "-4", "2.5", "\"ab\"", ":s", "[1, 2]", "(1, 2)", "(1, \"x\")", "nothing", "Any[1, \"b\"]", "Int", "0x03", "Int32(7)"]

abstract_type(p) = string("Abs", "ABC"[p])
struct_types(p) = [string("S", "ABC"[p], i) for i in 1:2]
qualified(p, name) = string(NAMES[p], ".", name)

"Types that code of package `p` may name (0: Main, with all of `loaded`)."
types_for(loaded) = vcat(BUILTIN_TYPES, [qualified(q, t) for q in loaded for t in [abstract_type(q); struct_types(q)]])
values_for(loaded) = vcat(BUILTIN_VALUES, [string(qualified(q, t), "(", 2q + i, ")") for q in loaded for (i, t) in enumerate(struct_types(q))])

struct Gen
    rng::MersenneTwister
    functions::Vector{Func}
    methods::Vector{Meth}
end

pick(g, list) = list[rand(g.rng, 1:length(list))]
chance(g, p) = rand(g.rng) < p

"Calls `f` with these arguments; where it may have no method the error is the value."
function call_text(g, f::Func, args; guard = !f.total || chance(g, 0.1))
    text = string(qualified(f.pkg, f.name), "(", join(args, ", "), f.keyword && chance(g, 0.6) ? "; k = $(pick(g, ["1", "\"k\"", "2.0"]))" : "", ")")
    return guard ? "(try $text catch err; nameof(typeof(err)) end)" : text
end

callable(g, rank, loaded) = [f for f in g.functions if f.rank < rank && f.pkg in loaded]

"""
An expression over `vars` for a function of this rank in a package that sees `loaded`. `calls` bounds
how often it calls others, or the values would grow without end.
"""
function expression(g, vars, rank, loaded, depth, calls)
    leaf() = chance(g, 0.6) ? pick(g, vars) : pick(g, [values_for(loaded); [qualified(q, c) for q in loaded for c in ("NUMBER", "CELL[]", "TEXTS[2]", "global_value", "PAIR.b")]])
    depth == 0 && return leaf()
    sub(d = depth - 1) = expression(g, vars, rank, loaded, d, calls)
    candidates = callable(g, rank, loaded)
    if calls[] > 0 && !isempty(candidates)
        calls[] -= 1
        f = pick(g, candidates)
        name = qualified(f.pkg, f.name)
        args = [sub() for _ in 1:f.arity]
        n = rand(g.rng, 1:20)
        n <= 6 && return call_text(g, f, args)
        if f.arity == 1
            a = args[1]
            guarded = f.total ? "$name(v)" : "(try $name(v) catch err; nameof(typeof(err)) end)"
            n == 7 && return "map(v -> $guarded, ($a, $(leaf())))"
            n == 8 && return "[$guarded for v in Any[$a, $(leaf())]]"
            n == 9 && return "[$guarded for v in ($a, $a)]"
            n == 10 && f.total && return "map($name, Any[$a, $(leaf())])"
            n == 11 && return "(try invoke($name, Tuple{$(pick(g, types_for(loaded)))}, $a) catch err; nameof(typeof(err)) end)"
            n == 12 && return "applicable($name, $a)"
            n == 13 && return "hasmethod($name, Tuple{typeof($a)})"
            n == 14 && return "(let z = $a; (w -> $(f.total ? "$name(z)" : "w"))(3) end)"
            n == 15 && f.total && return "sum(length(string($name(v))) for v in ($a, $(leaf())))"
            n == 16 && f.total && return "foldl((p, q) -> string(p, $name(q)), ($a, $(leaf())); init = \"i\")"
            n == 17 && return "(v = $a; v isa $(pick(g, types_for(loaded))) ? $(call_text(g, f, ["v"])) : 0)"
            n == 18 && f.total && return "Base.invokelatest($name, $a)"
            n == 19 && f.total && return "(v = rand_free($a) ? $a : $(leaf()); $name(v))"
        else
            n == 7 && return "(try $name(($(args[1]), $(args[2]))...) catch err; nameof(typeof(err)) end)"
            n == 8 && return "(try reduce($name, Any[$(args[1]), $(args[2]), 1]) catch err; nameof(typeof(err)) end)"
            n == 9 && return "applicable($name, $(args[1]), $(args[2]))"
            n == 10 && return "(try invoke($name, Tuple{Any, $(pick(g, types_for(loaded)))}, $(args[1]), $(args[2])) catch err; nameof(typeof(err)) end)"
            n == 11 && return "(try broadcast($name, ($(args[1]),), ($(args[2]),)) catch err; nameof(typeof(err)) end)"
        end
        return call_text(g, f, args)
    end
    n = rand(g.rng, 1:16)
    n == 1 && return "string($(sub()), $(sub()))"
    n == 2 && return "($(sub()), $(sub()))"
    n == 3 && return "length(string($(sub())))"
    n == 4 && return "($(sub()) isa $(pick(g, types_for(loaded))) ? $(sub()) : $(sub()))"
    n == 5 && return "typeof($(sub()))"
    n == 6 && return "(try $(sub()) + $(sub()) catch err; nameof(typeof(err)) end)"
    n == 7 && return "(try length($(sub())) catch err; nameof(typeof(err)) end)"
    n == 8 && return "(try sort([$(sub()), $(sub())]) catch err; nameof(typeof(err)) end)"
    n == 9 && return "($(sub()) === $(sub()))"
    n == 10 && return "(try collect($(sub())) catch err; nameof(typeof(err)) end)"
    n == 11 && return "eltype([$(sub()), $(sub())])"
    n == 12 && return "get($(qualified(pick(g, loaded), "TABLE")), string($(sub(0))), $(sub()))"
    n == 13 && return "(try convert(Int, $(sub())) catch err; nameof(typeof(err)) end)"
    n == 14 && return "(try isless($(sub()), $(sub())) catch err; nameof(typeof(err)) end)"
    return sub()
end

body(g, vars, rank, loaded; calls = 2) = string("short(", expression(g, vars, rank, loaded, pick(g, [1, 1, 2, 2, 2, 3]), Ref(calls)), ")")

"The text of a method of `f` with these argument types."
function method_text(g, f::Func, types, loaded; name = f.name, plain = false)
    vars = ["x", "y"][1:f.arity]
    sig = ["$v::$(occursin(" where ", t) ? "($t)" : t)" for (v, t) in zip(vars, types)]
    untyped = [t == "Any" for t in types]
    sig = [a && chance(g, 0.5) ? v : s for (a, v, s) in zip(untyped, vars, sig)]
    used = copy(vars)
    kind = plain ? 0 : rand(g.rng, 1:10)
    if f.keyword
        push!(sig, "; k = 0")
        push!(used, "k")
        text = string(name, "(", join(sig[1:end-1], ", "), sig[end], ") = ", body(g, used, f.rank, loaded))
        return text
    end
    kind == 1 && f.arity == 1 && return string("@generated function ", name, "(", sig[1], ")\n    n = length(string(nameof(typeof(x))))\n    return x <: Integer ? :(($(body(g, vars, f.rank, loaded)), \$n)) : :($(body(g, vars, f.rank, loaded)))\nend")
    kind == 2 && return string("@noinline function ", name, "(", join(sig, ", "), ")\n    ", body(g, vars, f.rank, loaded), "\nend")
    kind == 3 && return string("@inline ", name, "(", join(sig, ", "), ") = ", body(g, vars, f.rank, loaded))
    kind == 4 && return string("function ", name, "(", join(sig, ", "), ")\n    r = ", body(g, vars, f.rank, loaded), "\n    for i in 1:2\n        r = (i, ", body(g, [vars; "i"], f.rank, loaded; calls = 1), ")\n    end\n    return short(r)\nend")
    kind == 5 && f.arity == 2 && return string(name, "(", sig[1], ", rest...) = (y = isempty(rest) ? 0 : rest[1]; ", body(g, vars, f.rank, loaded), ")")
    kind == 6 && types[1] != "Any" && !any(t -> occursin("Type{", t) || occursin(" where ", t), types) && return string(name, "(", join(["x::T"; sig[2:end]], ", "), ") where {T<:", types[1], "} = ", body(g, [vars; "T"], f.rank, loaded))
    kind == 7 && f.arity == 1 && return string(name, "(@nospecialize(", sig[1], ")) = ", body(g, vars, f.rank, loaded))
    return string(name, "(", join(sig, ", "), ") = ", body(g, vars, f.rank, loaded))
end

random_types(g, f, loaded) = [pick(g, types_for(loaded)) for _ in 1:f.arity]

function package_source(g, p, sees)
    io = IOBuffer()
    name = NAMES[p]
    println(io, "module ", name)
    deps = filter(!=(p), sees)
    isempty(deps) || println(io, "using ", join(NAMES[deps], ", "))
    println(io, """
        const $(name)_self = $name
        @noinline rand_free(x) = hash(string(typeof(x))) % 2 == 0
        short(x) = x
        short(x::String) = sizeof(x) > 12 ? string(x[1:nextind(x, 0, 4)], length(x)) : x
        short(x::Tuple) = length(string(x)) > 40 ? (length(string(x)),) : x
        short(x::AbstractVector) = length(x) > 3 || length(string(x)) > 40 ? length(x) : x
        abstract type $(abstract_type(p)) end
        struct $(struct_types(p)[1]) <: $(abstract_type(p)); v::Int; end
        $(chance(g, 0.5) ? "mutable " : "")struct $(struct_types(p)[2])$(chance(g, 0.5) ? " <: $(qualified(pick(g, sees), ""))" : ""); v::Any; end""" |>
        text -> replace(text, r" <: Rand(.)\.;" => m -> string(" <: Rand", m[9], ".Abs", m[9], ";")))
    println(io, "const NUMBER = ", rand(g.rng, 1:99), "\nconst CELL = Ref{Any}(", pick(g, BUILTIN_VALUES[1:4]), ")\nconst TEXTS = [\"t\", \"u", p, "\"]")
    println(io, "const TABLE = Dict{Any,Any}(\"1\" => ", rand(g.rng, 1:9), ", \"ab\" => :t)\nconst PAIR = (a = 1, b = ", pick(g, BUILTIN_VALUES[1:7]), ")\nglobal_value = ", rand(g.rng, 1:9))
    println(io, "function __init__()\n    CELL[] = ", pick(g, BUILTIN_VALUES[1:4]), "\nend")
    own = Func[]
    for i in 1:rand(g.rng, 4:6)
        rank = 10p + i
        f = Func(p, string("f", "abc"[p], i), chance(g, 0.7) ? 1 : 2, chance(g, 0.75), chance(g, 0.12), rank)
        push!(own, f)
        all = Vector{String}[random_types(g, f, sees) for _ in 1:rand(g.rng, 1:3)]
        f.total && push!(all, fill("Any", f.arity))
        for types in unique!(all)
            println(io, method_text(g, f, types, sees))
            push!(g.methods, Meth(f, types))
        end
        push!(g.functions, f)
    end
    # Functions of the packages below, and of Base, extended.
    for f in filter(f -> f.pkg in deps, g.functions)
        chance(g, 0.35) || continue
        types = chance(g, 0.6) ? [pick(g, [qualified(p, t) for t in [struct_types(p); abstract_type(p)]]); random_types(g, f, sees)[2:end]] : random_types(g, f, sees)
        # What it calls must be of lower rank than what it extends.
        println(io, method_text(g, f, types, sees; name = qualified(f.pkg, f.name)))
        push!(g.methods, Meth(f, types))
    end
    s1, s2 = [qualified(p, t) for t in struct_types(p)]
    top = 10p + 9
    lowest = minimum(f.rank for f in own)
    chance(g, 0.5) && println(io, "Base.show(io::IO, s::$s1) = print(io, \"<\", s.v, \">\")")
    chance(g, 0.5) && println(io, "Base.length(s::$s1) = s.v")
    chance(g, 0.5) && println(io, "Base.:+(a::$s1, b::", pick(g, [s1, "Int", "Any"]), ") = ", body(g, ["a", "b"], lowest, sees))
    chance(g, 0.4) && println(io, "Base.isless(a::$s1, b::$s1) = isless(b.v, a.v)")
    chance(g, 0.4) && println(io, "Base.convert(::Type{Int}, s::$s1) = s.v")
    chance(g, 0.4) && println(io, "Base.iterate(s::$s1, i = 1) = i > 2 ? nothing : (", body(g, ["s", "i"], lowest, sees), ", i + 1)")
    for f in own
        chance(g, 0.15) && println(io, "precompile(", f.name, ", (", join([pick(g, ["Int", "Float64", "String"]) for _ in 1:f.arity], ", "), ",))")
    end
    println(io, "end")
    return String(take!(io))
end

function random_case(seed)
    g = Gen(MersenneTwister(seed), Func[], Meth[])
    sources = [package_source(g, p, collect(1:p)) for p in 1:3]
    return Case(seed, NAMES, sources, g.functions, g.methods)
end

const HEAD = """
const OUT = stdout
report(what, x) = println(OUT, what, " -> ", x)
function probe(name, f, args)
    r = try
        Base.invokelatest(f, args...)
    catch err
        string("!", nameof(typeof(err)))
    end
    text = try Base.invokelatest(string, r) catch err; string("!!", nameof(typeof(err))) end
    println(OUT, name, " -> ", length(text) > 200 ? hash(text) : text)
end
const JOBS = Any[]
late(name, f, args) = push!(JOBS, name => @async (yield(); try string(f(args...)) catch err; string("!", nameof(typeof(err))) end))
function finish()
    for (name, t) in JOBS
        println(OUT, name, " => ", fetch(t))
    end
    empty!(JOBS)
end
remove(f, T) = try
    Base.delete_method(which(f, T))
catch err
    println(OUT, "no such method")
end
"""

"Lines that call functions of the loaded packages with random values."
function probes(g, loaded, count; late = false)
    lines = String[]
    available = filter(f -> f.pkg in loaded, g.functions)
    isempty(available) && return lines
    for f in (count >= length(available) ? available : [pick(g, available) for _ in 1:count])
        args = [pick(g, values_for(loaded)) for _ in 1:f.arity]
        name = qualified(f.pkg, f.name)
        push!(lines, string(late ? "late(" : "probe(", repr("$name($(join(args, ", ")))"), ", ", name, ", Any[", join(args, ", "), "])"))
    end
    return lines
end

"One change of a method: defined anew, added, removed, or a value that is not constant."
function change(g, loaded)
    available = filter(m -> m.func.pkg in loaded && all(t -> all(q -> q in loaded || !occursin(NAMES[q], t), 1:3), m.types), g.methods)
    m = pick(g, available)
    f = m.func
    name = qualified(f.pkg, f.name)
    n = rand(g.rng, 1:10)
    beyond = any(t -> any(q -> occursin(NAMES[q], t), f.pkg+1:3), m.types)
    n <= 3 && !beyond && return string("@eval ", NAMES[f.pkg], " ", method_text(g, f, m.types, filter(<=(f.pkg), loaded); plain = chance(g, 0.5)))
    # What a package cannot name itself is defined from Main.
    if n <= 6
        types = n <= 3 ? m.types : random_types(g, f, loaded)
        text = method_text(g, f, types, loaded; name = name, plain = true)
        return replace(text, r"(?<![.\w])(short|rand_free)\(" => SubstitutionString(string(NAMES[f.pkg], ".\\1(")))
    end
    n <= 8 && return string("remove(", name, ", Tuple{", join(m.types, ", "), "})")
    p = pick(g, loaded)
    n == 9 && return string(NAMES[p], ".CELL[] = ", pick(g, values_for(loaded)), "; ", NAMES[p], ".TABLE[\"1\"] = ", pick(g, BUILTIN_VALUES))
    return string("@eval ", NAMES[p], " global_value = ", pick(g, BUILTIN_VALUES))
end

"The session that says what to compile: everything loaded, many calls, no change."
function training_session(case::Case, seed)
    g = Gen(MersenneTwister(seed), case.functions, case.methods)
    return Session([["using $name" for name in case.names]; split(HEAD, '\n');
        reduce(vcat, [probes(g, [1, 2, 3], 100) for _ in 1:4])], 1)
end

with_deps(p) = collect(1:p)

function random_session(case::Case, seed)
    g = Gen(MersenneTwister(seed), case.functions, case.methods)
    lines = split(HEAD, '\n')
    lines = String.(lines)
    first_line = length(lines) + 1
    order = shuffle(g.rng, [1, 2, 3])[1:pick(g, [1, 2, 3, 3, 3])]
    loaded = Int[]
    known = Int[]
    for p in order
        push!(lines, string("using ", NAMES[p]))
        for q in setdiff(with_deps(p), known)
            q == p || push!(lines, "const $(NAMES[q]) = $(NAMES[p]).$(NAMES[q])")
            push!(known, q)
        end
        sort!(known)
        chance(g, 0.4) && append!(lines, probes(g, known, rand(g.rng, 1:4)))
        while chance(g, 0.4)
            push!(lines, change(g, known))
        end
    end
    append!(lines, probes(g, known, 12))
    for _ in 1:rand(g.rng, 1:5)
        chance(g, 0.3) && append!(lines, [probes(g, known, 2; late = true); "yield()"])
        push!(lines, change(g, known))
        chance(g, 0.3) && push!(lines, change(g, known))
        append!(lines, probes(g, known, 6))
        chance(g, 0.3) && push!(lines, "finish()")
    end
    push!(lines, "finish()")
    append!(lines, probes(g, known, 100))
    return Session(lines, chance(g, 0.75) ? 1 : rand(g.rng, first_line:length(lines)))
end

"""
The script; `cached` says whether NativeCache is used. A package loaded by another's `using` is
named in Main by a constant, which a later `using` of it would clash with.
"""
function script(session::Session; cached)
    lines = copy(session.lines)
    named = Set{String}()
    for (i, line) in enumerate(lines)
        m = match(r"^const (Rand.) = ", line)
        m === nothing || push!(named, m[1])
        m = match(r"^using (Rand.)$", line)
        m !== nothing && m[1] in named && (lines[i] = "Base.require(Main, :$(m[1]))")
    end
    cached && insert!(lines, session.cache_at, "using NativeCache")
    return join(lines, '\n')
end

end
