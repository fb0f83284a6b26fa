# The long run: julia test/random/run.jl [first seed] [minutes] [sessions]; or one case: case SEED [SESSION].

include(joinpath(@__DIR__, "..", "sandbox.jl"))
using .Sandbox
using .Sandbox: julia!, traced
include("generator.jl")
include("differential.jl")

function main(args)
    if !isempty(args) && args[1] == "case"
        seed = parse(Int, args[2])
        only = length(args) > 2 ? [parse(Int, args[3])] : nothing
        mismatches, installed = run_case(seed; only = only, keep = true)
        for m in mismatches
            println("---- script\n", m.script, "\n---- without\n", m.without, "\n---- with\n", m.with, "\n", m)
        end
        println(isempty(mismatches) ? "the same" : "not the same", ", ", installed, " installed")
        return
    end
    seed = length(args) > 0 ? parse(Int, args[1]) : 1
    minutes = length(args) > 1 ? parse(Float64, args[2]) : 60.0
    sessions = length(args) > 2 ? parse(Int, args[3]) : 6
    started = time()
    cases, bad, all = 0, 0, 0
    while time() - started < 60minutes
        local mismatches, installed
        try
            mismatches, installed = run_case(seed; sessions = sessions)
        catch err
            err isa InterruptException && rethrow()
            println("case ", seed, ": ", first(sprint(showerror, err), 3000))
            bad += 1
            seed += 1
            continue
        end
        cases += 1
        all += installed
        bad += length(mismatches)
        foreach(println, mismatches)
        println("case ", seed, ": ", sessions, " sessions, ", installed, " installed, ", length(mismatches), " differ; ", cases, " cases, ", bad, " bad so far, ", round(Int, time() - started), " s")
        flush(stdout)
        seed += 1
    end
    exit(bad == 0 ? 0 : 1)
end

main(ARGS)
