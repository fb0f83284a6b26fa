# Memory: resident and proportional set of 1, 4 and 8 processes that have run the same workload.

const HOLD = """
read(stdin, Char)       # until all are there: shared pages are shared by those that live
rollup = read("/proc/self/smaps_rollup", String)
kilobytes(name) = parse(Int, match(Regex(string("^", name, ":\\\\s+(\\\\d+)"), "m"), rollup)[1])
println("bench ", kilobytes("Rss"), ' ', kilobytes("Pss"))
flush(stdout)
read(stdin, Char)
"""

"Mean resident and proportional set, in bytes, of `count` processes at the same time."
function sets_of(box, body, count; cached)
    script = joinpath(box.root, "hold.jl")
    write(script, (cached ? "using NativeCache\n" : "") * body * "\nprintln(\"ready\")\nflush(stdout)\n" * HOLD)
    environment = Dict{String,String}(name => value for (name, value) in ENV if !startswith(name, "JULIA_"))
    environment["JULIA_LOAD_PATH"] = join([box.packages, Sandbox.ROOT, "@stdlib"], ':')
    environment["JULIA_DEPOT_PATH"] = box.depot
    command = setenv(`$(Sandbox.julia_program()) --startup-file=no --color=no $script`, environment; dir = box.root)
    processes = [open(command, "r+") for _ in 1:count]
    try
        foreach(p -> (while readline(p) != "ready" end), processes)
        found = map(processes) do p
            write(p, "x")
            flush(p)
            line = readline(p)
            while !startswith(line, "bench ")
                line = readline(p)
            end
            1024 .* parse.(Int, split(line)[2:3])
        end
        return (rss = sum(first.(found)) / count, pss = sum(last.(found)) / count)
    finally
        foreach(p -> (write(p, "x"); close(p.in)), processes)
        foreach(wait, processes)
    end
end

function memory(settings)
    package = "Dates"
    box = Box()
    try
        add_stdlib_copy(box, package)
        body = read(joinpath(SESSIONS, "$package.jl"), String)
        run_session(box, body; cached = false)
        trace, _ = trace_session(box, body; cached = false)
        result = build(box, repr(package), trace)
        result.library === nothing && error(result.message)
        rows = Row[]
        for count in (1, 4, 8)
            settings.say("memory: $count processes")
            jit, cached = in_turn(settings.quick ? 1 : settings.runs, () -> sets_of(box, body, count; cached = false),
                () -> sets_of(box, body, count; cached = true))
            for (name, field) in ("resident set" => :rss, "proportional set" => :pss)
                push!(rows, row("memory", "$count processes, $name of each", "B", "JIT" => "cached",
                    [getfield(item, field) for item in jit], [getfield(item, field) for item in cached]))
            end
        end
        return rows
    finally
        remove(box)
    end
end
