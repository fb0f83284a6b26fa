# build: a process of its own loads the packages, compiles the statements and writes the
# library; this side starts it, watches it, survives its death and puts the library in place.

"""
What a build did: returned by [`NativeCache.build`](@ref).

- `library`: path of the new library, or `nothing` if there is none
- `requested`, `compiled`, `skipped`, `failed`: collections of `MethodItem`; every
  requested method is in exactly one of the other three
- `seconds`, `bytes`: what it took, and how large the library is
- `message`: why there is no library
- `statistics`: figures of the worker by name
- `layers`: the layers of the profile that it was made of; `others`: those that there are besides
- `sources`: the test suites and scripts that were run for it, see [`NativeCache.Source`](@ref)
"""
struct BuildResult
    package::String
    library::Union{Nothing,String}
    requested::Vector{MethodItem}
    compiled::Vector{MethodItem}
    skipped::Vector{MethodItem}
    failed::Vector{MethodItem}
    seconds::Float64
    bytes::Int
    message::String
    statistics::Dict{String,Float64}
    layers::Vector{String}
    others::Vector{String}
    sources::Vector{Source}
end

# ---- one build ----

struct Job
    packages::Vector{PkgId}
    statements::Vector{String}
    linker::String
    timeout::Float64
    memory::Int
    keep::Bool
    progress::Progress
    compare::Union{Nothing,String}      # a library: build the same again, compare, and leave it
    split::Bool                         # only find out which of the packages each statement needs
end

Job(packages, statements, linker, timeout, memory, keep, progress) =
    Job(packages, statements, linker, timeout, memory, keep, progress, nothing)
Job(packages, statements, linker, timeout, memory, keep, progress, compare) =
    Job(packages, statements, linker, timeout, memory, keep, progress, compare, false)

"The build as a whole came to nothing."
struct Failure
    message::String
end

"The worker's report, the library's place, its size."
struct Success
    library::String
    bytes::Int
    items::Vector{Pair{String,MethodItem}}      # bucket => method
    statistics::Dict{String,Float64}
    different::Vector{Int}      # numbers of the functions that came out differently from `job.compare`
    lasting::Dict{Int,Tuple{String,Vector{PkgId}}}      # statement number => its lasting text, whose it is
    milliseconds::Dict{Int,Float64}                     # statement number => what inferring it took
end

const WORKER_LIBRARY = normpath(joinpath(SOURCES, "..", "deps", "lib", "libnativecache_worker.so"))

# A worker that dies is started again without the culprit; each of these many at most.
const MAX_CULPRITS = 100

function run_native_job(job::Job)
    isfile(WORKER_LIBRARY) || return Failure(string(
        WORKER_LIBRARY, " is missing: run Pkg.build(\"NativeCache\") or deps/build.jl"))
    Base.JLOptions().use_compiled_modules == 0 && return Failure(
        "this session runs with --compiled-modules=no, so its packages have no build id to keep code for")
    work = work_folder(job.keep)
    try
        return run_workers(job, work.path)
    finally
        job.keep && @info "NativeCache: the work folder is kept" folder = work.path
        leave(work; keep = job.keep)
    end
end

# The engine of this Julia says how a job is run.
run_job(job::Job) = VERSION < v"1.6" ? run_native_job(job) : run_companion_job(job)

