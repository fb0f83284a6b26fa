# Takes the protections out one by one, in a copy of the clone, and shows that the named tests notice:
#
#     julia test/mutations/run.jl [part of a name …]
#
# A mutation that no test notices is a protection that nobody tests, and ends this with an error.

const ROOT = dirname(dirname(@__DIR__))
include("list.jl")

"A copy of what git knows, and of what cargo has built, to build and test in."
function scratch_copy()
    folder = mktempdir(; prefix = "nativecache-mutations-")
    for file in split(read(`git -C $ROOT ls-files -z`, String), '\0'; keepempty = false)
        isfile(joinpath(ROOT, file)) || islink(joinpath(ROOT, file)) || continue
        mkpath(joinpath(folder, dirname(file)))
        cp(joinpath(ROOT, file), joinpath(folder, file))
    end
    isdir(joinpath(ROOT, "target")) && run(`cp -a $(joinpath(ROOT, "target")) $folder/target`)
    return folder
end

julia() = `$(joinpath(Sys.BINDIR, Base.julia_exename())) --startup-file=no --history-file=no --color=no`

function try_mutation(folder, mutation)
    path = joinpath(folder, mutation.file)
    original = read(path, String)
    count = length(split(original, mutation.from)) - 1
    count == 1 || return "its text stands $count times in $(mutation.file)"
    write(path, replace(original, mutation.from => mutation.to))
    log = joinpath(folder, "mutation.log")
    try
        quiet(command) = success(pipeline(ignorestatus(command); stdin = devnull, stdout = log, stderr = log))
        quiet(`$(julia()) $(joinpath(folder, "deps", "build.jl"))`) || return string("it does not compile: ", last(read(log, String), 600))
        quiet(`$(julia()) $(joinpath(folder, "test", "runtests.jl")) $(mutation.tests)`) && return "NOT NOTICED"
        return match(r"(\d+) passed, (\d+) failed", read(log, String)) === nothing ? "noticed: the test did not come to its end" :
            string("noticed: ", match(r"(\d+) failed", read(log, String)).match)
    finally
        write(path, original)
    end
end

function main(parts)
    folder = scratch_copy()
    chosen = filter(m -> isempty(parts) || any(part -> occursin(part, m.name), parts), MUTATIONS)
    bad = 0
    try
        for mutation in chosen
            outcome = try_mutation(folder, mutation)
            startswith(outcome, "noticed") || (bad += 1)
            println(rpad(mutation.name, 52), " ", rpad(join(mutation.tests, " "), 14), " ", outcome)
            flush(stdout)
        end
    finally
        rm(folder; recursive = true, force = true)
    end
    println(length(chosen) - bad, " of ", length(chosen), " noticed")
    exit(bad == 0 ? 0 : 1)
end

main(ARGS)
