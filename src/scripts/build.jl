# A script is built: the sources of its parts are written, Julia precompiles them, and what its sessions needed of them is
# compiled like what is needed of any other package.

"""
What a build of a script did: returned by [`NativeCache.build`](@ref)`("script.jl")`.

- `parts`: the libraries of its parts, and of the packages that it uses if theirs were not up to date: a
  [`NativeCache.BuildResult`](@ref) each
- `plain`: what stays in `Main` though it would have been worth compiling: `(line, why)`
- `message`: why there are no parts, or fewer than there could be
"""
struct ScriptResult
    path::String
    parts::Vector{BuildResult}
    plain::Vector{Tuple{Int,String}}
    message::String
end

is_built(result::ScriptResult) = any(is_built, result.parts)

"Is it the path of a script, not the name of a package?"
is_script(name) = name isa AbstractString && endswith(name, ".jl")

function build_script(given::AbstractString, options::Options)
    path = script_path(given)
    isfile(path) || throw(ArgumentError(string("there is no script ", repr(String(given)))))
    plans = add_plans!(ScriptPlan[], path)
    plain = reduce(vcat, stays_in_main.(plans))
    all(plan -> isempty(plan.parts), plans) && return ScriptResult(path, BuildResult[], plain, "nothing of it can be compiled before it runs")
    folders = String[]
    for plan in plans
        folder = trusted_folder(script_folder(plan.path))
        push!(folders, folder)
        put_text(joinpath(folder, "path"), path)
        for part in plan.parts
            write_part(folder, part, plans)
        end
    end
    put_text(joinpath(folders[1], "built"), "")
    append!(LOAD_PATH, folders)
    try
        update(options.progress, "precompiling the parts of $(basename(path))")
        parts = ScriptPart[part for plan in plans for part in plan.parts]
        ids = PkgId[PkgId(part.uuid, part.name) for part in parts]
        problem = precompile_parts(ids, options)
        done(options.progress)
        known = script_statements(plans)
        results = BuildResult[]
        for id in ids
            texts = get(known, id.name, String[])
            (isempty(texts) || current_build_id(id) === nothing) && continue
            result = build_set([id], sort!(unique!(texts)), nothing, Source[], options)
            result === nothing || push!(results, result)
        end
        append!(results, build_used(plans, options))
        build_own(options)
        return ScriptResult(path, results, plain, problem)
    finally
        filter!(!in(folders), LOAD_PATH)
    end
end

"The plan of a script, and those of the files that it includes, in their order; each file once."
function add_plans!(plans::Vector{ScriptPlan}, path::String, around::ScriptContext = ScriptContext(), known = known_includes(path))
    any(plan -> plan.path == path, plans) && return plans
    text = read(path, String)
    plan = plan_script(path, text, parse_script(text, path), around)
    push!(plans, plan)
    more = Pair{Int,String}[number => file for (outer, number, file) in known if outer == path && number <= length(plan.items)]
    for (number, file) in unique!(sort!([plan.includes; more]; by = first))
        isfile(file) && add_plans!(plans, file, context_at(plan, number), known)
    end
    return plans
end

"What background.jl runs for profiles that name a script or its parts."
function build_script_unattended(ids::Vector{PkgId})
    path = script_of(ids[findfirst(id -> startswith(id.name, SCRIPT_PREFIX), ids)])
    path === nothing && return true         # it has gone
    result = try
        build_script(path, Options(linker = nothing, timeout = nothing, keep = nothing, quiet = true))
    catch err
        err isa InterruptException && rethrow()
        println(path, ": ", sprint(showerror, err))
        return false
    end
    show(stdout, MIME("text/plain"), result)
    println()
    return is_built(result)
end

