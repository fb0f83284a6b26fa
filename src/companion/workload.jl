# Workloads on Julia 1.10 and later.

# What was compiled before the first block, and how much this process had inferred then; `nothing` as long as none has begun.
const BEFORE_WORKLOAD = Ref{Union{Nothing,Tuple{Vector{String},Int}}}(nothing)

function begin_workload()
    BEFORE_WORKLOAD[] === nothing || return nothing
    known = try
        map(unescape_field, split(learn(PkgId[], "", "", "", "list"), '\n'; keepempty = false))
    catch
        String[]        # libnativecache is not built: nothing is noted in the end either
    end
    BEFORE_WORKLOAD[] = (known, length(inferred_here()))
    return nothing
end

function trace_workload(folder::String, id::PkgId)
    known, start = something(BEFORE_WORKLOAD[], (String[], 0))
    called = called_in_block(Base.loaded_modules[id], start)
    problem = trace_into(folder, "precompile", focus_text(id), "@workload"; without = known, also = called)
    isempty(problem) || error(problem)
    return nothing
end

"""
The package's methods that inference has met since the block began. If a block contains a loop, for example, Julia compiles it
as a whole, and then drops calls whose results are not used. A user's call would run these methods, so the image should have
them, too.
"""
function called_in_block(mod::Module, start::Int)
    found = String[]
    for code in inferred_here()[start+1:end]
        instance = instance_of_code(code)
        instance === nothing && continue
        method = instance.def
        method isa Method && Base.moduleroot(method.module) === mod && is_valid(code) && precompile(instance.specTypes) || continue
        push!(found, statement_text(instance.specTypes))
    end
    return found
end
