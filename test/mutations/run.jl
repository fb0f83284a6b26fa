# Takes the protections out one by one, in copies of the clone, and shows that the named test notices:
#
#     julia test/mutations/run.jl [--passed] [part of a name …]
#
# First each of those tests must pass with nothing taken out; `--passed` says that the test command has just shown that. A mutation that its test does not notice is a
# protection that nobody tests, and ends this with an error.

const ROOT = dirname(dirname(@__DIR__))
include("list.jl")

const JOBS = min(2, Sys.CPU_THREADS)

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

"Run a command; what it printed goes to a log."
function quiet(folder, command, env...)
    log = joinpath(folder, "mutation.log")
    command = setenv(command, merge(Dict(ENV), Dict(env...)))
    return success(pipeline(ignorestatus(command); stdin = devnull, stdout = log, stderr = log)), read(log, String)
end

build(folder) = quiet(folder, `$(julia()) $(joinpath(folder, "deps", "build.jl")) removable`)

"Which protection the libraries and the package of this copy are without."
take_out(folder, name) = write(joinpath(folder, "deps", "lib", "mutation"), name, '\n')

"(passed, what to say of it)"
function run_test(folder, test)
    file, part = (split(test, '/'; limit = 2)..., "")
    chosen = file == "faults" ? "NATIVECACHE_FAULTS" : "NATIVECACHE_TEST_PART"
    passed, said = quiet(folder, `$(julia()) $(joinpath(folder, "test", "runtests.jl")) $file`, chosen => part)
    counts = match(r"(\d+) passed, (\d+) failed", said)
    return passed, counts === nothing ? string("it did not come to its end: ", last(said, 400)) : counts.match
end

"(noticed, what to say of it)"
function try_mutation(folder, name, test)
    take_out(folder, name)
    passed, said = run_test(folder, test)
    return !passed, passed ? "NOT NOTICED: $said" : said
end

"The same for the one that is an edit of a file."
function try_edit(folder, test)
    take_out(folder, "none")
    path = joinpath(folder, EDIT.file)
    original = read(path, String)
    count = length(split(original, EDIT.from)) - 1
    count == 1 || return false, "its text stands $count times in $(EDIT.file)"
    write(path, replace(original, EDIT.from => EDIT.to))
    passed, said = run_test(folder, test)
    write(path, original)
    return !passed, passed ? "NOT NOTICED: $said" : said
end

"`body(folder, item)` for each, as many at a time as there are folders."
function each(body, folders, items)
    left = collect(items)
    @sync for folder in folders
        @async while !isempty(left)
            body(folder, popfirst!(left))
        end
    end
end

function main(arguments)
    parts = filter(!=("--passed"), arguments)
    first_copy = scratch_copy()
    all_of_them = [MUTATIONS; EDITED]
    chosen = isempty(parts) ? all_of_them : unique(m for part in parts for m in all_of_them if occursin(part, first(m)))
    folders = [first_copy]
    missed = 0
    try
        built, said = build(first_copy)
        built || error("the copy does not compile: ", last(said, 2000))
        take_out(first_copy, "none")
        for number in 2:JOBS
            push!(folders, string(first_copy, '-', number))
            run(`cp -a $first_copy $(folders[end])`)
        end
        baseline = Dict{String,Any}(test => (true, "") for test in last.(chosen))
        each(folders, "--passed" in arguments ? String[] : unique(last.(chosen))) do folder, test
            baseline[test] = run_test(folder, test)
            println(rpad("nothing taken out", 68), rpad(test, 42), baseline[test][2])
            flush(stdout)
        end
        each(folders, chosen) do folder, (name, test)
            good, said = baseline[test]
            noticed, said = !good ? (false, "its test fails with nothing taken out: $said") :
                name == first(EDITED) ? try_edit(folder, test) : try_mutation(folder, name, test)
            missed += !noticed
            println(rpad(name, 68), rpad(test, 42), noticed ? "noticed: " : "", said)
            flush(stdout)
        end
    finally
        foreach(folder -> rm(folder; recursive = true, force = true), folders)
    end
    println(length(chosen) - missed, " of ", length(chosen), " noticed")
    exit(missed == 0 ? 0 : 1)
end

main(ARGS)
