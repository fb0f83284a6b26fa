# Scripts as people write them, made up from a seed: definitions, globals, closures, loops, redefinitions, macros and errors in
# the middle, in any order. What one prints and leaves in its globals must not depend on whether it was built.

module ScriptGenerator

using Random

export generate, edited, Generated

"A script, and the globals whose values are compared at its end."
struct Generated
    lines::Vector{String}
    globals::Vector{String}
end

text(script::Generated) = join(script.lines, '\n') * '\n'

mutable struct State
    rng::MersenneTwister
    lines::Vector{String}
    numbers::Vector{String}         # globals that hold a number
    functions::Vector{String}       # of one number
    types::Vector{String}           # of one field
    constants::Vector{String}
    count::Int
end

pick(state, list) = list[rand(state.rng, 1:length(list))]
fresh(state, prefix) = string(prefix, state.count += 1)
say(state, lines...) = append!(state.lines, lines)

"Something that is a number."
function number(state, depth = 0)
    choice = rand(state.rng, 1:9)
    choice <= 2 && return string(rand(state.rng, 1:9))
    choice == 3 && return string(rand(state.rng, 1:9), ".5")
    choice <= 5 && !isempty(state.numbers) && return pick(state, state.numbers)
    choice == 6 && !isempty(state.constants) && return pick(state, state.constants)
    choice == 7 && !isempty(state.functions) && depth < 3 && return string(pick(state, state.functions), "(", number(state, depth + 1), ")")
    choice == 8 && depth < 3 && return string("(", number(state, depth + 1), pick(state, [" + ", " - ", " * "]), number(state, depth + 1), ")")
    choice == 9 && !isempty(state.types) && depth < 3 && return string(pick(state, state.types), "(", number(state, depth + 1), ").value")
    return "2"
end

