# make bench: everything that is measured, side by side in one run. Prints a table; writes results.json,
# results.md and, with what they need among them, first-call.svg and growth.svg beside this file.
#
#     julia bench/run.jl [--quick] [--runs=N] [--sizes=N,...] [--sessions=NAME,...] [--package=FOLDER]... [group...]
#
# Groups: first-call load steady callers build memory; all of them if none is named. `--quick` measures fewer and
# smaller things in some minutes and writes to a temporary folder. FOLDER is a package from elsewhere with
# a file `session.jl`; it is left out if it is not there. A full run makes a sysimage of each package and
# takes an hour.

include(joinpath(@__DIR__, "..", "test", "sandbox.jl"))
using .Sandbox
using .Sandbox: julia!, statements
include("measure.jl")
using .Measure
include("generated.jl")
using .GeneratedPackage
include("sysimage.jl")
using .SysimageMaker
include("first_call.jl")
include("load.jl")
include("steady.jl")
include("callers.jl")
include("building.jl")
include("memory.jl")
include("report.jl")
include("growth.jl")

const GROUPS = ["first-call" => first_call, "load" => load, "steady" => steady, "callers" => callers, "build" => building, "memory" => memory]

function main(arguments)
    quick = "--quick" in arguments
    value(name) = [split(a, '='; limit = 2)[2] for a in arguments if startswith(a, "--$name=")]
    runs = isempty(value("runs")) ? (quick ? 3 : 5) : parse(Int, value("runs")[1])
    list(name, default) = isempty(value(name)) ? default : split(value(name)[1], ',')
    # The quick form makes no sysimage: that takes minutes. Libraries of some 100, 1,000, 5,000 and 20,000 functions.
    sizes = parse.(Int, list("sizes", quick ? ["64", "616"] : ["64", "616", "3072", "12304"]))
    sessions = String.(list("sessions", quick ? ["Dates"] : ["Dates", "Markdown", "Statistics", "SHA", "Pkg"]))
    settings = Settings(quick, runs, String.(value("package")), sizes, sessions, text -> println(stderr, "bench: ", text))
    chosen = filter(a -> !startswith(a, "--"), arguments)
    unknown = setdiff(chosen, first.(GROUPS))
    isempty(unknown) || error("there is no group $(unknown[1]); there are $(join(first.(GROUPS), ", "))")
    rows = Row[]
    for (name, group) in GROUPS
        isempty(chosen) || name in chosen || continue
        append!(rows, group(settings))
    end
    folder = quick || !isempty(chosen) ? mktempdir(; cleanup = false) : @__DIR__
    open(io -> json(io, rows, settings), joinpath(folder, "results.json"), "w")
    open(io -> table(io, rows, settings), joinpath(folder, "results.md"), "w")
    any(r -> r.group == "first call", rows) && open(io -> chart(io, rows), joinpath(folder, "first-call.svg"), "w")
    has_growth(rows) && open(io -> growth_chart(io, rows), joinpath(folder, "growth.svg"), "w")
    table(stdout, rows, settings)
    println("\nwritten to ", folder)
end

main(ARGS)