"Start workers until one comes through; each that dies names a culprit, which the next leaves out."
function run_workers(job::Job, work::String)
    place(name) = joinpath(work, name)
    with_failing_writes(() -> write(place("statements"), join(string(escape_field(text), '\n') for text in job.statements)))
    decided = join(string(number, '\t', NAMES_MAIN, "\t\n") for (number, text) in enumerate(job.statements) if names_main(text))
    excluded = 0        # size of the list of what the code generator dies of
    mode = "normal"
    for attempt in 1:MAX_CULPRITS
        foreach(name -> rm(place(name); force = true), ("journal", "facts", "failure", "result", "library.so", "objects"))
        with_failing_writes() do
            write(place("reasons"), decided)
            write_request(job, work, mode)
        end
        update(job.progress, mode == "isolate" ? "looking for what the compiler dies of" :
            attempt == 1 ? "starting" : "starting again")
        process, stuck = run_worker(job, work)
        if success(process)
            job.split && return read_lasting(place("lasting"))
            mode == "normal" && return collect_success(job, work)
            found = isfile(place("exclude")) ? filesize(place("exclude")) : 0
            found > excluded || return Failure("the build process died, and the method that it dies of was not found")
            excluded, mode = found, "normal"
            continue
        end
        if isfile(place("failure"))
            said = read(place("failure"), String)
            return Failure(isempty(said) ? "the build failed, and there is no space to say why: the disk is full" : said)
        end
        memory = out_of_memory(process, stuck, place("log"))
        isempty(memory) || return Failure(string(memory, memory_advice(job)))
        how = string(stuck ? "stopped after $(job.timeout) s without progress" :
            process.termsignal == 0 ? "exit code $(process.exitcode)" : "signal $(process.termsignal)",
            ": ", last_words(place("log")))
        step, number = last_step(place("journal"))
        if step in ("statement", "infer") && 1 <= number <= length(job.statements)
            decided = string(decided, number, '\t', COMPILER_ABORTED, '\t', escape_field(how), '\n')
            mode = "normal"
        elseif mode == "normal" && step in ("emit", "optimise")
            mode = "isolate"
        else
            return Failure(string("the build process died", isempty(step) ? "" : " in step `$step`", ", ", how))
        end
    end
    return Failure(string("the build process died ", MAX_CULPRITS, " times"))
end

# Codes of `Reason` in rust/store.
const NAMES_MAIN = 201
const COMPILER_ABORTED = 210

function write_request(job::Job, work::String, mode::String)
    open(joinpath(work, "request"), "w") do io
        escaped(value) = @mutation("lines: paths have no tabs", escape_field(string(value)), string(value))
        line(key, values...) = println(io, key, '\t', join(escaped.(values), '\t'))
        line("output", joinpath(work, "library.so"))
        line("workdir", work)
        for name in ("journal", "statements", "reasons", "result", "exclude")
            line(name, joinpath(work, name))
        end
        line("mode", mode)
        line("linker", job.linker)
        job.compare === nothing ? line("objects", held_objects(job.packages)) : line("compare", job.compare)
        line("opt", Base.JLOptions().opt_level)
        for id in job.packages
            line("package", id.name, uuid_text(id))
        end
    end
    open(joinpath(work, "worker"), "w") do io
        line(key, values...) = println(io, key, '\t', join(escape_field.(string.(values)), '\t'))
        line("library", WORKER_LIBRARY)
        line("parent", getpid())
        line("memory", job.memory)
        # A session has NativeCache among its modules: so must the process that stands for it.
        here = Base.root_module_key(@__MODULE__)
        here.uuid === nothing || line("load", uuid_text(here), here.name)
        for id in job.packages
            id == here || line("load", uuid_text(id), id.name)
            line("wanted", uuid_text(id), id.name)
        end
        job.split && line("only", "split")
    end
end

uuid_text(id::PkgId) = string(something(id.uuid, UUID(0)))

"The command that starts Julia as this session was started, as far as code depends on it."
function julia_command()
    VERSION < v"1.6" || return companion_julia_command()
    options = Base.JLOptions()
    flags = String["-C$(unsafe_string(options.cpu_target))", "-J$(unsafe_string(options.image_file))",
        "-O$(options.opt_level)", "-g$(options.debug_level)"]
    options.check_bounds == 0 || push!(flags, options.check_bounds == 1 ? "--check-bounds=yes" : "--check-bounds=no")
    options.can_inline == 0 && push!(flags, "--inline=no")
    options.fast_math == 0 || push!(flags, options.fast_math == 1 ? "--math-mode=fast" : "--math-mode=ieee")
    options.polly == 0 && push!(flags, "--polly=no")
    options.depwarn == 0 || push!(flags, options.depwarn == 1 ? "--depwarn=yes" : "--depwarn=error")
    project = Base.active_project(false)
    project === nothing || push!(flags, "--project=$project")
    julia = joinpath(Sys.BINDIR, Base.julia_exename())
    return `$julia $flags --startup-file=no --history-file=no --color=no`
end