# Each adds lines to the script.
const PIECES = Function[
    s -> (name = fresh(s, "v"); say(s, "$name = $(number(s))"); push!(s.numbers, name)),
    s -> (name = fresh(s, "f"); say(s, "$name(x) = x + $(number(s, 2))"); push!(s.functions, name)),
    s -> (name = fresh(s, "f"); say(s, "\"Does something.\"", "function $name(x; scale = $(number(s, 2)), rest...)", "    y = x * scale", "    return y - 1", "end"); push!(s.functions, name)),
    s -> (name = fresh(s, "f"); say(s, "function $name(x::T, n::Int = 3) where T", "    total = zero(x)", "    for i in 1:n", "        total += i * x", "    end", "    return total", "end"); push!(s.functions, name)),
    s -> (name = fresh(s, "f"); say(s, "function $name(x)", "    inner(y) = y + x", "    return sum(inner, 1:3) + sum(z -> z * x, [1, 2])", "end"); push!(s.functions, name)),
    s -> (name = fresh(s, "T"); say(s, "struct $name", "    value::Float64", "end", "Base.show(io::IO, x::$name) = print(io, \"<\", x.value, \">\")"); push!(s.types, name)),
    s -> (name = fresh(s, "T"); say(s, "mutable struct $name{S}", "    value::S", "    $name{S}(x) where S = new{S}(x)", "    $name(x) = new{typeof(x)}(x)", "end"); push!(s.types, name)),
    s -> (name = fresh(s, "c"); say(s, "const $name = $(rand(s.rng, 1:99))"); push!(s.constants, name)),
    s -> (name = fresh(s, "c"); say(s, "const $name = $(number(s))"); push!(s.constants, name)),
    s -> (name = fresh(s, "memo"); f = fresh(s, "f"); say(s, "const $name = Dict{Int,Int}()", "function $f(n)", "    k = round(Int, n) % 20", "    k = abs(k)",
        "    haskey($name, k) && return $name[k]", "    r = k < 2 ? k : $f(k - 1) + $f(k - 2)", "    $name[k] = r", "    return r", "end"); push!(s.functions, f)),
    s -> say(s, "println($(number(s)), \" \", $(number(s)))"),
    s -> say(s, "println([x * $(number(s, 2)) for x in 1:3 if x != 2])"),
    s -> say(s, "println(map(x -> x + $(number(s, 2)), [1, 2]))"),
    s -> say(s, "println(sum(abs2(x) for x in 1:3))"),
    s -> (name = fresh(s, "v"); say(s, "$name = 0", "for i in 1:4", "    global $name", "    $name += i * $(number(s, 2))", "end", "println($name)"); push!(s.numbers, name)),
    s -> (name = fresh(s, "v"); say(s, "$name = 1", "while $name < 20", "    global $name = 2 * $name + 1", "end"); push!(s.numbers, name)),
    s -> (name = fresh(s, "counter"); f = fresh(s, "f"); say(s, "$name = 0", "$f(x) = (global $name += 1; x + $name)"); push!(s.functions, f); push!(s.numbers, name)),
    s -> say(s, "let a = $(number(s))", "    f = x -> x + a", "    println(f(1), \" \", map(f, (1, 2)))", "end"),
    s -> say(s, "try", "    error(\"caught \", $(number(s)))", "catch err", "    println(err.msg)", "finally", "    println(\"done\")", "end"),
    s -> say(s, "try", "    println(undefined_$(rand(s.rng, 1:9)))", "catch err", "    println(sprint(showerror, err))", "end"),
    s -> (isempty(s.functions) ? say(s, "nothing") : say(s, "$(pick(s, s.functions))(x::String) = length(x)")),
    s -> (isempty(s.functions) ? say(s, "# nothing") : (f = pick(s, s.functions); say(s, "$f(x::Int) = x - $(rand(s.rng, 1:9))", "println($f(3))"))),
    s -> (isempty(s.functions) ? say(s, "1 + 1") : say(s, "println($(pick(s, s.functions)), \" \", typeof($(pick(s, s.functions))))")),
    s -> (isempty(s.types) ? say(s, "\"just a text\"") : (t = pick(s, s.types); say(s, "println($t, \" \", $t(1.5), \" \", [$t(2.0)])"))),
    s -> say(s, "println(\"a\", 1); println(\"b\", $(number(s)))"),
    s -> (a = fresh(s, "v"); b = fresh(s, "v"); say(s, "$a, $b = $(number(s)), [i for i in 1:2][2]"); push!(s.numbers, a, b)),
    s -> (name = fresh(s, "v"); say(s, "begin", "    $name = $(number(s))", "    println($name)", "end"); push!(s.numbers, name)),
    s -> (name = fresh(s, "v"); say(s, "if $(number(s)) > 3", "    $name = 1", "else", "    $name = sum(x for x in 1:3)", "end"); push!(s.numbers, name)),
    s -> (f = fresh(s, "f"); say(s, "@inline $f(x) = 2x", "@assert $f(2) == 4"); push!(s.functions, f)),
    s -> (f = fresh(s, "f"); say(s, "@eval $f(x) = x + $(rand(s.rng, 1:9))"); push!(s.functions, f)),
    s -> (f = fresh(s, "f"); say(s, "macro m_$f(x)", "    return :(\$(esc(x)) + 1)", "end", "$f(x) = @m_$f x", "println(@m_$f 1)"); push!(s.functions, f)),
    s -> (f = fresh(s, "f"); say(s, "$f(x) = later_$f(x) + 1", "try; println($f(1)); catch err; println(typeof(err)); end", "later_$f(x) = 10x", "println($f(1))"); push!(s.functions, f)),
    s -> (f = fresh(s, "f"); say(s, "for f in (:a_$f, :b_$f)", "    @eval \$f(x) = x", "end", "$f(x) = a_$f(x) + b_$f(x)"); push!(s.functions, f)),
    s -> (name = fresh(s, "v"); say(s, "$name = [1, 2, 3]", "for (i, x) in enumerate($name)", "    $name[i] = x^2", "end", "println($name .+ 1, \" \", sum($name))")),
    s -> (name = fresh(s, "h"); say(s, "abstract type $name end", "struct Sub_$name <: $name end", "kind_$name(::$name) = \"any\"", "println(kind_$name(Sub_$name()))", "kind_$name(::Sub_$name) = \"sub\"", "println(kind_$name(Sub_$name()))")),
    s -> say(s, "println(@__LINE__, \" \", basename(@__FILE__))"),
    s -> say(s, "open(tempname(), \"w\") do io", "    println(io, $(number(s)))", "end"),
    s -> (name = fresh(s, "v"); say(s, "$name = Ref($(number(s)))", "map([1, 2]) do x", "    $name[] += x", "end", "println($name[])")),
    s -> (f = fresh(s, "f"); say(s, "$f = x -> x + $(number(s, 2))", "println($f(1))"); push!(s.functions, f)),
    s -> (f = fresh(s, "Op"); say(s, "struct $f; n::Int; end", "(o::$f)(x) = x + o.n", "println($f(2)(3))")),
    s -> say(s, "println(join(sort(collect(Set(x % 3 for x in 1:10))), \",\"))"),
    s -> (f = fresh(s, "f"); say(s, "\"With a parameter.\"", "$f(x::T) where {T<:Number} = x * one(T)", "println($f(2))"); push!(s.functions, f)),
    s -> (name = fresh(s, "v"); say(s, "$name = 1", "wait(@async for i in 1:2", "    $name = 5i", "end)", "println($name)"); push!(s.numbers, name)),
    s -> (m = fresh(s, "M"); say(s, "module $m", "export of_$m", "of_$m(x) = 2x", "end", "using .$m", "println(of_$m(2), [of_$m(i) for i in 1:2])")),
    s -> (f = fresh(s, "f"); say(s, "function $f end", "$f(x) = 3x", "println(hasmethod($f, Tuple{Int}))"); push!(s.functions, f)),
]

"The script of a seed: `size` pieces, and an error at its end in one of three."
function generate(seed::Int, size::Int)
    state = State(MersenneTwister(seed), String[], String[], String[], String[], String[], 0)
    rand(state.rng) < 0.5 && say(state, "using Printf")
    for _ in 1:size
        pick(state, PIECES)(state)
        rand(state.rng) < 0.2 && say(state, "")
        rand(state.rng) < 0.1 && say(state, "# a comment")
    end
    rand(state.rng) < 1 / 3 && say(state, "fails(x) = error(\"at the end: \", x)", "for i in 1:2", "    fails(i)", "end")
    return Generated(state.lines, state.numbers)
end

"The same script after an edit: a number is another one, a line is there twice or a comment is added."
function edited(script::Generated, seed::Int)
    rng = MersenneTwister(seed)
    lines = copy(script.lines)
    digits = findall(line -> occursin(r"\+ \d", line), lines)
    if rand(rng) < 0.7 && !isempty(digits)
        at = digits[rand(rng, 1:length(digits))]
        lines[at] = replace(lines[at], r"\+ \d" => "+ 7"; count = 1)
    else
        insert!(lines, rand(rng, 1:length(lines)), "")
    end
    return Generated(lines, script.globals)
end

end
