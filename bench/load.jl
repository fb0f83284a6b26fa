# Load: what `using NativeCache` costs, and linking per function of generated packages of several sizes.

# In one process: wall seconds of `using NativeCache` with the package loaded, and what linking says of itself.
const LINK_SCRIPT = """
using Generated
using NativeCache
let found = ccall((:nativecache_found, NativeCache.LIBRARY), Cstring, ())
    print(stderr, "\\nfound ", split(unsafe_string(found), '\\n')[1], '\\n')
    print(stderr, replace(unsafe_string(ccall((:nativecache_steps, NativeCache.LIBRARY), Cstring, (Int64,), 0)), '\\t' => ' '))
end
"""

"(installed functions, seconds of each step) of one linking."
function link_once(box, script = LINK_SCRIPT; options...)
    run = julia!(box, script; options...)
    fields = split(match(r"found (.*)", run.err)[1], '\t')
    functions = parse(Int, fields[11])
    steps = Dict(m[1] => parse(Float64, m[2]) for m in eachmatch(r"^(check|resolve|map|fill|verify|install) (\S+)$"m, run.err))
    return (functions = functions, steps = steps, seconds = sum(values(steps)))
end

function generated_box(count)
    box = Box()
    add_package(box, "Generated", package_source("Generated", count))
    julia!(box, "using Generated\nusing NativeCache")
    return box
end

function load(settings)
    rows = load_using(settings)
    VERSION >= v"1.10" && return append!(rows, load_companions(settings))
    for count in settings.sizes
        settings.say("load: $count statements")
        box = generated_box(count)
        try
            result = build(box, repr("Generated"), package_statements("Generated", count))
            result.library === nothing && error(result.message)
            append!(rows, load(settings, box, count, result))
        finally
            remove(box)
        end
    end
    return rows
end

function load(settings, box, count, result)
    group = "load"
    unrelated = map(1:10) do i
        add_package(box, "Unrelated$i", "module Unrelated$i\nstruct A end\nBase.show(io::IO, ::A) = print(io, $i)\nend")
    end
    others = string((string("using ", name, '\n') for name in unrelated)...)
    grown = "Base.length(::Val{:bench}) = 1\n"
    foreach(name -> julia!(box, "using $name"), unrelated)
    same() = link_once(box)
    more() = link_once(box, others * LINK_SCRIPT)
    grew() = link_once(box, grown * LINK_SCRIPT)
    same()
    runs = in_turn(settings.runs, same, more, grew)
    per_function(list) = [1e6 * item.seconds / item.functions for item in list]
    verify(list) = [1e6 * item.steps["verify"] / item.functions for item in list]
    rows = [row(group, "$count statements, linking", "µs per function", "" => "linking", [], per_function(runs[1]); budget = 5.0),
        row(group, "$count statements, nothing changed: verification", "µs per function", "linking" => "verification",
            per_function(runs[1]), verify(runs[1]); budget = 0.1),
        row(group, "$count statements, ten other packages: verification", "µs per function", "linking" => "verification",
            per_function(runs[2]), verify(runs[2])),
        row(group, "$count statements, a table of Base grew: verification", "µs per function", "linking" => "verification",
            per_function(runs[3]), verify(runs[3])),
        row(group, "$count statements, with native code", "functions", "" => "in the library", [], [runs[1][1].functions]),
        row(group, "$count statements, library", "B per function", "" => "size", [], [result.bytes / runs[1][1].functions]),
        row("build", "$count statements", "s", "" => "one process", [], [result.seconds])]
    for step in ("check", "resolve", "map", "fill", "install")
        push!(rows, row(group, "$count statements, step $step", "µs per function", "linking" => step, per_function(runs[1]),
            [1e6 * item.steps[step] / item.functions for item in runs[1]]))
    end
    return rows
end

# On Julia 1.10 and later: what a companion adds to `using` its package, in processor time.
function load_companions(settings)
    rows = Row[]
    for count in (64, 304)
        settings.say("load: a companion of $count statements")
        box = generated_box(count)
        try
            result = build(box, repr("Generated"), package_statements("Generated", count))
            result.library === nothing && error(result.message)
            script = Measure.CLOCK * "using NativeCache\nconst t = bench_clock()\nusing Generated\nprint(1e3 * (bench_clock() - t), ' ', " *
                "length(NativeCache.SESSION.found) == 1 && NativeCache.SESSION.found[1].state === :loaded)"
            function milliseconds(on)
                said = split(julia!(box, script; env = on ? Pair{String,String}[] : ["JULIA_NATIVECACHE" => "off"]).out)
                said[2] == string(on) || error("the companion was loaded: $(said[2]), expected $on")
                return parse(Float64, said[1])
            end
            foreach(milliseconds, (false, true))
            off, on = in_turn(2 * settings.runs, () -> milliseconds(false), () -> milliseconds(true))
            push!(rows, row("load", "a companion of $count statements", "ms", "" => "loading", [], on .- off; budget = 30.0))
            push!(rows, row("load", "a companion of $count statements, each", "µs", "" => "loading", [], 1e3 .* (on .- off) ./ count; budget = 100.0))
            push!(rows, row("load", "a companion of $count statements, size", "B per statement", "" => "size", [], [result.bytes / count]))
        finally
            remove(box)
        end
    end
    return rows
end

"`using NativeCache` with nothing to link, against an empty package that is precompiled too. On Julia 1.10 and later in processor time."
function load_using(settings)
    settings.say("load: using NativeCache")
    box = Box()
    try
        add_package(box, "Empty", "module Empty end")
        clock = VERSION < v"1.10" ? "time_ns() / 1e9" : "bench_clock()"
        script(name) = Measure.CLOCK * "const t = $clock\nusing $name\nprint(1e3 * ($clock - t))"
        milliseconds(name) = parse(Float64, julia!(box, script(name)).out)
        foreach(milliseconds, ("Empty", "NativeCache"))
        empty, cache = in_turn(2 * settings.runs, () -> milliseconds("Empty"), () -> milliseconds("NativeCache"))
        return [row("load", "using NativeCache, more than an empty package", "ms", "" => "using", [], cache .- empty;
            budget = VERSION < v"1.10" ? 15.0 : 10.0)]
    finally
        remove(box)
    end
end
