# build: which packages, and of what their libraries are made. build.jl makes one of them.

"""
    NativeCache.build(package; from, statements, quiet, linker, timeout, keep) -> BuildResult
    NativeCache.build(packages; ...) -> BuildResults
    NativeCache.build(; ...) -> BuildResults

Compile what is known to be needed of a package into a library, which later sessions link when they
load the package.

With nothing said that is all layers of the package's profile (see [`NativeCache.profile`](@ref)); the
result says which. `from` and `statements` say it otherwise:

- `from = :tests` runs the package's `test/runtests.jl`, in the environment that `Pkg.test` makes, or with
  this session's load path for a package that no project has. A test suite that fails still yields what
  it compiled; the result's `sources` say that it failed.
- `from = "script.jl"` runs a script.
- `from = :precompile` notes what the package's own `precompile` statements ask for.
- `from = :trace`, or another layer's name: that layer as it is. A list combines.
- `statements`: a file of `precompile(...)` lines, as `julia --trace-compile=FILE` writes it, or a
  collection of signatures: `Tuple{typeof(f), Int}`, `(f, (Int,))`, or text.

Each of them becomes a layer, so that later builds have it.

`package` is a name, a module or a `PkgId`. Several, or the active project's if none is named, get a
library each, and one for what only exists when some of them are loaded together.

The work is done by processes of their own with this session's project, load path, depot and
code-relevant flags. Progress is shown on a terminal. If anything fails, the library that
was there stays. What the caller got wrong is an `ArgumentError`; what went wrong on the
machine (no linker, a depot that cannot be written to, a package that does not load) is a
result with `library === nothing`, every method failed, and a `message`, which is also
shown as a warning unless `quiet`.

`linker` is the C compiler driver that links (default `cc`), `timeout` the seconds that one
step may take (900; a test suite or script has four times as long), `keep` leaves the work folder for a
look into it. They are settings too: see [`NativeCache.settings`](@ref).

# Example

    julia> NativeCache.build("MyPackage"; from = :tests)
    MyPackage: 212 of 240 methods compiled in 14.2 s, 1.9 MB
    ...
"""
function build(package = nothing; from = nothing, statements = nothing, quiet::Bool = false, linker = nothing,
               timeout = nothing, keep = nothing)
    several = package === nothing || package isa Union{AbstractVector,Tuple}
    ids = package === nothing ? project_packages() : package_ids(package)
    given = statements === nothing ? nothing : given_statements(statements)
    (from === nothing || given === nothing) || throw(ArgumentError(
        "from, statements: give one of them; the other's layer is kept and can be named in `from` later"))
    options = Options(linker = linker, timeout = timeout, keep = keep, quiet = quiet)
    chosen, sources = nothing, Source[]
    try
        if from !== nothing
            chosen, sources = run_sources(ids, from, options.progress, 4 * options.timeout)
        elseif given === nothing
            foreach(id -> append!(sources, own_statements(id, options)), ids)
        end
    finally
        done(options.progress)
    end
    if !several
        result = build_set(ids, given, chosen, sources, options)
        result === nothing && throw(ArgumentError(nothing_known(ids[1], chosen, sources)))
        return result
    end
    given === nothing || length(ids) == 1 || return build_split(ids, given, options)
    sets = Vector{PkgId}[[[id] for id in ids]; filter(set -> length(set) > 1 && issubset(set, ids), profiled())]
    results = build_sets(set -> build_set(set, given, chosen, sources, beside(options, length(sets))), sets)
    return BuildResults(results, filter(id -> !any(result -> result.package == id.name, results), ids))
end

"What the libraries of one call of `build` have in common."
struct Options
    linker::String
    timeout::Float64
    memory::Int
    keep::Bool
    progress::Progress
    quiet::Bool
end

Options(; linker, timeout, keep, quiet) =
    Options(setting("linker", linker), setting("timeout", timeout), setting("memory"), setting("keep", keep), Progress(quiet), quiet)

