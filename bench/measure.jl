# What all groups share: a row of figures, what is quick, and processes that say how they fared.

module Measure

using ..Sandbox
using ..Sandbox: julia!, run_julia

export Row, Settings, in_turn, row, session_figures

"One line of the table: `value` against `base`, which was measured in turn with it."
struct Row
    group::String
    name::String
    unit::String
    labels::Pair{String,String}       # what base and value are
    base::Vector{Float64}
    value::Vector{Float64}
    budget::Union{Nothing,Float64}    # of the ratio of medians, or of the value where there is no base
end

ratio(r::Row) = isempty(r.base) ? nothing : median(r.value) / median(r.base)

row(group, name, unit, labels, base, value; budget = nothing) =
    Row(group, name, unit, labels, collect(Float64, base), collect(Float64, value), budget)

"How much is measured: `runs` of each, fewer and smaller things if `quick`."
struct Settings
    quick::Bool
    runs::Int
    packages::Vector{String}          # folders of packages from elsewhere, with a session each
    sizes::Vector{Int}                # numbers of functions of the generated packages
    sessions::Vector{String}          # of test/sessions, for the first call
    say::Function
end

"Run the functions one after the other, `runs` times over; a vector of results for each."
function in_turn(runs, functions...)
    results = [Any[] for _ in functions]
    for _ in 1:runs, (list, f) in zip(results, functions)
        push!(list, f())
    end
    return results
end

# Processor time of the thread: what else the machine does is not in it.
const CLOCK = """
function bench_clock()
    now = Ref((0, 0))
    ccall(:clock_gettime, Cint, (Cint, Ptr{Cvoid}), 3, now)     # CLOCK_THREAD_CPUTIME_ID
    return now[][1] + now[][2] / 1e9
end
bench_clock()
"""

"""
A session: `using` lines and the rest of `body`, run twice; says seconds of each on stderr, the peak of
its resident memory in bytes, and the seconds of linking among those of loading.
"""
function session_script(body; cached)
    lines = split(body, '\n')
    is_using(line) = startswith(line, "using ")
    rest = tempname_of(join(filter(!is_using, lines), '\n'))
    return """
        const bench_start = time_ns()
        $(cached ? "using NativeCache" : "")
        $(join(filter(is_using, lines), '\n'))
        const bench_loaded = time_ns()
        include($(repr(rest)))
        const bench_first = time_ns()
        include($(repr(rest)))
        const bench_second = time_ns()
        bench_peak() = for line in eachline("/proc/self/status")
            startswith(line, "VmHWM:") && return parse(Int, split(line)[2]) * 1024
        end
        bench_linking() = $(cached ? LINKING : "0.0")
        println(stderr, "bench ", (bench_loaded - bench_start) / 1e9, ' ', (bench_first - bench_loaded) / 1e9, ' ',
            (bench_second - bench_first) / 1e9, ' ', bench_peak(), ' ', bench_linking())
        """
end

# Wall seconds, of all libraries.
const LINKING = raw"""
mapreduce(line -> parse(Float64, split(line, '\t')[14]), +,
        split(unsafe_string(ccall((:nativecache_found, NativeCache.LIBRARY), Cstring, ())), '\n'; keepempty = false); init = 0.0)"""

const BODIES = Dict{String,String}()

"The same file for the same text: its name must not make a difference between what is compared."
tempname_of(text) = get!(BODIES, text) do
    path = string(tempname(), ".jl")
    write(path, text)
    path
end

"Load, first call, second call, peak memory, linking and the whole process's seconds."
function session_figures(box, body; cached, options...)
    run = julia!(box, session_script(body; cached = cached); options...)
    found = match(r"bench (\S+) (\S+) (\S+) (\S+) (\S+)", run.err)
    load, first, second, peak, linking = parse.(Float64, found.captures)
    return (load = load, first = first, second = second, peak = peak, linking = linking, process = run.seconds)
end

end
