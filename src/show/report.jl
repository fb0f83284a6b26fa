# Where a session's latency goes, without the cache and with it: measured in fresh processes
# (probe.jl), shown in a terminal, as a page (page.jl) or as JSON.

"Seconds of one session by phase, in the order in which they are shown; with the number of methods that were compiled."
struct Latency
    start::Float64          # Julia's own start, until the first line of the script
    loading::Float64        # of packages, NativeCache included
    linking::Float64        # of libraries of NativeCache
    inference::Float64
    generation::Float64     # of machine code: LLVM
    run::Float64            # everything else: the program itself
    compiled::Int
end

const PHASES = (:start, :loading, :linking, :inference, :generation, :run)

total(latency::Latency) = sum(Float64[getfield(latency, phase) for phase in PHASES])

phase_title(phase::Symbol) = phase === :start ? "Julia's start" : phase === :loading ? "package loading" :
    phase === :linking ? "linking cached code" : phase === :inference ? "type inference" :
    phase === :generation ? "code generation" : "running"

"A method that the session compiles although the cache is on: its cost is the time that inference took for it."
struct Uncached
    signature::String
    seconds::Float64
    reason::String
    text::String
    advice::String
end

"What the cache does for one package in the measured session."
struct PackageGain
    package::String
    installed::Int
    requested::Int
    saved::Float64          # seconds of compilation, as measured at build; NaN if not known
    linking::Float64
    bytes::Int
end

"""
Where a session's latency goes: returned by [`NativeCache.report`](@ref).

- `script`: what was run; `runs`: how often, the medians are shown
- `before`, `after`: [`NativeCache.Latency`](@ref) without and with the cache, in seconds
- `uncached`: methods that are compiled all the same, costliest first, with reasons
- `packages`: what the cache saves for each package
- `julia`, `machine`, `when`, `seconds`: what it was measured with, and how long that took
"""
struct LatencyReport
    script::String
    runs::Int
    before::Latency
    after::Latency
    uncached::Vector{Uncached}
    packages::Vector{PackageGain}
    julia::String
    machine::String
    when::String
    seconds::Float64
end

"""
    NativeCache.report(file = nothing; script = nothing, runs = 3, limit = 3600) -> LatencyReport

Where the latency of a session goes, without the cache and with it: Julia's start, package loading,
linking, type inference, code generation and running, with the methods that cost most and are not
cached, and what is saved for each package. It shows as a chart in the terminal; with a `file` it is
also written as a page of its own, which needs no network.

`script` is the path of a Julia file: your typical first session. Without one, a session is measured
that loads the packages of this one and does nothing with them. The script is run `2 * runs` times
in processes of their own, with this session's project, load path and flags; medians are shown.
A run that has not ended after `limit` seconds is stopped.

Throws an `ArgumentError` if there is no such script, or if it fails or is stopped; that says in which of the runs.

# Example

    julia> NativeCache.report("latency.html"; script = "first_session.jl")
"""
function report(file::Union{Nothing,AbstractString} = nothing; script = nothing, runs::Integer = 3, limit::Real = 3600)
    runs >= 1 || throw(ArgumentError("runs: expected a positive number, got $runs"))
    limit > 0 || throw(ArgumentError("limit: expected a positive number of seconds, got $limit"))
    script === nothing || isfile(script) || throw(ArgumentError(string("script: there is no file ", repr(String(script)))))
    folder = file === nothing ? "" : dirname(abspath(file))
    file === nothing || isdir(folder) || throw(ArgumentError(string("file: there is no folder ", repr(folder))))
    started = time()
    measured = mktempdir() do work
        path = script === nothing ? loading_script(work) : abspath(script)
        samples = Dict(cached => Latency[] for cached in (false, true))
        for run in 1:runs, cached in (false, true)
            which = string("run ", run, " of ", runs, cached ? " with" : " without", " the cache")
            push!(samples[cached], probe(joinpath(work, "$cached-$run"), path, cached, which, limit))
        end
        LatencyReport(script === nothing ? string("using ", join(loaded_names(), ", ")) : String(script), runs,
            middle(samples[false]), middle(samples[true]), uncached(joinpath(work, "true-$runs")),
            gains(joinpath(work, "true-$runs")), string(VERSION), machine_text(), utc_text(), time() - started)
    end
    file === nothing || write(file, page(measured))
    return measured
end

"Packages of this session that a later one can load by name."
loaded_names() = sort!(String[id.name for (id, mod) in Base.loaded_modules if
    id.uuid !== nothing && id.name != "NativeCache" && Base.identify_package(id.name) == id && !startswith(something(pathof(mod), Sys.STDLIB), Sys.STDLIB)])

function loading_script(work)
    path = joinpath(work, "loading.jl")
    names = loaded_names()
    write(path, isempty(names) ? "nothing\n" : string("using ", join(names, ", "), "\n"))
    return path
end

machine_text() = string(isempty(Sys.cpu_info()) ? Sys.MACHINE : strip(Sys.cpu_info()[1].model), ", ", Sys.CPU_THREADS, " threads")

