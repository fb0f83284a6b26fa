# Takes the protections out one by one, in a copy of the clone, and shows that the named test notices:
#
#     julia test/mutations/run.jl [part of a name …]
#
# First each of those tests must pass with nothing taken out. A mutation that its test does not notice is a
# protection that nobody tests, and ends this with an error.

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

# What cargo makes for this is thrown away: it is to be made quickly, piece by piece.
const QUICK = ["CARGO_PROFILE_RELEASE_OPT_LEVEL" => "0", "CARGO_PROFILE_RELEASE_DEBUG" => "false",
    "CARGO_PROFILE_RELEASE_INCREMENTAL" => "true"]

julia() = `$(joinpath(Sys.BINDIR, Base.julia_exename())) --startup-file=no --history-file=no --color=no`

"Run a command; what it printed goes to a log."
function quiet(folder, command, env)
    log = joinpath(folder, "mutation.log")
    command = setenv(command, merge(Dict(ENV), Dict(env)))
    return success(pipeline(ignorestatus(command); stdin = devnull, stdout = log, stderr = log)), read(log, String)
end

build(folder) = quiet(folder, `$(julia()) $(joinpath(folder, "deps", "build.jl"))`, QUICK)

"(passed, what to say of it)"
function run_test(folder, test)
    file, part = (split(test, '/'; limit = 2)..., "")
    chosen = file == "faults" ? "NATIVECACHE_FAULTS" : "NATIVECACHE_TEST_PART"
    passed, said = quiet(folder, `$(julia()) $(joinpath(folder, "test", "runtests.jl")) $file`, [chosen => part])
    counts = match(r"(\d+) passed, (\d+) failed", said)
    return passed, counts === nothing ? string("it did not come to its end: ", last(said, 400)) : counts.match
end

"(noticed, what to say of it)"
function try_mutation(folder, mutation)
    path = joinpath(folder, mutation.file)
    original = read(path, String)
    count = length(split(original, mutation.from)) - 1
    count == 1 || return false, "its text stands $count times in $(mutation.file)"
    write(path, replace(original, mutation.from => mutation.to))
    try
        built, said = build(folder)
        built || return false, string("it does not compile: ", last(said, 600))
        passed, said = run_test(folder, mutation.test)
        return !passed, passed ? "NOT NOTICED: $said" : said
    finally
        write(path, original)
    end
end

function main(parts)
    folder = scratch_copy()
    chosen = isempty(parts) ? MUTATIONS : unique(m for part in parts for m in MUTATIONS if occursin(part, m.name))
    missed = 0
    try
        built, said = build(folder)
        built || error("the copy does not compile: ", last(said, 2000))
        baseline = Dict(test => run_test(folder, test) for test in unique(m.test for m in chosen))
        for mutation in chosen
            good, said = baseline[mutation.test]
            noticed, said = good ? try_mutation(folder, mutation) : (false, "its test fails with nothing taken out: $said")
            missed += !noticed
            println(rpad(mutation.name, 54), rpad(mutation.test, 42), noticed ? "noticed: " : "", said)
            flush(stdout)
        end
    finally
        rm(folder; recursive = true, force = true)
    end
    println(length(chosen) - missed, " of ", length(chosen), " noticed")
    exit(missed == 0 ? 0 : 1)
end

main(ARGS)
