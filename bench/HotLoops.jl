"The loops of bench/hotloops.jl: each some tenth of a second, without arguments, with a result to compare."
module HotLoops

function arrays()
    n = 400
    a = [Float64(i % 7) + j for i in 1:n, j in 1:n]
    b = zeros(n, n)
    for _ in 1:1200
        @inbounds for j in 2:n-1, i in 2:n-1
            b[i, j] = 0.25 * (a[i-1, j] + a[i+1, j] + a[i, j-1] + a[i, j+1])
        end
        a, b = b, a
    end
    return sum(a) + sum(abs2, view(b, 2:n-1, 3))
end

function dictionaries()
    counts = Dict{Int,Int}()
    words = Dict{String,Int}()
    names = [string("key", i) for i in 1:500]
    x = 1
    for i in 1:3_000_000
        x = (x * 1103515245 + 12345) & 0x7fffffff
        counts[x%5000] = get(counts, x % 5000, 0) + 1
        i % 4 == 0 && (words[names[x%500+1]] = get(words, names[x%500+1], 0) + i)
    end
    return (length(counts), sum(values(counts)), sum(values(words)))
end

function strings()
    total = 0
    for i in 1:80_000
        s = string("item ", i, ":", i * 7)
        total += length(replace(s, "item" => "entry")) + (occursin("77", s) ? 1 : 0) + length(split(s, ':')[2])
        total += count(isdigit, uppercase(s))
    end
    return total
end

struct Record
    key::Int
    weight::Float64
end

function sorting()
    x = 17
    records = Record[]
    for _ in 1:60_000
        x = (x * 1103515245 + 12345) & 0x7fffffff
        push!(records, Record(x % 1000, x / 3))
    end
    total = 0.0
    for _ in 1:10
        total += sort(records; by = r -> (r.key, -r.weight))[100].weight
        total += sort([r.weight for r in records])[end÷2]
    end
    return total
end

abstract type Shape end
struct Circle <: Shape; r::Float64; end
struct Square <: Shape; a::Float64; end
struct Rectangle <: Shape; a::Float64; b::Float64; end
struct Triangle <: Shape; a::Float64; h::Float64; end
struct Point <: Shape end
area(s::Circle) = 3.0 * s.r * s.r
area(s::Square) = s.a * s.a
area(s::Rectangle) = s.a * s.b
area(s::Triangle) = s.a * s.h / 2
area(::Point) = 0.0

function dispatch()
    shapes = Shape[(Circle(i), Square(i), Rectangle(i, 2), Triangle(i, 3), Point())[i%5+1] for i in 1:2000]
    total = 0.0
    for _ in 1:2000
        for shape in shapes
            total += area(shape)::Float64
        end
    end
    return total
end

function transcendental()
    total = 0.0
    for i in 1:3_000_000
        x = i * 1e-6
        total += sin(x) * cos(2x) + exp(-x) + log1p(x) + sqrt(x) + x^1.5
    end
    return total
end

function closures()
    total = 0
    for k in 1:900
        add = x -> x + k
        total += sum(map(add, filter(isodd, 1:50_000))) + mapreduce(x -> x * k, max, 1:50_000)
    end
    return total
end

mutable struct Cell
    value::Int
    next::Union{Nothing,Cell}
end

function allocation()
    total = 0
    for _ in 1:120
        list = nothing
        for i in 1:50_000
            list = Cell(i, list)
        end
        while list !== nothing
            total += list.value
            list = list.next
        end
    end
    return total
end

end