"""
What the builds of several packages did: a vector of `BuildResult`. `unknown` are the packages of which
nothing is known to be needed, so that they have none.
"""
struct BuildResults <: AbstractVector{BuildResult}
    items::Vector{BuildResult}
    unknown::Vector{PkgId}
end

Base.size(results::BuildResults) = size(results.items)
Base.getindex(results::BuildResults, i::Int) = results.items[i]

Base.show(io::IO, results::BuildResults) = print(io, "BuildResults(", length(results), " libraries)")

function Base.show(io::IO, mime::MIME"text/plain", results::BuildResults)
    for (number, result) in enumerate(results)
        number == 1 || println(io)
        show(io, mime, result)
    end
    isempty(results.unknown) || print(io, isempty(results) ? "" : "\n", "nothing is known to be needed of ",
        join((id.name for id in results.unknown), ", "))
end

"Added to how a result shows: what it was made of."
function show_layers(io::IO, result::BuildResult)
    isempty(result.layers) || print(io, "\n  layers: ", join(result.layers, ", "))
    isempty(result.others) || print(io, " (not used: ", join(result.others, ", "), ")")
    for source in result.sources
        print(io, "\n  ", source.name, ": ", methods_text(source.methods), " in ", time_text(source.seconds))
        source.passed || printstyled(io, ", failed"; color = :red)
        isempty(source.message) || print(io, ": ", source.message)
    end
end

function given_statements(statements)
    texts = read_statements(statements)
    isempty(texts) && throw(ArgumentError(string(
        "statements: ", statements isa AbstractString ? repr(String(statements)) : "the collection",
        " names no method; a line looks like `precompile(Tuple{typeof(Package.f), Int64})`")))
    return texts
end

"What a package asks for or runs while it is precompiled, if it does and its profile does not have it yet."
function own_statements(id::PkgId, options::Options)
    VERSION < v"1.6" || return Source[]     # the package's image has what it asks for
    any(layer -> layer.name == "precompile", layers_of([id])) && return Source[]
    entry = Base.locate_package(id)
    entry === nothing && return Source[]
    asks(file) = endswith(file, ".jl") && occursin(r"\bprecompile\(|\bjl_generating_output\b", read(file, String))
    any(asks(joinpath(path, file)) for (path, _, files) in walkdir(dirname(entry)) for file in files) || return Source[]
    update(options.progress, "precompiling $(id.name)")
    return [run_precompile(id, Begun(), options.progress, options.timeout)]
end

function nothing_known(id::PkgId, chosen, sources)
    isempty(sources) || all(source -> isempty(source.message), sources) ||
        return string("nothing to compile: ", join((string(s.name, ": ", s.message) for s in sources if !isempty(s.message)), "; "))
    chosen === nothing || return string("nothing to compile: the profile of ", id.name, " has no layer ", join(chosen, " or "))
    return string("no statements: nothing is known to be needed of ", id.name, " yet. Use it in a session with NativeCache, or give ",
        "`from = :tests`, a script or `statements = FILE`, where `julia --trace-compile=FILE script.jl` has written FILE")
end

# ---- several libraries ----

# More would not have the memory that they need.
const MOST_BUILDS = 8
const MEMORY_OF_A_BUILD = 2^30

"How many builds may run at a time: one for each core that has memory to work in."
function builds_at_once()
    found = try
        match(r"^MemAvailable: *([0-9]+) kB"m, read("/proc/meminfo", String))
    catch err
        err isa SystemError || rethrow()
        nothing
    end
    room = found === nothing ? MOST_BUILDS : parse(Int, found[1]) * 1024 ÷ MEMORY_OF_A_BUILD
    return clamp(min(Sys.CPU_THREADS, room), 1, MOST_BUILDS)
end

"Options for one of `count` builds: several that run at the same time have no one line to show how far they are."
beside(options::Options, count::Int) = count == 1 || options.progress.mode === :none ? options :
    Options(options.linker, options.timeout, options.memory, options.keep, Progress(:log), options.quiet)

