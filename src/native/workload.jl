# What a workload compiles on Julia 1.5.

# Was what was compiled before the first block noted?
const WORKLOAD_BEGUN = Ref(false)

function begin_workload()
    WORKLOAD_BEGUN[] || mark_trace()
    WORKLOAD_BEGUN[] = true
    return nothing
end

function trace_workload(folder::String, id::PkgId)
    text = trace_lines(folder, "precompile", focus_text(id), "@workload")
    isempty(text) && error(last_error())
    return nothing
end