"The folder of a part, as of any package that an environment has by its folder."
function write_part(folder::String, part::ScriptPart, plans::Vector{ScriptPlan})
    others = ScriptPart[other for plan in plans for other in plan.parts]
    root = trusted_folder(joinpath(folder, part.name, "src"))
    project = IOBuffer()
    println(project, "name = \"", part.name, "\"\nuuid = \"", part.uuid, "\"\n\n[deps]")
    for name in packages_of(part.source)
        at = findfirst(other -> other.name == name, others)
        id = at === nothing ? Base.identify_package(name) : PkgId(others[at].uuid, name)
        id === nothing || id.uuid === nothing || println(project, name, " = \"", id.uuid, '"')
    end
    put_text(joinpath(folder, part.name, "Project.toml"), String(take!(project)))
    put_text(joinpath(root, "$(part.name).jl"), part.source)
    return nothing
end

"Written only if it differs: Julia takes a file that has been written for another one."
function put_text(path::String, text::String)
    isfile(path) && read(path, String) == text && return nothing
    return write_whole(path, text)
end

"The packages that the head of a part's source asks for."
function packages_of(source::String)
    found = String[]
    for line in eachline(IOBuffer(source))
        startswith(line, "Base.invokelatest") && break
        occursin(r"^(using|import) ", line) || continue
        ex = Meta.parse(line; raise = false)
        for arg in ex.args
            path = is_block(arg, :(:)) ? arg.args[1] : arg
            is_block(path, :.) && path.args[1] isa Symbol && path.args[1] !== :. && push!(found, String(path.args[1]))
        end
    end
    return unique!(found)
end

"Precompile the parts in a process of their own; what went wrong, or an empty text."
function precompile_parts(ids::Vector{PkgId}, options::Options)
    requires = join(string("try; Base.require(Base.PkgId(Base.UUID(", repr(string(id.uuid)), "), ", repr(id.name),
        ")); catch err; println(stderr, ", repr(id.name), ", \": \", sprint(showerror, err)); end\n") for id in ids)
    folder = mktempdir(; prefix = "nativecache-script-")
    log = joinpath(folder, "log")
    started = time()
    try
        process, stuck = watch(setenv(`$(julia_command()) -e $requires`, julia_environment()), log) do
            tick(options.progress)
            time() - started > options.timeout
        end
        stuck && return "precompiling its parts was stopped after $(options.timeout) s"
        said = read(log, String)
        return success(process) && !occursin(SCRIPT_PREFIX, said) ? "" : last_words(log)
    finally
        rm(folder; recursive = true, force = true)
    end
end

"Libraries of the packages that the script asks for, where they are not up to date: without them it would not start warm."
function build_used(plans::Vector{ScriptPlan}, options::Options)
    names = Set{String}()
    for plan in plans, (_, text) in plan.usings
        union!(names, packages_of(text))
    end
    of_script(ids) = any(id -> startswith(id.name, SCRIPT_PREFIX), ids)
    sets = Vector{PkgId}[ids for (ids, _) in stale() if !of_script(ids) && any(id -> id.name in names, ids)]
    return build_sets(set -> build_set(set, nothing, nothing, Source[], beside(options, length(sets))), sets)
end

"""
The library of NativeCache itself, if there is none: what reads a script and loads its parts would else be compiled in each
run, for longer than many a script.
"""
function build_own(options::Options)
    id = Base.root_module_key(@__MODULE__)
    isempty(staleness([id])) && return nothing
    update(options.progress, "compiling NativeCache itself")
    compile_runs()
    trace_session()         # what this build has compiled to read the script
    build_set([id], nothing, nothing, Source[], options)
    return nothing
end

"""
Compile what a run of a script calls and a build does not, so that the trace has it. Not by `precompile` statements of the package:
its image would hold the inferred code, and each session would load it for 250 ms.
"""
function compile_runs()
    for (f, types) in ((include, (String,)), (begin_script, (String,)), (run_script, (ScriptRun,)), (load_part, (ScriptRun, Int)), (part_module, (ScriptRun, Int)),
                       (load_image, (PkgId, String)), (documentation, (Expr, Symbol)), (documentation, (Expr, Nothing)), (with_includes, (Expr,)),
                       (remember_include, (String, ScriptRun, String)), (context_at, (ScriptPlan, Int)), (run_program, ()), (run_test_suite, ()))
        precompile(f, types)
    end
    foreach(type -> precompile(replacement, (ScriptRun, LineNumberNode, type)), (Expr, Symbol, Int, String, Nothing))
    return nothing
end

