# Workloads on Julia 1.5.

# Has the first block begun, so that earlier compilation is marked?
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
