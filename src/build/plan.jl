# `build`: which packages get a library, and from which statements. build.jl builds one library.

"""
    NativeCache.build(package; from, statements, quiet, linker, timeout, keep) -> BuildResult
    NativeCache.build(packages; ...) -> BuildResults
    NativeCache.build("script.jl"; ...) -> ScriptResult
    NativeCache.build(; ...) -> BuildResults

Compile the methods in a package's profile into a library. Later sessions link the library when they load
the package.

By default `build` uses all layers of the profile (see [`NativeCache.profile`](@ref)); the result names
them. `from` and `statements` choose other methods:

- `from = :tests` runs the package's `test/runtests.jl`, in the environment that `Pkg.test` makes, or with
  this session's load path if the package belongs to no project. If the test suite fails, `build` uses what
  it compiled until then, and the result's `sources` show the failure.
- `from = "script.jl"` runs a script.
- `from = :precompile` records what the package's own `precompile` statements ask for.
- `from = :trace`, or the name of another layer, uses that layer as it is.
- A list combines several of these.
- `statements` is a file of `precompile(...)` lines, as `julia --trace-compile=FILE` writes it, or a
  collection of signatures: `Tuple{typeof(f), Int}`, `(f, (Int,))`, or text.

What was run or given is stored as a layer, so later builds use it too.

A script's path in place of a package builds what of the script can be compiled before it runs, and
what sessions needed that ran it by [`NativeCache.include`](@ref).

`package` is a name, a module or a `PkgId`. If several packages are given, each gets a library, and there is
another one for methods that need some of them together. Without `package`, `build` uses the direct
dependencies of the active project.

Separate processes do the work, with this session's project, load path, depot and code-relevant flags. A
terminal shows the progress. If anything fails, the old library stays. A mistake of the caller throws an
`ArgumentError`. A problem of the machine (no linker, a depot that cannot be written to, a package that does
not load) gives a result with `library === nothing`, in which every method has failed. Its `message` is also
shown as a warning unless `quiet` is set.

`linker` is the C compiler driver that links (default `cc`). `timeout` is the number of seconds that one step
may take (900; a test suite or script may take four times as long). `keep` keeps the work folder. These are
settings, too: see [`NativeCache.settings`](@ref).

# Example

    julia> NativeCache.build("MyPackage"; from = :tests)
    MyPackage: 212 of 240 methods compiled in 14.2 s, 1.9 MB
    ...
"""
function build(package = nothing; from = nothing, statements = nothing, quiet::Bool = false, linker = nothing,
               timeout = nothing, keep = nothing)
    options = Options(linker = linker, timeout = timeout, keep = keep, quiet = quiet)
    if VERSION < v"1.6" && is_script(package)
        (from === nothing && statements === nothing) || throw(ArgumentError("from, statements: a script is built from what its own sessions needed"))
        return build_script(package, options)
    end
    several = package === nothing || package isa Union{AbstractVector,Tuple}
    ids = package === nothing ? project_packages() : package_ids(package)
    given = statements === nothing ? nothing : given_statements(statements)
    (from === nothing || given === nothing) || throw(ArgumentError(
        "from, statements: give only one of them; each is stored as a layer, which `from` can name later"))
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

"The options of one call of `build`, which all its libraries share."
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
What the builds of several packages did: a vector of `BuildResult`. `unknown` holds the packages without a
profile, for which nothing was built.
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
    isempty(results.unknown) || print(io, isempty(results) ? "" : "\n", "nothing to compile, since there is no profile: ",
        join((id.name for id in results.unknown), ", "))
end

"The last lines of a shown result: the layers and sources that were used."
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

"Record what a package asks for or runs while it is precompiled, unless it does neither or its profile has it already."
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
    return string("no statements: there is no profile for ", id.name, " yet. Use it in a session with NativeCache, or give ",
        "`from = :tests`, a script or `statements = FILE`, where `julia --trace-compile=FILE script.jl` has written FILE")
end

# ---- several libraries ----

# More builds at a time would run out of memory.
const MOST_BUILDS = 8
const MEMORY_OF_A_BUILD = 2^30

"How many builds may run at a time: one per core, as far as there is memory for them."
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

"Options for one of `count` builds. Builds that run at the same time cannot share the progress line, so they log."
beside(options::Options, count::Int) = count == 1 || options.progress.mode === :none ? options :
    Options(options.linker, options.timeout, options.memory, options.keep, Progress(:log), options.quiet)

"""
The results of `build_one` for the sets of packages, in order, without `nothing`. A small build spends most of its time on
starting Julia and loading packages, in one process. So as many builds run at a time as there are cores.
"""
function build_sets(build_one, sets::Vector{Vector{PkgId}})
    results = Vector{Union{Nothing,BuildResult}}(nothing, length(sets))
    # Sets with a package that has to be precompiled come first, one at a time. Otherwise two builds could both precompile a
    # package that they share, and one of them would build for an image that the other has replaced.
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
        # Ctrl-C, or an exception that no build should throw: stop the other builds and their processes.
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

"The outcome of a build. An exception becomes a `Failure`."
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

"Store statements that were given as a layer; record in the other layers what each method cost."
function keep_statements(ids, given, texts, used, outcome::Success)
    # Parts that were taken from an earlier build took no time now; that build has recorded their cost.
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

"One list of statements for several packages: find out first which packages each statement needs."
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
        # A method that does not exist is reported with the first package.
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


"The direct dependencies of the active project, except packages that come with Julia."
function project_packages()
    project = Base.active_project()
    (project === nothing || !isfile(project)) && throw(ArgumentError(
        "no package was given and there is no active project; give a package, or activate a project"))
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
    isempty(ids) && throw(ArgumentError(string("the active project ", project, " has no dependencies except packages that come with Julia")))
    return ids
end
