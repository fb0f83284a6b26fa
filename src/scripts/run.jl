# A script is run: its parts are loaded where their first definition stands, and give what they define to `Main`.

"A script that runs, or has run, in this session."
mutable struct ScriptRun
    path::String
    expressions::Vector{Any}        # and the lines before them
    plan::ScriptPlan
    at::Int                         # number of the expression that was evaluated last
    loaded::Vector{Union{Nothing,Module}}
    why::Vector{String}             # of each part: why it is not used; empty if it is, or if its turn has not come
end

const SCRIPT_RUNS = ScriptRun[]

# Why a script was run as it is though the cache is on, by its path: what went wrong in reading or planning it.
const SCRIPT_TROUBLES = Dict{String,String}()

# The runs that are under way: a script, the file that it includes, and so on.
const RUNNING = ScriptRun[]

"""
    NativeCache.include(path)

Run a script in `Main`, as `include(path)` there does, with those of its definitions and loops that an earlier
[`NativeCache.build`](@ref)`(path)` has compiled. What has changed since, or cannot be compiled ahead, is run as ever.
Returns the value of its last expression. A relative `path` is relative to the file that is being run, or to the working folder.

# Example

    julia> NativeCache.include("simulation.jl")
"""
function include(path::AbstractString)
    full = script_path(path)
    isfile(full) || return Base.include(Main, full)     # Julia says what is wrong
    run = try
        begin_script(full)
    catch err
        err isa InterruptException && rethrow()
        SCRIPT_TROUBLES[full] = sprint(showerror, err)
        nothing
    end
    run === nothing && return Base.include(Main, full)
    return run_script(run)
end

"One after the other, as `include` does; each expression is what `replacement` makes of it."
function run_script(run::ScriptRun)
    storage = task_local_storage()
    before = get(storage, :SOURCE_PATH, nothing)
    storage[:SOURCE_PATH] = run.path
    place = LineNumberNode(1, Symbol(run.path))
    result = nothing
    push!(RUNNING, run)
    try
        for ex in run.expressions
            if ex isa LineNumberNode
                place = ex
                continue
            end
            result = Core.eval(Main, Expr(:toplevel, place, replacement(run, place, ex)))
        end
    catch err
        rethrow(LoadError(run.path, place.line, err))
    finally
        filter!(other -> other !== run, RUNNING)
        before === nothing ? delete!(storage, :SOURCE_PATH) : (storage[:SOURCE_PATH] = before)
    end
    return result
end

"The path that `include(path)` would read."
function script_path(path::AbstractString)
    from = Base.source_path(nothing)
    return from === nothing ? abspath(path) : normpath(joinpath(dirname(from), path))
end

"The script, read, with the parts that there are of it; `nothing` if the cache is off."
function begin_script(path::String)
    is_on() || return nothing
    text = read(path, String)
    tree = parse_script(text, path)
    is_block(tree, :toplevel) || return nothing
    folder = script_folder(path)
    around = ScriptContext()
    if isempty(RUNNING)
        note_script(path)
        remember_script(path, folder)
    else
        remember_include(RUNNING[1].path, RUNNING[end], path)
    end
    if !isempty(RUNNING) && RUNNING[end].at <= length(RUNNING[end].plan.items)
        around = context_at(RUNNING[end].plan, RUNNING[end].at)
    end
    # Of a script that was never built there is nothing to look for.
    built = isdir(joinpath(folder, string(script_name(path), "_1"))) || !isempty(RUNNING) && !isempty(RUNNING[end].plan.items) ||
        isfile(joinpath(folder, "built"))
    plan = built ? plan_script(path, text, tree, around) : ScriptPlan(path, around)
    run = ScriptRun(path, tree.args, plan, 0, fill(nothing, length(plan.parts)), fill("", length(plan.parts)))
    push!(SCRIPT_RUNS, run)
    return run
end

"The folder of a script's parts: the one that there is, else where it would be made."
function script_folder(path::String)
    name = joinpath(STORE, "scripts", script_name(path))
    for depot in DEPOT_PATH
        isdir(joinpath(depot, name)) && return joinpath(abspath(depot), name)
    end
    return joinpath(abspath(first(DEPOT_PATH)), name)
end

"What this session compiles of `Main` belongs to the script's profile."
note_script(path::String) = note_script(script_name(path), string(UInt128(script_uuid(path, 0)); base = 16))

"By this file a build that only knows the name in the profiles finds the script."
function remember_script(path::String, folder::String)
    place = joinpath(folder, "path")
    isfile(place) && return nothing
    try
        trusted_folder(folder)
        write_whole(place, path)
    catch err
        err isa InterruptException && rethrow()     # no place to write to: this script is not built by itself
    end
    return nothing
end

"Which files a script includes is often computed: a build goes by what was included."
function remember_include(root::String, outer::ScriptRun, path::String)
    place = joinpath(script_folder(root), "includes")
    line = join((string(outer.at), escape_field(outer.path), escape_field(path)), '\t')
    try
        known = isfile(place) ? readlines(place) : String[]
        line in known && return nothing
        trusted_folder(script_folder(root))
        write_whole(place, join([known; line], '\n') * "\n")
    catch err
        err isa InterruptException && rethrow()     # no place to write to
    end
    return nothing
