# A place of its own for each test and measurement: packages, a depot and scripts in a
# temporary folder, and fresh Julia processes that see nothing else. Used by test/ and bench/.

module Sandbox

export Box, Run, add_stdlib_copy, add_package, remove, julia, run_session, session_script, trace_session,
    traced_profile, build, median, STDLIB, ROOT, SESSIONS

const ROOT = dirname(@__DIR__)
const STDLIB = Sys.STDLIB
const SESSIONS = joinpath(@__DIR__, "sessions")

# From Julia 1.11 on: a depot with an image of NativeCache, which takes 10 s to make there.
const IMAGES = Ref("")

"A temporary folder with `packages` and `depot`; its name is one that careless code breaks on."
struct Box
    root::String
    packages::String
    depot::String
end

"`packages`: a folder that is there already, instead of one in the box."
function Box(packages = nothing)
    root = mktempdir(; prefix = "nativecache té st ")
    box = Box(root, something(packages, joinpath(root, "packages")), joinpath(root, "depot"))
    mkpath(box.packages)
    mkpath(box.depot)
    return box
end

remove(box::Box) = rm(box.root; recursive = true, force = true)

"A uuid for a fixture, the same each time, which no real package has."
uuid(name) = string("c0ffee00-0000-4000-8000-", string(hash(name) % UInt64(16)^12; base = 16, pad = 12))

"""
Put a copy of a standard library under another uuid into the box: the session then loads it
as an ordinary package, from source through a .ji file, and not from the sysimage.
"""
function add_stdlib_copy(box::Box, name)
    folder = joinpath(box.packages, name)
    cp(joinpath(STDLIB, name), folder; follow_symlinks = true)
    for (path, _, files) in walkdir(folder), file in files
        chmod(joinpath(path, file), 0o644)
    end
    project = joinpath(folder, "Project.toml")
    text = read(project, String)
    changed = replace(text, r"^uuid\s*=.*$"m => string("uuid = \"", uuid(name), '"'))
    changed == text && error("$project has no uuid to replace")
    write(project, changed)
    return name
end

"Put a package with this source into the box. `deps`: name => uuid."
function add_package(box::Box, name, source; deps = Pair{String,String}[])
    folder = joinpath(box.packages, name)
    mkpath(joinpath(folder, "src"))
    write(joinpath(folder, "src", "$name.jl"), source)
    write(joinpath(folder, "Project.toml"), string("name = \"", name, "\"\nuuid = \"", uuid(name),
        "\"\nversion = \"0.1.0\"\n\n[deps]\n", (string(dep, " = \"", id, "\"\n") for (dep, id) in deps)...))
    return name
end

"What a process did."
struct Run
    out::String
    err::String
    code::Int
    signal::Int
    seconds::Float64
end

succeeded(run::Run) = run.code == 0 && run.signal == 0

"""
Run a script in a fresh Julia that sees the box and NativeCache only.
"""
function julia(box::Box, script::AbstractString; flags = ``, options...)
    path = string(tempname(box.root; cleanup = false), ".jl")
    write(path, script)
    try
        return run_julia(box, `$flags $path`; options...)
    finally
        rm(path)
    end
end

# Seconds after which a process counts as hung: far more than any takes on the busiest machine.
const LIMIT = 1800

"""
Wait for a process that must come to its end. One that has not after `limit` seconds is killed, and the error says which that
was and what it had said.
"""
function wait_for(process, what, outputs; limit = LIMIT)
    watch = Timer(_ -> kill(process, Base.SIGKILL), limit)
    wait(process)
    hung = !isopen(watch)
    close(watch)
    hung && error("a process hung: it had not ended after $limit s and was killed\n--- command\n$what",
        ("\n--- $name\n$(read(path, String))" for (name, path) in outputs)...)
    return process
end