"""
Run the script once in a process of its own; `which` of the runs it is. It is sampled, and Julia's profiler can hang a process
that opens libraries (docs/faults.md), so there is a limit.
"""
function probe(folder, script, cached, which, limit)
    mkpath(folder)
    environment = julia_environment()
    environment["JULIA_NATIVECACHE"] = cached ? "on" : "off"
    environment["JULIA_NATIVECACHE_TRACE"] = "no"       # what is measured must not change what it measures
    environment["JULIA_NATIVECACHE_AUTO"] = "off"
    trace, probe_script = joinpath(folder, "trace"), joinpath(SOURCES, "processes", "probe.jl")
    command = setenv(`$(julia_command()) --trace-compile=$trace $probe_script $folder $(cached ? "cached" : "plain") $script`, environment)
    spawned = time()
    log = joinpath(folder, "log")
    began = time_ns()
    is_over() = @mutation("report: a run that hangs is waited for", time_ns() - began > limit * 1e9, false)
    process, hung = watch(is_over, ignorestatus(command), log)
    hung && throw(ArgumentError(string("script: ", script, " had not ended after ", limit, " s and was stopped (", which,
        "); the last it said: ", last_words(log))))
    success(process) && isfile(joinpath(folder, "times")) ||
        throw(ArgumentError(string("script: ", script, " failed (", which, "), ", last_words(log))))
    lines = split.(readlines(joinpath(folder, "times")), '\t')
    first_line, began, finished, linked = parse.(Float64, lines[1])
    counts = Dict(Symbol(line[1]) => parse(Int, line[2]) for line in lines[2:end])
    # Linking is timed where it happens; the samples share out the rest.
    rest = max(0.0, finished - began - linked)
    all = max(1, sum(counts[phase] for phase in (:loading, :inference, :generation, :run)))
    share(phase) = rest * counts[phase] / all
    compiled = 0
    for line in eachline(trace)
        occursin("NativeCacheProbe.report)", line) && break     # the script has ended
        compiled += startswith(line, "precompile(") && !occursin("NativeCacheProbe", line)
    end
    return Latency(first_line - spawned, share(:loading), linked, share(:inference), share(:generation), share(:run), compiled)
end

"The run whose total is the median."
middle(samples) = sort(samples; by = total)[(length(samples) + 1) ÷ 2]

"Methods that were compiled with the cache on, costliest first."
function uncached(folder)
    reasons = Dict{String,NTuple{3,String}}()
    for line in eachline(joinpath(folder, "reasons"))
        fields = fields_of(line)
        reasons[fields[4]] = (fields[1], fields[2], fields[3])
    end
    found = Uncached[]
    for line in eachline(joinpath(folder, "inference"))
        fields = fields_of(line)
        signature = fields[2]
        occursin("NativeCache", signature) && continue
        reason, text, advice = get(reasons, signature, ("", "", ""))
        push!(found, Uncached(signature, parse(Int, fields[1]) / 1e9, reason, text, advice))
    end
    sort!(found; by = one -> one.seconds, rev = true)
    return found[1:min(end, 25)]
end

"What is installed in the measured session, package by package."
function gains(folder)
    found = PackageGain[]
    for line in eachline(joinpath(folder, "status"))
        fields = fields_of(line)
        push!(found, PackageGain(fields[1], parse(Int, fields[2]), parse(Int, fields[3]), parse(Float64, fields[4]),
            parse(Float64, fields[5]), parse(Int, fields[6])))
    end
    return found
end

# ---- in a terminal ----

Base.show(io::IO, measured::LatencyReport) = print(io, "LatencyReport(", time_text(total(measured.before)), " without the cache, ",
    time_text(total(measured.after)), " with it)")

const PHASE_MARKS = (start = ('s', :light_black), loading = ('l', :cyan), linking = ('k', :green), inference = ('i', :red),
    generation = ('g', :yellow), run = ('r', :blue))

"How many characters each phase gets, so that they add up to the width of the whole."
function bar_widths(latency::Latency, longest, width)
    ends = round.(Int, cumsum([getfield(latency, phase) for phase in PHASES]) ./ longest .* width)
    return ends .- [0; ends[1:end-1]]
end

function Base.show(io::IO, ::MIME"text/plain", measured::LatencyReport)
    before, after = measured.before, measured.after
    printstyled(io, measured.script; bold = true)
    print(io, ": ", time_text(total(before)), " without the cache, ", time_text(total(after)), " with it\n")
    longest = max(total(before), total(after))
    width = clamp(displaysize(io)[2] - 22, 20, 100)
    for (title, latency) in ("without" => before, "with" => after)
        print(io, "\n  ", rpad(title, 8))
        for (phase, length) in zip(PHASES, bar_widths(latency, longest, width))
            mark, color = PHASE_MARKS[phase]
            printstyled(io, mark^length; color = color)
        end
        print(io, ' ', time_text(total(latency)))
    end
    print(io, "\n\n")
    rows = [[string("  ", PHASE_MARKS[phase][1], "  ", phase_title(phase)), time_text(getfield(before, phase)),
             time_text(getfield(after, phase))] for phase in PHASES]
    push!(rows, ["     methods compiled", string(before.compiled), string(after.compiled)])
    print_table(io, ["     phase", "without", "with"], rows; left = (1,))
    costly = filter(one -> one.seconds >= 1e-3, measured.uncached)
    isempty(costly) || print(io, "\n\n  still compiled, costliest first (inference):")
    for one in costly[1:min(end, 5)]
        print(io, "\n  ", lpad(time_text(one.seconds), 9), "  ", one.signature)
        isempty(one.reason) || print(io, "\n             ", one.reason, ": ", one.text)
    end
    return nothing
end