"""
What `build_one` makes of each of the sets of packages, in their order, without `nothing`. Most of a small build is starting
Julia and loading packages, by one process: so as many builds as there are cores run at a time.
"""
function build_sets(build_one, sets::Vector{Vector{PkgId}})
    results = Vector{Union{Nothing,BuildResult}}(nothing, length(sets))
    # What has to be precompiled on the way comes first and alone: two builds would each precompile what both need, and
    # one of them would then stand for an image that the other has replaced.
    ready = findall(set -> all(id -> current_build_id(id) !== nothing, set), sets)
    for number in setdiff(eachindex(sets), ready)
        results[number] = build_one(sets[number])
    end
    left = copy(ready)
    lanes = Task[@async(while !isempty(left)
        number = popfirst!(left)
        results[number] = build_one(sets[number])
    end) for _ in 1:min(@mutation("update!: one build after the other", builds_at_once(), 1), length(ready))]
    try
        foreach(wait, lanes)
    catch err
        # Ctrl-C, or what no build should throw: the others' processes end with them.
        empty!(left)
        @mutation("update!: builds of an interrupted one go on",
            foreach(lane -> istaskdone(lane) || schedule(lane, InterruptException(); error = true), lanes), rethrow())
        for lane in lanes
            try wait(lane) catch end
        end
        rethrow(err isa TaskFailedException ? err.task.exception : err)
    end
    return BuildResult[result for result in results if result !== nothing]
end

"One library, or `nothing` if there is nothing to compile."
function build_set(ids::Vector{PkgId}, given, chosen, sources::Vector{Source}, options::Options)
    started = time_ns()
    known = layers_of(ids)
    used = given !== nothing ? Layer[] : chosen === nothing ? known : filter(layer -> layer.name in chosen, known)
    texts = given === nothing ? statements(used) : given
    isempty(texts) && return nothing
    job = Job(ids, texts, options.linker, options.timeout, options.memory, options.keep, options.progress)
    outcome = run_guarded(job)
    result = finish(job, outcome, (time_ns() - started) / 1e9)
    append!(result.layers, given === nothing ? String[layer.name for layer in used] : ["statements"])
    append!(result.others, String[layer.name for layer in known if !(layer.name in result.layers)])
    append!(result.sources, sources)
    try
        outcome isa Success && keep_statements(ids, given, texts, used, outcome)
        note_built(ids, outcome isa Success ? outcome.library : "", outcome isa Success ? "" : outcome.message)
    catch err
        err isa InterruptException && rethrow()
        options.quiet || @warn string("NativeCache: the profile of ", result.package, " could not be written: ", sprint(showerror, err)) _module=nothing _file=nothing
    end
    result.library === nothing && !options.quiet &&
        @warn string("NativeCache: no library for ", result.package, ": ", result.message) _module=nothing _file=nothing
    return result
end

"The outcome of a build; what is thrown on the way is one too."
function run_guarded(job::Job)
    try
        return run_job(job)
    catch err
        err isa InterruptException && rethrow()
        return Failure(sprint(showerror, err))
    finally
        done(job.progress)
    end
end

"Statements given by hand become a layer; the others learn what they cost."
function keep_statements(ids, given, texts, used, outcome::Success)
    # Of what was taken over from an earlier build, that one has said what it costs.
    statistic(name) = get(outcome.statistics, name, 0.0)
    compiled = statistic("parts_compiled") / max(1.0, statistic("parts"))
    share = statistic("compile_seconds") * statistic("processes") / max(compiled, 0.5) * 1e3 / max(1, length(outcome.milliseconds))
    cost(number) = compiled >= 0.5 && haskey(outcome.milliseconds, number) ?
        string("  # seen 1, last 1, ", round(outcome.milliseconds[number] + share; digits = 1), " ms") : ""
    if given !== nothing
        lasting = [get(outcome.lasting, number, (text, PkgId[]))[1] for (number, text) in enumerate(texts)]
        put_layer(ids, "statements", profile_text(ids, "statements", "given to build", lasting); mode = REPLACE)
        return nothing
    end
    measured = join(string("precompile(", text, ")", cost(number), "\n") for (number, text) in enumerate(texts))
    foreach(layer -> put_layer(layer.packages, layer.name, measured; mode = MEASURE), used)
    return nothing
