# A package of any size, for what grows with the number of functions: of each eight functions some
# share a generic function, take structs, keywords, vectors, unions, closures or text, or call others.

module GeneratedPackage

export package_source, package_statements

"The eight kinds; `i` is a number that makes each of them different. Each ends in a function `f<i>`."
const KINDS = (
    i -> "f$i(x::Int) = x * $i + f$(i + 1)(x)",
    i -> "@noinline function f$i(x::Int)\n    s = $i\n    for k in 1:x\n        s += xor(k, s >> 3)\n    end\n    return s\nend",
    i -> "struct T$i\n    a::Int\n    b::Float64\nend\nf$i(t::T$i) = t.a + t.b * $i\nf$i(x::Int) = f$i(T$i(x, x / 2))",
    i -> "area(t::T$(i - 1)) = t.a * t.b\nf$i(x::Int) = area(T$(i - 1)(x, 1.5 * x))",
    i -> "g$i(x; by = $i) = x + by\nf$i(x::Int) = g$i(x; by = x)",
    i -> "f$i(x::Int) = sum(map(k -> k * $i + x, [1, x, $i]))",
    i -> "f$i(x::Int) = string(\"f$i \", x, ':', x > $i ? \"more\" : nothing)",
    i -> "function f$i(x::Int)\n    v = Union{Int,Nothing}[x, nothing, $i]\n    for e in v\n        e === nothing || e > $i && return e\n    end\n    throw(ArgumentError(\"f$i\"))\nend",
)

kind(i) = KINDS[mod1(i, length(KINDS))]

"The source of package `name` with methods `f1` to `f<count>`; `count` is a multiple of eight."
function package_source(name, count)
    count % length(KINDS) == 0 || throw(ArgumentError("count: a multiple of $(length(KINDS)), got $count"))
    parts = ["function area end"; [kind(i)(i) for i in 1:count]]
    return string("module $name\n", join(parts, '\n'), "\nend\n")
end

"A statement for each of them."
package_statements(name, count) = ["Tuple{typeof($name.f$i), Int}" for i in 1:count]

end
