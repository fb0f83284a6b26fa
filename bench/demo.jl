# make demo: real packages that are not in the sysimage, a first session of each in a fresh
# process, without the cache and with it. Every number is measured in this run.

include(joinpath(@__DIR__, "..", "test", "sandbox.jl"))
using .Sandbox
using .Sandbox: status, statements

# Standard libraries under another uuid are ordinary packages to Julia (see test/sandbox.jl).
const PACKAGES = isempty(ARGS) ? ["Dates", "Markdown", "Pkg", "SHA", "Statistics"] : ARGS
const RUNS = parse(Int, get(ENV, "DEMO_RUNS", "5"))

struct Row
    package::String
    requested::Int
    compiled::Int
    without::Float64            # first session after `using`, seconds
    with::Float64
    process_without::Float64
    process_with::Float64
    link::Float64
    installed::Int
    functions::Int
    build::Float64
    bytes::Int
    jit_without::Int
    jit_with::Int
    same::Bool
    unfulfilled::Vector{String} # reported compiled, and compiled again all the same
end

say(words...) = (println(words...); flush(stdout))

function measure(box, package)
    body = read(joinpath(SESSIONS, "$package.jl"), String)
    run_session(box, body; cached = false)                  # makes the .ji files
    say("  tracing a first session")
    _, before = trace_session(box, body; cached = false)
    result = build(box, repr(package), traced_profile(box, package, session_script(body; cached = true)))
    result.library === nothing && error("no library for $package: $(result.message)")
    say("  built the library from ", length(result["requested"]), " traced methods in ", round(result.seconds; digits = 1), " s")
    say("  running it ", RUNS, " times without and ", RUNS, " times with the cache, in turn")
    without, with = Any[], Any[]
    for _ in 1:RUNS
        push!(without, run_session(box, body; cached = false))
        push!(with, run_session(box, body; cached = true))
    end
    same = length(unique!([run.run.out for run in [without; with]])) == 1
    _, after = trace_session(box, body; cached = true)
    # What every process compiles at its start is neither the package's nor the session's.
    _, always = trace_session(box, "using NativeCache\n"; cached = true)
    session = status(box, repr(package), "using $package")
    functions = julia_functions(box, package)
    seconds(runs) = median(run.seconds for run in runs)
    process(runs) = median(run.run.seconds for run in runs)
    return Row(package, length(result["requested"]), length(result["compiled"]), seconds(without), seconds(with),
        process(without), process(with), session.seconds, length(session["installed"]), functions, result.seconds,
        result.bytes, length(setdiff(before, always)), length(setdiff(after, always)), same,
        intersect(after, statements(result["compiled"])))
end

"Native functions installed: those that were asked for and those that they call."
function julia_functions(box, package)
    run = Sandbox.julia!(box, "using NativeCache, $package\nprint(NativeCache.status($(repr(package))).functions)")
    return parse(Int, run.out)
end

# ---- the table ----

time_text(s) = s < 0.0095 ? string(round(1e3 * s; digits = 1), " ms") : s < 0.9995 ? string(round(Int, 1e3 * s), " ms") :
    string(round(s; digits = 2), " s")
size_text(bytes) = bytes < 1e6 ? string(round(Int, bytes / 1e3), " kB") : string(round(bytes / 1e6; digits = 1), " MB")

function print_table(rows)
    head = ["package", "methods cached", "first session", "", "process", "", "link", "build", "library", "still compiled"]
    cells = [[row.package, string(row.compiled, " of ", row.requested),
              string(time_text(row.without), " → ", time_text(row.with)), string(round(row.without / row.with; digits = 1), "×"),
              string(time_text(row.process_without), " → ", time_text(row.process_with)),
              string(round(row.process_without / row.process_with; digits = 1), "×"),
              time_text(row.link), time_text(row.build), size_text(row.bytes),
              string(row.jit_with, " of ", row.jit_without)] for row in rows]
    widths = [maximum(textwidth(line[i]) for line in [[head]; cells]) for i in eachindex(head)]
    fit(line) = join([i == 1 ? rpad(line[i], widths[i]) : string(" "^(widths[i] - textwidth(line[i])), line[i])
                      for i in eachindex(line)], "  ")
    say(rstrip(fit(head)))
    say(join(("─"^width for width in widths), "──"))
    foreach(line -> say(fit(line)), cells)
end

function main()
    started = time()
    say("NativeCache demo: Julia ", VERSION, ", ", Sys.CPU_THREADS, " CPUs, medians of ", RUNS, " runs\n")
    box = Box()
    rows = Row[]
    try
        for package in PACKAGES
            say(package)
            add_stdlib_copy(box, package)
            push!(rows, measure(box, package))
        end
    finally
        remove(box)
    end
    say()
    print_table(rows)
    say()
    say("first session: about 15 operations in a script, after `using`; process: the whole of it, with Julia's own start")
    for row in rows
        row.installed > 0 && say(row.package, ": ", row.functions, " native functions linked, ",
            round(1e6 * row.link / max(1, row.functions); digits = 1), " µs each")
    end
    say("measured in ", round(Int, time() - started), " s")
    wrong = String[]
    for row in rows
        row.same || push!(wrong, "$(row.package): what the session prints differs with the cache")
        for statement in row.unfulfilled
            push!(wrong, "$(row.package): reported as cached, but compiled: $statement")
        end
    end
    foreach(line -> println(stderr, "WRONG: ", line), wrong)
    isempty(wrong) || exit(1)
    say("results with and without the cache: the same in all runs")
end

main()
