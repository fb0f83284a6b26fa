# What a workload compiles on Julia 1.10 and later.

# What was compiled before the first block; `nothing` as long as none has begun.
const BEFORE_WORKLOAD = Ref{Union{Nothing,Vector{String}}}(nothing)

function begin_workload()
    BEFORE_WORKLOAD[] === nothing || return nothing
    BEFORE_WORKLOAD[] = try
        map(unescape_field, split(learn(PkgId[], "", "", "", "list"), '\n'; keepempty = false))
    catch
        String[]        # libnativecache is not built: nothing is noted in the end either
    end
    return nothing
end

function trace_workload(folder::String, id::PkgId)
    problem = trace_into(folder, "precompile", focus_text(id), "@workload"; without = something(BEFORE_WORKLOAD[], String[]))
    isempty(problem) || error(problem)
    return nothing
end
