# Where a profile can come from besides sessions: a package's test suite, a script, and what the package
# itself asks for while it is precompiled. Each runs in a process of its own, without cached code, so that
# it compiles all that it needs, with runner.jl in front.

"""
What was run for a build: an item of a `BuildResult`'s `sources`.

- `name`: what it was; `layer`: the layer of the profile that it has written
- `passed`: whether it ended as it should; a test suite that fails has compiled something all the same
- `methods`: how many methods it needs of the packages that it was run for
- `seconds`: how long it ran; `message`: what went wrong, if something did
"""
struct Source
    name::String
    layer::String
    passed::Bool
    methods::Int
    seconds::Float64
    message::String
end

const RUNNER = joinpath(SOURCES, VERSION < v"1.6" ? "processes" : "companion", "runner.jl")

"Layers that one call of `build` has begun to write: the first source replaces, the others add."
const Begun = Set{Tuple{Vector{PkgId},String}}

"""
Run what `from` names for these packages: the names of the layers that it stands for, and what was run.
"""
function run_sources(ids::Vector{PkgId}, from, progress::Progress, timeout::Float64)
    names, sources, begun = String[], Source[], Begun()
    for one in (from isa Union{Symbol,AbstractString} ? (from,) : from)
        if one in (:tests, :precompile)
            push!(names, string(one))
            run_one, doing = one === :tests ? (run_tests, "running the tests of") : (run_precompile, "precompiling")
            for id in ids
                update(progress, "$doing $(id.name)")
                push!(sources, run_one(id, begun, progress, timeout))
            end
        elseif one isa AbstractString && (isfile(one) || endswith(one, ".jl"))
            isfile(one) || throw(ArgumentError(string("from: there is no file ", repr(String(one)))))
            push!(names, "script")
            update(progress, "running $(basename(one))")
            push!(sources, run_script(ids, abspath(one), begun, progress, timeout))
        elseif one isa Union{Symbol,AbstractString}
            occursin(r"^[a-z0-9]+$", string(one)) || throw(ArgumentError(string("from: ", repr(one),
                " is neither a script nor a layer; layers are ", join(LAYERS, ", "))))
            push!(names, string(one))
        else
            throw(ArgumentError(string("from: expected `:tests`, `:precompile`, another layer, the path of a script, ",
                "or a list of those, got ", repr(one))))
        end
    end
    return unique!(names), sources
end

focus_text(id::PkgId) = string(id.name, '\t', id.uuid === nothing ? "" : replace(string(id.uuid), '-' => ""))

"Run a command with runner.jl's variables; what it has compiled goes into the profiles of `ids`."
function run_source(command::Cmd, ids::Vector{PkgId}, name::String, layer::String, from::String, begun::Begun,
                    progress::Progress, timeout::Float64; environment = julia_environment(), dir = pwd())
    folder = mktempdir(; prefix = "nativecache-run-")
    started = time()
    try
        for (key, value) in ("LIBRARY" => LIBRARY, "FOLDER" => folder, "LAYER" => layer, "FROM" => from,
                             "FOCUS" => join(focus_text.(ids), ';'))
            environment["NATIVECACHE_RUN_$key"] = value
        end
        log = joinpath(folder, "log")
        process, stuck = watch(setenv(command, environment; dir = dir), log) do
            tick(progress)
            time() - started > timeout
        end
        passed = success(process)
        message = passed ? "" : string(stuck ? "stopped after $timeout s" : process.termsignal == 0 ?
            "exit code $(process.exitcode)" : "signal $(process.termsignal)", ": ", last_words(log))
        isfile(joinpath(folder, "started")) || return nothing, message
        methods = 0
        for number in eachindex(ids)
            out = joinpath(folder, string(number))
            said = joinpath(folder, "$number.said")
            if !isdir(out)
                message = string(message, isempty(message) ? "" : "; ", "nothing of ", ids[number].name, " was noted",
                    isfile(said) ? string(": ", read(said, String)) : ": it did not come to its end")
                continue
            end
            for entry in readdir(out), found in folder_layers(joinpath(out, entry))
                owners = sort(found.packages; by = package_folder)
                # What needs packages that nobody asked for, such as those that only the tests load, is left.
                issubset(owners, ids) || continue
                text = string(read(found.path, String), "# status: ", passed ? "passed" : "failed", '\n')
                put_layer(owners, layer, text; mode = (owners, layer) in begun ? ADD : REPLACE)
                push!(begun, (owners, layer))
                methods += length(found.entries)
            end
        end
        return Source(name, layer, passed, methods, time() - started, message), message
    finally
        rm(folder; recursive = true, force = true)
    end
