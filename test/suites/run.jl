# The complete test suites of real packages, with the cache trained on those very suites:
#
#     julia test/suites/run.jl                      copies of standard libraries
#     julia test/suites/run.jl Dates SHA            some of them
#     julia test/suites/run.jl folder/Package.jl …  packages in folders of one parent, which holds what they need
#
# Each suite runs four times, in fresh processes: traced, off, on, verify. What passes, fails and is broken
# must be the same in all.

include(joinpath(@__DIR__, "..", "sandbox.jl"))
using .Sandbox
using .Sandbox: julia_program
include("count.jl")

const COPIES = ["Base64", "CRC32c", "Dates", "DelimitedFiles", "FileWatching", "Logging", "Markdown", "Mmap", "Printf",
    "SHA", "Serialization", "SharedArrays", "Statistics", "UUIDs", "Unicode"]

totals(run) = (m = match(r"^suite: (\d+) (\d+) (\d+)$"m, run.err); m === nothing ? nothing : parse.(Int, (m[1], m[2], m[3])))
field(run, name) = (m = match(Regex("^$name: (.*)\$", "m"), run.err); m === nothing ? "" : String(m[1]))
seconds(run) = string(round(run.seconds; digits = 1), " s")

function run_suite(given)
    copy = !isdir(given)
    name = copy ? given : splitext(basename(rstrip(given, '/')))[1]
    box = Box(copy ? nothing : dirname(abspath(rstrip(given, '/'))))
    copy && add_stdlib_copy(box, name)
    path = copy ? joinpath(STDLIB, name, "test", "runtests.jl") : joinpath(abspath(given), "test", "runtests.jl")
    trace = joinpath(box.root, "suite.trace")
    # A test may run for ever where another one left something.
    program = `timeout -s KILL 900 $(julia_program())`
    with = """
        let s = NativeCache.status("$name")
            println(stderr, "installed: ", length(s.installed), " of ", length(s.requested), ", ", length(s.rejected), " rejected",
                isempty(s.message) ? "" : string(", ", s.message))
            for reason in unique(item.reason for item in s.rejected)
                println(stderr, "reason: ", count(item -> item.reason === reason, s.rejected), " ", reason, ", as ",
                    first(item.statement for item in s.rejected if item.reason === reason))
            end
        end
        """
    script(cached) = string(cached ? "using NativeCache\n" : "", "import $name\nconst PATH = $(repr(path))\n", SUITE_SCRIPT, cached ? with : "")
    try
        julia(box, "using NativeCache; import $name")
        traced_run = julia(box, script(false); flags = `--trace-compile=$trace`, program = program)
        totals(traced_run) === nothing && return println(name, ": its suite does not run here: ", last(split(strip(traced_run.err), '\n'), 1)) === nothing
        built = build(box, repr(name), trace)
        off = julia(box, script(true); program = program, env = ["JULIA_NATIVECACHE" => "off"])
        on = julia(box, script(true); program = program)
        verify = julia(box, script(true); program = program, env = ["JULIA_NATIVECACHE" => "verify"])
        same = totals(off) == totals(on) == totals(verify) == totals(traced_run)
        println(rpad(name, 20), same ? "same       " : "DIFFERENT  ", "off ", totals(off), " ", seconds(off), "; on ", totals(on), " ", seconds(on),
            "; verify ", totals(verify), "; built ", length(built["compiled"]), " of ", length(built["requested"]),
            "; on ", field(on, "installed"), "; verify ", field(verify, "installed"))
        # Rejected after the suite: what it defined itself, and what verification had compiled before it linked.
        for (mode, run) in (:on => on, :verify => verify), m in eachmatch(r"^reason: (.*)$"m, run.err)
            println("    ", mode, ": ", m[1])
        end
        if !same
            kept = joinpath(tempdir(), "nativecache-suite-$name")
            for (mode, run) in (:off => off, :on => on, :verify => verify)
                write("$kept.$mode", run.out, "\n", run.err)
            end
            println("    what they printed: ", kept, ".off, .on, .verify")
        end
        return same
    finally
        flush(stdout)
        copy ? remove(box) : rm(box.root; recursive = true, force = true)
    end
end

last(v::AbstractVector, n) = join(v[max(1, end - n + 1):end], ' ')

exit(all([run_suite(given) for given in (isempty(ARGS) ? COPIES : ARGS)]) ? 0 : 1)