"The session's load path and depots, for a process that must find the same packages."
function julia_environment()
    load_path = copy(LOAD_PATH)
    here = Base.root_module_key(@__MODULE__)
    Base.locate_package(here) === nothing && push!(load_path, dirname(dirname(SOURCES)))
    # In the environment an empty entry means the defaults, and none means none.
    environment = copy(ENV)
    environment["JULIA_LOAD_PATH"] = join(load_path, Sys.iswindows() ? ';' : ':')
    environment["JULIA_DEPOT_PATH"] = join(DEPOT_PATH, Sys.iswindows() ? ';' : ':')
    environment["JULIA_NATIVECACHE"] = "off"
    environment["NATIVECACHE_BUILDS"] = "1"      # for @workload, in packages that are precompiled on the way
    # No matter how many the session has: what reads the number is not kept (rust/native/worker/src/reads_state.rs, made_at_init.rs),
    # and a process that forks children for its parts must have one.
    environment["JULIA_NUM_THREADS"] = "1"
    delete!(environment, "JULIA_PROJECT")
    return environment
end

function run_worker(job::Job, work::String)
    script = joinpath(SOURCES, "processes", "worker.jl")
    command = setenv(`$(julia_command()) $script $work`, julia_environment())
    journal = joinpath(work, "journal")
    now() = time_ns() / 1e9     # unlike time(), never set back
    seen, since = 0, now()
    return watch(command, joinpath(work, "log")) do
        tick(job.progress)
        size = isfile(journal) ? filesize(journal) : 0
        size == seen && return now() - since > job.timeout
        seen, since = size, now()
        follow!(job.progress, journal, job.statements)
        return false
    end
end

"""
Run a command with its output in the file `log`, and wait for it: the process, and whether it was stopped because
`is_stuck()` was true. That is asked every 50 ms. It does not outlive an exception here, Ctrl-C included.
"""
function watch(is_stuck, command::Cmd, log::String)
    process = open(log, "w") do io
        run(pipeline(command; stdin = devnull, stdout = io, stderr = io); wait = false)
    end
    stuck = false
    try
        while process_running(process)
            sleep(0.05)
            if !stuck && is_stuck()
                stuck = true
                kill(process, Base.SIGKILL)
            end
        end
    catch
        kill(process, Base.SIGKILL)
        wait(process)
        rethrow()
    end
    wait(process)
    return process, stuck
end

"What says that the worker ran out of memory, which is no method's fault; empty if nothing does."
function out_of_memory(process, stuck::Bool, log::String)
    # Linux kills what takes too much with this signal, and so may the one who runs a container.
    process.termsignal == Base.SIGKILL && !stuck &&
        return "the build process was killed (signal 9), as the system does when memory runs out"
    said = match(r"OutOfMemoryError|[^\n]*(?:out of memory|Cannot allocate memory|bad_alloc|memory allocation of)[^\n]*"i,
        isfile(log) ? read(log, String) : "")
    return said === nothing ? "" : string("the build process ran out of memory: ", strip(said.match))
end

memory_advice(job::Job) = job.memory == 0 ? "; close other programs or build on a larger machine" :
    string("; it may use ", size_text(job.memory), ", says the setting `memory`")

"The last line of the journal: what was in flight."
function last_step(journal::String)
    isfile(journal) || return ("", 0)
    words = split(split(chomp(read(journal, String)), '\n')[end])
    isempty(words) && return ("", 0)
    return (String(words[1]), length(words) < 2 ? 0 : something(tryparse(Int, words[2]), 0))
end

"The end of what the worker printed, on one line."
function last_words(log::String)
    isfile(log) || return "it printed nothing"
    text = read(log, String)
    lines = [strip(line) for line in split(text, '\n') if !isempty(strip(line))]
    isempty(lines) && return "it printed nothing"
    # What an aborting Julia says first is what matters; the rest is its stack.
    at = findfirst(line -> occursin(r"^signal \(\d+\)|^ERROR|LLVM ERROR|Assertion|terminate called", line), lines)
    first = at === nothing ? max(1, length(lines) - 2) : max(1, at - 1)
    said = join(lines[first:min(end, first + 2)], "; ")
    return length(said) > 600 ? string(SubString(said, 1, thisind(said, 600)), "...") : said
end

# ---- the result ----