"""
The same with any arguments. The output goes to files, in each of the runs: what Julia
compiles depends on the kind of stream.
"""
function run_julia(box::Box, arguments::Cmd; env = Pair{String,String}[], program = julia_program(), depot = box.depot,
                   plain = false, interrupt = nothing, limit = LIMIT)
    path = tempname(box.root; cleanup = false)
    environment = Dict{String,String}(name => value for (name, value) in ENV if !startswith(name, "JULIA_"))
    environment["JULIA_LOAD_PATH"] = join([box.packages, ROOT, "@stdlib"], ':')
    # From 1.11 on the empty entry is the depot that Julia comes with, which has images of the standard libraries.
    environment["JULIA_DEPOT_PATH"] = VERSION < v"1.11" ? depot : string(depot, ':', IMAGES[], ':')
    environment["JULIA_PKG_SERVER"] = ""
    environment["JULIA_TESTS"] = "true"     # 1.12 does not say what it precompiles
    # Tests that are about tracing and building by itself switch it on.
    environment["JULIA_NATIVECACHE_TRACE"] = "no"
    environment["JULIA_NATIVECACHE_AUTO"] = "off"
    foreach(pair -> environment[pair.first] = pair.second, env)
    # `plain`: the program is not julia itself; `interrupt`: Ctrl-C as soon as this is true.
    options = plain ? `` : `--startup-file=no --history-file=no --color=no`
    command = setenv(`$program $options $arguments`, environment; dir = box.root)
    started = time_ns()
    process = run(pipeline(ignorestatus(command); stdin = devnull, stdout = "$path.out", stderr = "$path.err"); wait = false)
    if interrupt !== nothing
        while process_running(process) && !interrupt(); sleep(0.02); end
        kill(process, Base.SIGINT)
    end
    wait_for(process, command.exec, ("output" => "$path.out", "error output" => "$path.err"); limit = limit)
    seconds = (time_ns() - started) / 1e9
    result = Run(read("$path.out", String), read("$path.err", String), process.exitcode, process.termsignal, seconds)
    rm("$path.out")
    rm("$path.err")
    return result
end

julia_program() = `$(joinpath(Sys.BINDIR, Base.julia_exename()))`

"A run that must succeed."
function julia!(box::Box, script; options...)
    result = julia(box, script; options...)
    succeeded(result) || error("a process failed (exit code $(result.code), signal $(result.signal)):\n" *
        "--- script\n$script\n--- output\n$(result.out)\n--- error output\n$(result.err)")
    return result
end

# ---- sessions ----

"""
The script of a first session with a package: `body` begins with its `using` line, or with
several. At its end it says on stderr how long `using` and the rest took.
"""
function session_script(body; cached)
    lines = split(body, '\n')
    first = findfirst(line -> startswith(line, "using "), lines)
    last = first
    while startswith(lines[last+1], "using ")
        last += 1
    end
    return string(cached ? "using NativeCache\n" : "",
        "const sandbox_start = time_ns()\n", join(lines[first:last], '\n'),
        "\nconst sandbox_loaded = time_ns()\n", join(lines[last+1:end], '\n'),
        "\nconst sandbox_end = time_ns()\n",
        "println(stderr, \"sandbox times \", sandbox_loaded - sandbox_start, \" \", sandbox_end - sandbox_loaded)\n")
end

"(run, seconds of `using`, seconds of the rest)"
function run_session(box::Box, body; cached, options...)
    result = julia!(box, session_script(body; cached = cached); options...)
    times = match(r"sandbox times (\d+) (\d+)", result.err)
    return (run = result, using_seconds = parse(Int, times[1]) / 1e9, seconds = parse(Int, times[2]) / 1e9)
end

"The statements that a session compiles: (path of the trace, statements)."
function trace_session(box::Box, body; cached, options...)
    path = tempname(box.root; cleanup = false)
    run_session(box, body; cached = cached, flags = `--trace-compile=$path`, options...)
    return path, traced(path)
end

"The statements of a trace file, without `precompile(...)`."
traced(path) = String[String(line[12:prevind(line, lastindex(line))]) for line in eachline(path)
                      if startswith(line, "precompile(")]