end

"Several packages and one list: find out first which of them each statement needs."
function build_split(ids::Vector{PkgId}, given::Vector{String}, options::Options)
    whose = VERSION >= v"1.10" ? owners_by_name(ids, given) :
        run_guarded(Job(ids, given, options.linker, options.timeout, options.memory, false, options.progress, nothing, true))
    if whose isa Failure
        job = Job(ids, given, options.linker, options.timeout, options.memory, false, options.progress)
        options.quiet || @warn string("NativeCache: no library for ", name_of(job), ": ", whose.message) _module=nothing _file=nothing
        return BuildResults([finish(job, whose, 0.0)], PkgId[])
    end
    sets = Dict{Vector{PkgId},Vector{String}}()
    for (number, text) in enumerate(given)
        # What does not exist is reported with the first package.
        owners = number in keys(whose) ? whose[number][2] : ids[1:1]
        push!(get!(Vector{String}, sets, sort(owners; by = package_folder)), text)
    end
    order = sort!(collect(keys(sets)); by = set -> (length(set), profile_folder(set)))
    results = build_sets(set -> build_set(set, sets[set], nothing, Source[], beside(options, length(order))), order)
    return BuildResults(results, filter(id -> !any(set -> set == [id], order), ids))
end

# ---- which packages ----

package_ids(packages::Union{AbstractVector,Tuple}) =
    isempty(packages) ? throw(ArgumentError("no package: give a name, a module or a PkgId")) :
    unique!(PkgId[package_id(one) for one in packages])
package_ids(package) = PkgId[package_id(package)]

package_id(id::PkgId) = id

function package_id(mod::Module)
    root = Base.moduleroot(mod)
    root in (Main, Core, Base) && throw(ArgumentError(string(
        "module ", mod, " is not part of a package; a library belongs to a package")))
    return Base.root_module_key(root)
end

function package_id(name::Union{AbstractString,Symbol})
    text = String(name)
    id = Base.identify_package(text)
    id === nothing || return id
    for mod in Base.loaded_modules_array()      # a dependency of something loaded
        id = Base.root_module_key(mod)
        id.name == text && return id
    end
    throw(ArgumentError(string("package ", repr(text), " is not found in this session's load path; ",
        "add it to the project, or give the module or its PkgId")))
end

package_id(other) = throw(ArgumentError(string(
    "package: expected a name, a module or a PkgId, got ", repr(other), " of type ", typeof(other))))


"The direct dependencies of the active project, but for those that come with Julia."
function project_packages()
    project = Base.active_project()
    (project === nothing || !isfile(project)) && throw(ArgumentError(
        "no package is named and there is no active project; name one, or activate a project"))
    ids, inside = PkgId[], false
    for line in eachline(project)
        section = match(r"^\s*\[([^\]]*)\]", line)
        section === nothing || (inside = strip(section[1]) == "deps"; continue)
        pair = inside ? match(r"^\s*([\w.-]+)\s*=\s*\"([0-9a-fA-F-]{36})\"", line) : nothing
        pair === nothing && continue
        id = PkgId(UUID(pair[2]), pair[1])
        path = Base.locate_package(id)
        (path === nothing || startswith(path, Sys.STDLIB) || id == Base.root_module_key(@__MODULE__)) || push!(ids, id)
    end
    isempty(ids) && throw(ArgumentError(string("the active project ", project, " depends on no package but Julia's own")))
    return ids
end
