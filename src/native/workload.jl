# What a workload compiles on Julia 1.5.

# Was what was compiled before the first block noted?
const WORKLOAD_BEGUN = Ref(false)

function begin_workload()
    WORKLOAD_BEGUN[] || ccall((:nativecache_trace_mark, LIBRARY), Cvoid, ())
    WORKLOAD_BEGUN[] = true
    return nothing
end

function trace_workload(folder::String, id::PkgId)
    text = taken(ccall((:nativecache_trace_into, LIBRARY), Ptr{UInt8}, (Cstring, Cstring, Cstring, Cstring),
        folder, "precompile", focus_text(id), "@workload"))
    isempty(text) && error(last_error())
    return nothing
end
