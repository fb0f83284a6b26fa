# What a script has: which of its parts a run would use, and what stays in `Main`, without running it.

"One part of a script: `lines` that it holds, `why` it is not used (empty if it is, or would be), and what became of its methods."
struct ScriptPartStatus
    name::String
    lines::Vector{Int}
    why::String
    status::Status
end

"""
What is warm of a script: returned by [`NativeCache.status`](@ref)`("script.jl")`.

- `path`; `ran`: whether this session has run it
- `parts`: [`NativeCache.ScriptPartStatus`](@ref)s: `name`, `lines`, `why` a run does not use it, `status` of its methods
- `plain`: what stays in `Main`: `(line, why)`
- `message`: why nothing of it is warm
"""
struct ScriptStatus
    path::String
    ran::Bool
    parts::Vector{ScriptPartStatus}
    plain::Vector{Tuple{Int,String}}
    message::String
end

function script_status(given::AbstractString)
    path = script_path(given)
    isfile(path) || throw(ArgumentError(string("there is no script ", repr(String(given)))))
    plans = add_plans!(ScriptPlan[], path)
    parts = ScriptPartStatus[]
    for plan in plans
        at = findlast(run -> run.path == plan.path, SCRIPT_RUNS)
        for (number, part) in enumerate(plan.parts)
            ran = at !== nothing && number <= length(SCRIPT_RUNS[at].loaded)
            why = ran && SCRIPT_RUNS[at].loaded[number] !== nothing ? "" : ran && !isempty(SCRIPT_RUNS[at].why[number]) ?
                SCRIPT_RUNS[at].why[number] : part_problem(plan, part)
            lines = Int[item.first for item in plan.items if item.part == number]
            push!(parts, ScriptPartStatus(part.name, lines, why, status(PkgId(part.uuid, part.name))))
        end
    end
    message = session_message()[2]
    isempty(message) && (message = get(SCRIPT_TROUBLES, path, ""))
    isempty(message) && isempty(parts) && (message = "nothing of it can be compiled before it runs")
    isempty(message) && all(part -> !isempty(part.why), parts) && (message = parts[1].why)
    return ScriptStatus(path, any(run -> run.path == path, SCRIPT_RUNS), parts, reduce(vcat, stays_in_main.(plans)), message)
end

"What is plain though it would have been worth compiling."
stays_in_main(plan::ScriptPlan) =
    Tuple{Int,String}[(item.first, item.why) for item in plan.items if item.kind === :plain && !isempty(item.why)]

Base.show(io::IO, status::ScriptStatus) = print(io, "ScriptStatus(", repr(basename(status.path)), ", ", length(status.parts), " parts)")

function Base.show(io::IO, ::MIME"text/plain", status::ScriptStatus)
    printstyled(io, basename(status.path); bold = true)
    print(io, ": ", isempty(status.message) ? status.ran ? "runs with its parts" : "would run with its parts" : status.message)
    for part in status.parts
        lines = isempty(part.lines) ? "" : string("lines ", first(part.lines), " to ", last(part.lines))
        print(io, "\n  ", part.name, ", ", lines, ": ")
        isempty(part.why) ? print(io, status.ran ? "$(length(part.status.installed)) of $(methods_text(length(part.status.requested))) installed" :
            "up to date") : print(io, part.why)
    end
    for (line, why) in status.plain
        print(io, "\n  line ", line, " stays in Main: ", why)
    end
end
