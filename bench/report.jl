# Rows of figures as a table, as JSON and as a chart.

function quantity(x, unit)
    unit == "s" && return x < 1 ? string(round(1e3 * x; sigdigits = 3), " ms") : string(round(x; sigdigits = 3), " s")
    unit == "B" && return x < 1e6 ? string(round(x / 1e3; sigdigits = 3), " kB") : string(round(x / 1e6; sigdigits = 3), " MB")
    return string(round(x; sigdigits = 3), isempty(unit) ? "" : " ", unit)
end

figure(values, unit) = isempty(values) ? "" : quantity(median(values), unit)

function verdict(r::Row)
    r.budget === nothing && return ""
    value = something(Measure.ratio(r), median(r.value))
    return string(value <= r.budget ? "within " : "over ", r.budget)
end

"All rows as a Markdown table for each group."
function table(io, rows, settings)
    for group in unique(r.group for r in rows)
        println(io, "\n### ", group, "\n\n| what | against | | value | | ratio | budget |\n|---|---|---|---|---|---|---|")
        for r in rows
            r.group == group || continue
            found = Measure.ratio(r)
            println(io, "| ", r.name, " | ", r.labels.first, " | ", figure(r.base, r.unit), " | ", r.labels.second, " | ",
                figure(r.value, r.unit), " | ", found === nothing ? "" : round(found; sigdigits = 3), " | ", verdict(r), " |")
        end
    end
    println(io, "\nMedians of ", settings.runs, " runs in turn", settings.quick ? ", quick form" : "", "; minima are in results.json.")
end

text(s) = string('"', replace(replace(s, '\\' => "\\\\"), '"' => "\\\""), '"')
number(x) = isfinite(x) ? string(round(x; sigdigits = 6)) : "null"

function json(io, rows, settings)
    println(io, "{\"julia\": ", text(string(VERSION)), ", \"runs\": ", settings.runs, ", \"quick\": ", settings.quick, ", \"rows\": [")
    lines = map(rows) do r
        side(label, values) = string("{\"what\": ", text(label), ", \"n\": ", length(values), ", \"min\": ",
            isempty(values) ? "null" : number(minimum(values)), ", \"median\": ", isempty(values) ? "null" : number(median(values)), "}")
        found = Measure.ratio(r)
        string("  {\"group\": ", text(r.group), ", \"name\": ", text(r.name), ", \"unit\": ", text(r.unit),
            ", \"base\": ", side(r.labels.first, r.base), ", \"value\": ", side(r.labels.second, r.value),
            ", \"ratio\": ", found === nothing ? "null" : number(found), ", \"budget\": ", r.budget === nothing ? "null" : r.budget, "}")
    end
    println(io, join(lines, ",\n"), "\n]}")
end

"Bars of the first calls: nothing, a sysimage, NativeCache; on a scale that shows the small ones."
function chart(io, rows)
    bars = Tuple{String,String,Float64}[]
    for r in rows
        r.group == "first call" || continue
        found = match(r"^(\w+), first(, no cache)?$", r.name)
        found === nothing && continue
        found[2] === nothing ? append!(bars, [(found[1], "sysimage", median(r.base)), (found[1], "NativeCache", median(r.value))]) :
            push!(bars, (found[1], "nothing", median(r.base)))
    end
    packages = unique(first.(bars))
    order = ["nothing", "sysimage", "NativeCache"]
    colours = Dict("nothing" => "#9aa5b1", "sysimage" => "#5b8def", "NativeCache" => "#2f9e6e")
    height = 40 + 78 * length(packages)
    most = maximum([1e-9; [last(bar) for bar in bars]])
    println(io, """<svg xmlns="http://www.w3.org/2000/svg" width="720" height="$height" font-family="sans-serif" font-size="13">""")
    println(io, """<text x="10" y="20" font-weight="bold">First call of a session's workload</text>""")
    y = 38
    for package in packages
        println(io, """<text x="10" y="$(y + 32)">$package</text>""")
        for kind in order
            found = [bar for bar in bars if bar[1] == package && bar[2] == kind]
            isempty(found) && continue
            width = max(2, round(Int, 430 * found[1][3] / most))
            println(io, """<rect x="100" y="$y" width="$width" height="18" fill="$(colours[kind])"/>""")
            println(io, """<text x="$(108 + width)" y="$(y + 14)">$(quantity(found[1][3], "s")) $kind</text>""")
            y += 22
        end
        y += 12
    end
    println(io, "</svg>")
end