end

"What runs of the script have included: (path of the file around it, number of the item there, path)."
function known_includes(root::String)
    found = Tuple{String,Int,String}[]
    place = joinpath(script_folder(root), "includes")
    isfile(place) && isempty(distrust(place)) || return found
    for line in eachline(place)
        fields = fields_of(line)
        number = length(fields) == 3 ? tryparse(Int, fields[1]) : nothing
        number === nothing || push!(found, (fields[2], number, fields[3]))
    end
    return found
end

"The script that a name in the profiles stands for, or `nothing`."
function script_of(id::PkgId)
    startswith(id.name, SCRIPT_PREFIX) || return nothing
    for depot in DEPOT_PATH, name in (id.name, replace(id.name, r"_[0-9]+$" => ""))
        place = joinpath(depot, STORE, "scripts", name, "path")
        isfile(place) && isempty(distrust(place)) || continue
        path = read(place, String)
        isfile(path) && return path
    end
    return nothing
end

"What is evaluated in the place of an expression of the script: what a part has of it, or itself."
function replacement(run::ScriptRun, place::LineNumberNode, @nospecialize(ex))
    run.at += 1
    item = run.at <= length(run.plan.items) ? run.plan.items[run.at] : nothing
    part = item === nothing || item.kind === :plain ? nothing : load_part(run, item.part)
    if part === nothing
        # By its line a closure at top level is known again when the script is built.
        place_generators!(ex, place)
        return is_definition(ex) ? ex : with_includes(ex)
    end
    item.kind === :block && return Expr(:call, getfield(part, item.names[1]))
    isempty(item.names) && return documentation(ex, nothing)
    foreach(name -> ccall(:jl_module_import, Cvoid, (Any, Any, Any), Main, part, name), item.names)
    return documentation(ex, item.names[1])
end

"`include(file)` runs the file as a part of the script that it is."
function with_includes(@nospecialize(ex))
    ex isa Expr && !(ex.head in (:quote, :function, :(->), :macro, :module)) || return ex
    is_include(ex) && return Expr(:call, NativeCache.include, ex.args[2])
    for at in eachindex(ex.args)
        ex.args[at] = with_includes(ex.args[at])
    end
    return ex
end

"What is left to do for a definition that a part has: its docstring, and its value."
function documentation(@nospecialize(ex), name::Union{Nothing,Symbol})
    if is_documented(ex)
        bare = undressed(ex)
        parts = function_parts(bare)
        what = parts !== nothing && is_block(parts.head, :call) ? parts.head : name
        what === nothing && return nothing
        return Expr(:macrocall, ex.args[1], ex.args[2], ex.args[3], what)
    end
    return name
end

"The module of a part, loaded now if it has not been; `nothing` if it is not used."
function load_part(run::ScriptRun, number::Int)
    run.loaded[number] === nothing || return run.loaded[number]
    isempty(run.why[number]) || return nothing
    try
        found = part_module(run, number)
        if found isa Module
            run.loaded[number] = found
            return found
        end
        run.why[number] = found
    catch err
        err isa InterruptException && rethrow()
        run.why[number] = sprint(showerror, err)
    end
    return nothing
end

part_file(plan::ScriptPlan, part::ScriptPart) = joinpath(script_folder(plan.path), part.name, "src", "$(part.name).jl")

"Why a part that has been built is not this one; empty if it is."
function part_problem(plan::ScriptPlan, part::ScriptPart)
    file = part_file(plan, part)
    isfile(file) || return "it has not been built"
    distrusted = distrust(file)
    isempty(distrusted) || return distrusted
    return read(file, String) == part.source ? "" : "the script has changed since it was built"
end

"The module of a part, or why it is not used."
function part_module(run::ScriptRun, number::Int)
    part = run.plan.parts[number]
    problem = part_problem(run.plan, part)
    isempty(problem) || return problem
    file = part_file(run.plan, part)
    for (name, owner) in run.plan.names
        owner == number && Base.isbindingresolved(Main, name) && return "$name is known in Main already"
    end
    id = PkgId(part.uuid, part.name)
    haskey(Base.loaded_modules, id) && return "it is loaded already"
    found = load_image(id, file)
    found isa Module || return "its image is not of these packages, or not of these flags"
    loaded(id)
    return found
end

"""
The module of a part, from its image; `nothing` if that is not of this source, or not of the packages that are loaded. Julia's own
search for images would ask the environment for each package that the part names, and load what is not there.
"""
function load_image(id::PkgId, file::String)
    for path in Base.find_all_in_cache_path(id)
        _, (files, _), needed, _ = Base.parse_cache_header(path)
        any(dependency -> dependency[2] == file && dependency[3] == mtime(file), files) || continue
        all(is_loaded, needed) || continue
        found = Base._require_from_serialized(path)
        found isa Array && return get(Base.loaded_modules, id, nothing)
    end
    return nothing
end

function is_loaded((id, build)::Pair{PkgId,UInt64})
    mod = get(Base.loaded_modules, id, nothing)
    return mod !== nothing && Base.PkgId(mod) == id && Base.module_build_id(mod) === build
end