end

not_run(name, layer, message) = Source(name, layer, false, 0, 0.0, message)

# ---- test suites ----

"""
A package of the active project is tested by `Pkg.test`, in the environment that this makes. Any other
one, and any one for which Pkg cannot make an environment, is tested with the session's own load path.
"""
function run_tests(id::PkgId, begun::Begun, progress::Progress, timeout::Float64)
    name = "tests of $(id.name)"
    entry = Base.locate_package(id)
    entry === nothing && return not_run(name, "tests", "$(id.name) is not found in this session's load path")
    root = dirname(dirname(entry))
    file = joinpath(root, "test", "runtests.jl")
    isfile(file) || return not_run(name, "tests", "$(id.name) has no test/runtests.jl")
    from = "test/runtests.jl"
    problem = ""
    project = Base.active_project()
    if project !== nothing && isfile(project) && Base.manifest_uuid_path(project, id) isa String
        code = """
            using Pkg
            Pkg.test(PackageSpec(name = $(repr(id.name)), uuid = $(repr(string(id.uuid))));
                     julia_args = ["-L", $(repr(RUNNER)), "--startup-file=no"])
            """
        environment = julia_environment()
        environment["JULIA_LOAD_PATH"] = join(["@", "@stdlib"], ':')
        source, problem = run_source(`$(julia_command()) -e $code`, [id], name, "tests", from, begun, progress, timeout;
            environment = environment)
        source === nothing || return source
    end
    environment = julia_environment()
    folder = dirname(file)
    # As Pkg does: a project of the tests' own goes first.
    isfile(joinpath(folder, "Project.toml")) &&
        (environment["JULIA_LOAD_PATH"] = string(folder, ':', environment["JULIA_LOAD_PATH"]))
    source, message = run_source(`$(julia_command()) -L $RUNNER $file`, [id], name, "tests", from, begun, progress, timeout;
        environment = environment, dir = folder)
    isempty(problem) || (problem = "Pkg.test could not run them ($problem), so they ran with this session's load path")
    source === nothing && return not_run(name, "tests", isempty(problem) ? message : "$problem; $message")
    isempty(problem) && return source
    return Source(source.name, source.layer, source.passed, source.methods, source.seconds,
        isempty(source.message) ? problem : "$problem; $(source.message)")
end

# ---- scripts ----

function run_script(ids::Vector{PkgId}, path::String, begun::Begun, progress::Progress, timeout::Float64)
    source, message = run_source(`$(julia_command()) -L $RUNNER $path`, ids, basename(path), "script", basename(path),
        begun, progress, timeout)
    return source === nothing ? not_run(basename(path), "script", message) : source
end

# ---- what the package asks for while it is precompiled ----

"""
Precompile the package once more, into a file that is thrown away, and note what that infers or compiles:
its `precompile` statements, those for methods of Base and other packages included, which its .ji does
not keep, and what it runs.
"""
function run_precompile(id::PkgId, begun::Begun, progress::Progress, timeout::Float64)
    name = "precompilation of $(id.name)"
    entry = Base.locate_package(id)
    entry === nothing && return not_run(name, "precompile", "$(id.name) is not found in this session's load path")
    uuid = id.uuid === nothing ? (UInt64(0), UInt64(0)) : convert(NTuple{2,UInt64}, id.uuid)
    folder = mktempdir(; prefix = "nativecache-precompile-")
    # As Base.create_expr_cache does it.
    script = joinpath(folder, "precompile.jl")
    write(script, """
        $(Base.load_path_setup_code())
        Base._track_dependencies[] = true
        Base.include(Main, $(repr(RUNNER)))
        pop!(Base.atexit_hooks)
        ccall(:jl_set_module_uuid, Cvoid, (Any, NTuple{2,UInt64}), Base.__toplevel__, $uuid)
        ccall(NativeCacheRunner.symbol("nativecache_trace_mark"), Cvoid, ())
        Base.include(Base.__toplevel__, $(repr(abspath(entry))))
        ccall(:jl_set_module_uuid, Cvoid, (Any, NTuple{2,UInt64}), Base.__toplevel__, (UInt64(0), UInt64(0)))
        NativeCacheRunner.ended()
        ccall(:_exit, Cvoid, (Cint,), 0)
        """)
    command = `$(julia_command()) -O0 --output-ji $(joinpath(folder, "thrown.ji")) --output-incremental=yes $script`
    try
        source, message = run_source(command, [id], name, "precompile", "precompilation", begun, progress, timeout)
        return source === nothing ? not_run(name, "precompile", message) : source
    finally
        rm(folder; recursive = true, force = true)
    end
end
