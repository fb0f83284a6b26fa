"The loops of bench/run.jl: each some tenth of a second, without arguments, with a result to compare."
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

checked(x) = x % 100 == 0 ? throw(DomainError(x, "a multiple of 100")) : x

function exceptions()
    total = 0
    for i in 1:400_000
        total += try
            checked(i)
        catch err
            err isa DomainError ? 1 : rethrow()
        end
    end
    return total
end

maybe(i) = i % 3 == 0 ? nothing : i % 3 == 1 ? i : i / 2

function unions()
    values = Union{Int,Float64,Nothing}[maybe(i) for i in 1:20_000]
    total = 0.0
    for _ in 1:400, v in values
        v === nothing || (total += v)
    end
    return total
end

function broadcasting()
    a = [Float64(i % 13) for i in 1:20_000]
    b = reverse(a)
    for _ in 1:2000
        a .= muladd.(a, 0.5, b) .- abs.(a .- b)
    end
    return sum(a)
end

function tasks()
    total = 0
    for _ in 1:60
        channel = Channel{Int}(16)
        producer = @async begin
            foreach(i -> put!(channel, i), 1:1000)
            close(channel)
        end
        for i in channel
            total += i
        end
        wait(producer)
    end
    return total
end

# ---- three algorithms ----

mutable struct Body
    x::Float64
    y::Float64
    z::Float64
    vx::Float64
    vy::Float64
    vz::Float64
    mass::Float64
end

"Planets around a sun, by small steps."
function nbody()
    bodies = [Body(i, 2.0i + 1, -i / 2, 0.1i, -0.05, 0.02i, 1 / (i + 1)) for i in 1:5]
    for _ in 1:300_000
        for i in 1:5, j in i+1:5
            a, b = bodies[i], bodies[j]
            dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
            d = dx * dx + dy * dy + dz * dz + 0.01
            pull = 1e-4 / (d * sqrt(d))
            a.vx -= dx * b.mass * pull
            a.vy -= dy * b.mass * pull
            a.vz -= dz * b.mass * pull
            b.vx += dx * a.mass * pull
            b.vy += dy * a.mass * pull
            b.vz += dz * a.mass * pull
        end
        for b in bodies
            b.x += 1e-4 * b.vx
            b.y += 1e-4 * b.vy
            b.z += 1e-4 * b.vz
        end
    end
    return sum(b -> b.x + b.y + b.z, bodies)
end

"How many letters must change to make one word of another."
function edits()
    a = [Char('a' + i * i % 26) for i in 1:900]
    b = [Char('a' + i * 7 % 26) for i in 1:900]
    total = 0
    for _ in 1:12
        row = collect(0:length(b))
        for i in eachindex(a)
            previous, row[1] = row[1], i
            for j in eachindex(b)
                change = previous + (a[i] == b[j] ? 0 : 1)
                previous = row[j+1]
                row[j+1] = min(change, row[j] + 1, previous + 1)
            end
        end
        total += row[end]
    end
    return total
end

"Shortest ways in a graph, with a heap."
function ways()
    n = 4000
    edges = [[(i * k % n + 1, 1 + i * k % 17) for k in (3, 7, 11, 13)] for i in 1:n]
    total = 0
    for start in 1:12
        distance = fill(typemax(Int), n)
        distance[start] = 0
        heap = [(0, start)]
        while !isempty(heap)
            d, at = popfirst!(heap)
            d > distance[at] && continue
            for (to, length) in edges[at]
                new = d + length
                if new < distance[to]
                    distance[to] = new
                    insert!(heap, searchsortedfirst(heap, (new, to)), (new, to))
                end
            end
        end
        total += sum(filter(<(typemax(Int)), distance))
    end
    return total
end

# ---- what the session's own loops call ----

small(x) = (x >> 1) ⊻ x

@noinline function generic(values, f)
    total = 0.0
    for _ in 1:100, v in values
        total += f(v)
    end
    return total
end

end