# ---- which methods ----

"Statements by part: what sessions needed that ran the script as it is, and with parts of earlier builds; and its blocks."
function script_statements(plans::Vector{ScriptPlan})
    texts = Set{String}()
    bases = script_name.(getfield.(plans, :path))
    in_part = Regex(string("\\b(?:", join(bases, '|'), ")_[0-9]+\\."))
    for ids in profiled()
        any(id -> any(base -> id.name == base || startswith(id.name, string(base, '_')), bases), ids) || continue
        foreach(text -> push!(texts, replace(text, in_part => "Main.")), statements(layers_of(ids)))
    end
    found = Dict{String,Vector{String}}()
    add(part, text) = push!(get!(Vector{String}, found, part), text)
    order = String[part.name for plan in plans for part in plan.parts]
    extending = extending_parts(plans)
    for text in texts
        placed = in_parts(text, order, plans)
        placed === nothing && continue
        add(placed...)
        # What calls such a method, or will, is invalidated when the part with it is loaded, and there again from then on.
        startswith(placed[2], "Tuple{typeof($SCRIPT_PREFIX") && continue
        foreach(part -> findfirst(==(part), order) > findfirst(==(placed[1]), order) && add(part, placed[2]), extending)
    end
    for plan in plans, item in plan.items
        item.kind === :block || continue
        part = plan.parts[item.part].name
        add(part, string("Tuple{typeof(", part, '.', item.names[1], ")}"))
    end
    return found
end

"""
A statement of `Main` as one of the parts: the last of them that it names, and its text; `nothing` if it names what stays in `Main`.
"""
function in_parts(text::String, order::Vector{String}, plans::Vector{ScriptPlan})
    last_part, missing_name = 0, false
    named(found) = begin
        name = SubString(found, 6)
        part = startswith(name, "var\"") ? part_of_line(name, plans) : part_of_name(Symbol(name), plans)
        part === nothing && (missing_name = true; return String(found))
        last_part = max(last_part, findfirst(==(part), order))
        return string(part, '.', name)
    end
    placed = replace(text, r"\bMain\.(var\"(?:[^\"\\]|\\.)*\"|[\p{L}_][\p{L}\p{N}_!]*)" => named)
    (missing_name || occursin(r"\bMain\b", placed)) && return nothing
    return order[max(last_part, 1)], placed     # what names nothing of the script is needed from the first part on
end

"The parts that add methods to functions of other packages, such as `Base.show`."
extending_parts(plans) = unique!(String[plan.parts[item.part].name for plan in plans for item in plan.items
                                        if item.kind === :definition && isempty(item.names)])

function part_of_name(name::Symbol, plans)
    for plan in plans
        haskey(plan.names, name) && return plan.parts[plan.names[name]].name
    end
    return nothing
end

"The part that has the line of a made-up name, `var\"#1 at line 12 of script.jl\"`."
function part_of_line(name::AbstractString, plans)
    found = match(r"^var\"#\d+ at line (\d+) of (.*)\"$", name)
    found === nothing && return nothing
    line = parse(Int, found[1])
    for plan in plans
        basename(plan.path) == found[2] || continue
        at = findfirst(item -> item.first <= line <= item.last, plan.items)
        at === nothing || plan.items[at].kind === :plain || return plan.parts[plan.items[at].part].name
    end
    return nothing
end

# ---- how it is shown ----

Base.show(io::IO, result::ScriptResult) = print(io, "ScriptResult(", repr(basename(result.path)), ", ", length(result.parts), " libraries)")

function Base.show(io::IO, mime::MIME"text/plain", result::ScriptResult)
    printstyled(io, basename(result.path); bold = true)
    compiled = sum(Int[length(part.compiled) for part in result.parts])
    requested = sum(Int[length(part.requested) for part in result.parts])
    print(io, ": ", compiled, " of ", methods_text(requested), " compiled")
    isempty(result.message) || print(io, "\n  ", result.message)
    for (line, why) in result.plain
        print(io, "\n  line ", line, " stays in Main: ", why)
    end
    for part in result.parts
        print(io, "\n")
        show(io, mime, part)
    end
end