"Lines \"bucket\\tcode\\tstatement\\tdetail\" of libnativecache, as bucket => MethodItem."
function parse_entries(text::AbstractString)
    items = Pair{String,MethodItem}[]
    for line in split(text, '\n'; keepempty = false)
        fields = fields_of(line)
        (length(fields) < 3 || fields[1] == "stat") && continue
        code = something(tryparse(Int, fields[2]), 0)
        detail = length(fields) < 4 ? "" : fields[4]
        push!(items, fields[1] => MethodItem(fields[3], code == 0 ? nothing : reason_name(code), detail))
    end
    return items
end

function collect_success(job::Job, work::String)
    temporary = joinpath(work, "library.so")
    isfile(temporary) || return Failure("the build process ended well but left no library")
    facts = fields_of.(readlines(joinpath(work, "facts")))
    key = only(line[2] for line in facts if line[1] == "key")
    builds = Pair{PkgId,UInt64}[]
    for id in job.packages
        line = only(line for line in facts if line[1] == "package" && line[2] == uuid_text(id) && line[3] == id.name)
        push!(builds, id => parse(UInt64, line[4]; base = 16))
    end
    for (id, number) in builds
        has_build_id(id, number) || return Failure(string("package ", id.name,
            " is not precompiled, so each session has another version of it"))
    end
    result = read(joinpath(work, "result"), String)
    statistics = Dict{String,Float64}()
    for line in split(result, '\n'; keepempty = false)
        fields = fields_of(line)
        fields[1] == "stat" && length(fields) >= 3 &&
            (statistics[fields[2]] = something(tryparse(Float64, fields[3]), NaN))
    end
    bytes = filesize(temporary)
    library = job.compare === nothing ? put_into_store(temporary, work, key, builds) : job.compare
    job.compare === nothing && put_objects(work, key, job.packages)
    retire(builds[1].first)
    job.compare === nothing && keep_within_cap()
    return Success(library, bytes, parse_entries(result), statistics, compared(result), read_lasting(joinpath(work, "lasting")),
        read_times(joinpath(work, "times")))
end

"What the worker found the statements to be: number => (lasting text, the packages it needs)."
function read_lasting(path::String)
    found = Dict{Int,Tuple{String,Vector{PkgId}}}()
    isfile(path) || return found
    for line in eachline(path)
        fields = fields_of(line)
        ids = PkgId[]
        for field in fields[3:end]
            name, uuid = rsplit(field, ' '; limit = 2)
            value = parse(UInt128, uuid; base = 16)
            push!(ids, value == 0 ? PkgId(name) : PkgId(UUID(value), name))
        end
        found[parse(Int, fields[1])] = (fields[2], ids)
    end
    return found
end

function read_times(path::String)
    isfile(path) || return Dict{Int,Float64}()
    return Dict(parse(Int, number) => parse(Int, microseconds) / 1e3
                for (number, microseconds) in split.(readlines(path), '\t'))
end

"The numbers in lines \"function\\tnumber\" of the worker."
compared(result) = Int[parse(Int, line[10:end]) for line in split(result, '\n') if startswith(line, "function\t")]

"Is this build of the package one that a later session will load again?"
function has_build_id(id::PkgId, number::UInt64)
    haskey(Base.loaded_modules, id) && Base.module_build_id(Base.loaded_modules[id]) == number && return true
    for path in Base.find_all_in_cache_path(id)
        found = try
            Base.parse_cache_header(path)[1]
        catch
            continue
        end
        (id => number) in found && return true
    end
    return false
end

function finish(job::Job, outcome::Failure, elapsed::Float64)
    requested = MethodItem.(job.statements)
    failed = [MethodItem(text, :BuildFailed, outcome.message) for text in job.statements]
    return BuildResult(name_of(job), nothing, requested, MethodItem[], MethodItem[], failed,
        elapsed, 0, outcome.message, Dict{String,Float64}(), String[], String[], Source[])
end

function finish(job::Job, outcome::Success, elapsed::Float64)
    bucket(name) = MethodItem[item for (which, item) in outcome.items if which == name]
    return BuildResult(name_of(job), outcome.library, MethodItem.(job.statements), bucket("compiled"),
        bucket("skipped"), bucket("failed"), elapsed, outcome.bytes, "", outcome.statistics, String[], String[], Source[])
end

name_of(job::Job) = join((id.name for id in job.packages), ", ")