"""
What NativeCache's tracer notes of a script that uses it, without a library: the path of a file of statements. It names
what a session's own functions call directly, too, which `--trace-compile` does not.
"""
function traced_profile(box::Box, package, script)
    julia!(box, script; env = ["JULIA_NATIVECACHE_TRACE" => "yes"])
    profiles = joinpath(box.depot, "nativecache", "v1.5", "profiles")
    folder = only(filter(name -> startswith(name, "$package-"), readdir(profiles)))
    statements = tempname(box.root; cleanup = false)
    mv(joinpath(profiles, folder, "trace.profile"), statements)
    return statements
end

# ---- builds ----

"What `NativeCache.build` made of it in a process of its own, in plain data."
struct Build
    library::Union{Nothing,String}
    buckets::Dict{String,Vector{NTuple{3,String}}}      # (statement, reason, detail)
    seconds::Float64
    bytes::Int
    message::String
    run::Run
end

Base.getindex(build::Build, bucket::String) = build.buckets[bucket]
statements(items) = first.(items)

# The process under test reports in lines of fields between tabs.
const REPORTER = raw"""
sandbox_field(x) = replace(replace(replace(string(x), '\\' => "\\\\"), '\t' => "\\t"), '\n' => "\\n")
function sandbox_report(io, result, names)
    for name in names, item in getfield(result, name)
        println(io, name, '\t', sandbox_field(item.statement), '\t', something(item.reason, ""), '\t', sandbox_field(item.detail))
    end
    println(io, "end\t", something(result.library, ""), '\t', result.seconds, '\t', result.bytes, '\t', sandbox_field(result.message))
end
"""

unescape(text) = replace(text, r"\\[\\tn]" => part -> part == "\\t" ? "\t" : part == "\\n" ? "\n" : "\\")

function read_report(path, names)
    buckets = Dict(name => NTuple{3,String}[] for name in names)
    library, seconds, bytes, message = nothing, NaN, 0, ""
    for line in eachline(path)
        fields = unescape.(split(line, '\t'))
        if fields[1] == "end"
            library = isempty(fields[2]) ? nothing : fields[2]
            seconds, bytes, message = parse(Float64, fields[3]), parse(Int, fields[4]), fields[5]
        else
            push!(buckets[fields[1]], (fields[2], fields[3], fields[4]))
        end
    end
    isnan(seconds) && error("the report is cut short")
    return library, buckets, seconds, bytes, message
end

const BUILD_BUCKETS = ("requested", "compiled", "skipped", "failed")
const STATUS_BUCKETS = ("requested", "installed", "waiting", "skipped", "rejected", "failed")

"""
Build a library for `package` (Julia source of the argument) from the statements of a trace
file or of a vector, in a process of its own.
"""
function build(box::Box, package::AbstractString, statements; keywords = "", options...)
    file = statements isa AbstractString ? statements : tempname(box.root; cleanup = false)
    statements isa AbstractString || write(file, join(statements, '\n'), '\n')
    report = tempname(box.root; cleanup = false)
    run = julia!(box, """
        using NativeCache
        $REPORTER
        result = NativeCache.build($package; statements = $(repr(file)), quiet = true, $keywords)
        open(io -> sandbox_report(io, result, $(Symbol.(BUILD_BUCKETS))), $(repr(report)), "w")
        """; options...)
    return Build(read_report(report, BUILD_BUCKETS)..., run)
end

"The status of a package after `code` in a cached session; as a `Build` with the buckets of a status."
function status(box::Box, package::AbstractString, code; options...)
    report = tempname(box.root; cleanup = false)
    run = julia!(box, """
        using NativeCache
        $code
        $REPORTER
        open(io -> sandbox_report(io, NativeCache.status($package), $(Symbol.(STATUS_BUCKETS))), $(repr(report)), "w")
        """; options...)
    return Build(read_report(report, STATUS_BUCKETS)..., run)
end

function median(values)
    sorted = sort!(collect(Float64, values))
    middle = length(sorted) ÷ 2
    return isodd(length(sorted)) ? sorted[middle+1] : (sorted[middle] + sorted[middle+1]) / 2
end

end
