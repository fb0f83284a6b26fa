# A chart of what grows with the number of functions: each curve is what one function costs, so one that does not
# rise is growth that is no more than linear.

const CURVES = ["linking, µs" => ("load", r"^(\d+) statements, linking$", 1),
    "build on one core, ms" => ("build", r"^(\d+) statements, from nothing$", 1e3),
    "build, peak memory, kB" => ("build", r"^(\d+) statements, peak memory$", 1e-3)]

"How many functions with native code a library of so many statements has."
functions_of(rows) = Dict(m[1] => median(r.value) for r in rows for m in (match(r"^(\d+) statements, with native code$", r.name),)
                          if m !== nothing)

"Points (functions, cost of one of them) of a curve. What linking says is per function already."
function points(rows, group, pattern, scale)
    functions = functions_of(rows)
    found = Tuple{Float64,Float64}[]
    for r in rows
        m = r.group == group ? match(pattern, r.name) : nothing
        (m === nothing || !haskey(functions, m[1])) && continue
        n = functions[m[1]]
        push!(found, (n, scale * median(r.value) / (group == "load" ? 1 : n)))
    end
    return sort!(found)
end

short(x) = x < 10 ? string(round(x; sigdigits = 2)) : string(round(Int, round(x; sigdigits = 2)))

has_growth(rows) = all(length(points(rows, curve...)) > 1 for (_, curve) in CURVES)

function growth_chart(io, rows)
    width, height, left = 220, 150, 30
    println(io, """<svg xmlns="http://www.w3.org/2000/svg" width="$(length(CURVES) * (width + 20))" height="$(height + 70)" font-family="sans-serif" font-size="12">""")
    for (number, (title, curve)) in enumerate(CURVES)
        list = points(rows, curve...)
        x0 = (number - 1) * (width + 20) + left
        low, high = log10(list[1][1]), log10(list[end][1])
        most = 1.25 * maximum(last.(list))
        place((n, y)) = (round(Int, x0 + (width - 60) * (log10(n) - low) / (high - low)), round(Int, 30 + height * (1 - y / most)))
        println(io, """<text x="$x0" y="16" font-weight="bold">$title</text>""")
        println(io, """<path d="M $(x0 - 8) 30 V $(30 + height) H $(x0 + width - 40)" fill="none" stroke="#9aa5b1"/>""")
        path = join((join(place(point), ',') for point in list), ' ')
        println(io, """<polyline points="$path" fill="none" stroke="#2f9e6e" stroke-width="2"/>""")
        for point in list
            x, y = place(point)
            println(io, """<circle cx="$x" cy="$y" r="3" fill="#2f9e6e"/><text x="$x" y="$(y - 8)">$(short(point[2]))</text>""")
            println(io, """<text x="$x" y="$(height + 46)" text-anchor="middle" fill="#5f6b7a">$(round(Int, point[1]))</text>""")
        end
    end
    println(io, """<text x="10" y="$(height + 64)" fill="#5f6b7a">functions with native code; each curve is what one of them costs</text>\n</svg>""")
end
