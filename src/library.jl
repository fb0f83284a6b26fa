# Every question of the package to libnativecache, a function each. The calls that Julia itself makes when a session begins,
# loads a package or ends are in session/load.jl; processes that run without the package (src/processes) make their own.

# Said without the library, which has all other texts.
const NOT_BUILT = "run Pkg.build(\"NativeCache\") or deps/build.jl"

"The string that libnativecache gave away; empty if it gave none."
function taken(text::Ptr{UInt8})
    text == C_NULL && return ""
    copy = unsafe_string(text)
    ccall((:nativecache_free, LIBRARY), Cvoid, (Ptr{UInt8},), text)
    return copy
end

"What went wrong last in a call of this thread."
last_error() = taken(ccall((:nativecache_last_error, LIBRARY), Ptr{UInt8}, ()))

"The address of a function of a library that may not be built, or may be another version's; else why there is none."
function library_function(name::Symbol)
    handle = Libdl.dlopen(LIBRARY; throw_error = false)
    handle === nothing && return "libnativecache is not built"
    address = Libdl.dlsym(handle, name; throw_error = false)
    return address === nothing ? "libnativecache was built from another version of NativeCache" : address
end

"Why nothing at this path is trusted, or an empty string: others could have put it there. See docs/trust.md."
function distrust(path::AbstractString)
    found = library_function(:nativecache_distrust)
    return found isa String ? found : taken(ccall(found, Ptr{UInt8}, (Cstring,), path))
end

"A reason's name, its text and what to do about it, between tabs; empty for an unknown code."
function reason_line(code::Integer)
    found = library_function(:nativecache_reason)
    return found isa String ? "" : taken(ccall(found, Ptr{UInt8}, (Int32,), code))
end

"A layer of a profile with what waits beside it, as text."
read_layer_text(folder::String, name::String) =
    taken(ccall((:nativecache_profile_read, LIBRARY), Ptr{UInt8}, (Cstring, Cstring), folder, name))

"Merge the profile `file` into layer `name` of `folder`: added (`mode` 0), in place of what is there (1), or only what its methods cost (2)."
merge_profile(folder::String, name::String, file::String, mode::Integer, methods::Integer, sessions::Integer) =
    taken(ccall((:nativecache_profile_merge, LIBRARY), Ptr{UInt8}, (Cstring, Cstring, Cstring, Int32, UInt32, UInt32),
        folder, name, file, mode, methods, sessions))

if VERSION < v"1.6"

"Put what this session has compiled so far into its profiles; lines of what came of it, empty if it failed."
trace_lines() = taken(ccall((:nativecache_trace, LIBRARY), Ptr{UInt8}, ()))

"What is compiled from now on is what a workload compiles."
mark_trace() = ccall((:nativecache_trace_mark, LIBRARY), Cvoid, ())

"Put what this process has compiled into profiles below `folder`, in place of what is there; lines of what came of it, empty if it failed."
trace_lines(folder::String, layer::String, focus::String, from::String) =
    taken(ccall((:nativecache_trace_into, LIBRARY), Ptr{UInt8}, (Cstring, Cstring, Cstring, Cstring), folder, layer, focus, from))

"The libraries that this session has found, a line each."
found_lines() = taken(ccall((:nativecache_found, LIBRARY), Ptr{UInt8}, ()))

"What became of the requested methods of a library that this session has linked, a line each."
entry_lines(id::Int) = taken(ccall((:nativecache_entries, LIBRARY), Ptr{UInt8}, (Int64,), id))

"The requested methods of a library that may not be linked, a line each, with the buckets of the build."
function peek_lines(path::AbstractString)
    counts = zeros(UInt64, 8)       # LinkCounts of rust/session/src/session.rs
    return taken(ccall((:nativecache_peek, LIBRARY), Ptr{UInt8}, (Cstring, Ptr{UInt64}), path, counts))
end

"What a library file says of itself, and why this session cannot use it, in lines."
inspection_lines(path::AbstractString) = taken(ccall((:nativecache_inspect, LIBRARY), Ptr{UInt8}, (Cstring,), path))

"What this session knows of a method instance, in lines."
instance_lines(@nospecialize(instance)) = taken(ccall((:nativecache_method, LIBRARY), Ptr{UInt8}, (Any,), instance))

"A type in the words of a profile, not in those of `show`, to which packages add methods; empty if it has none."
signature_text(@nospecialize(signature)) = taken(ccall((:nativecache_signature, LIBRARY), Ptr{UInt8}, (Any,), signature))

"A number that differs when a library of this session could not be used by another one."
key_hash() = ccall((:nativecache_key_hash, LIBRARY), UInt64, ())

"The code instances that a library of this session has installed."
function installed_code(id::Int)
    installed = Any[]
    ccall((:nativecache_installed, LIBRARY), Cint, (Int64, Any), id, installed)
    return installed
end

else

"Where the fields of Julia's objects lie (companion/layout.jl): was it understood?"
keep_layout(offsets::Vector{UInt32}, types::Vector{Ptr{Cvoid}}, words::Vector{UInt}, memory::Bool) =
    ccall((:nativecache_layout, LIBRARY), Cint, (Ptr{UInt32}, Csize_t, Ptr{Ptr{Cvoid}}, Csize_t, Ptr{UInt}, Cint),
        offsets, length(offsets), types, length(types), words, memory) == 0

"""
What this session has compiled, put into profiles: lines of what came of it, empty if it failed. For each of `modules` the
number in `homes` says where it is from; `facts` are lines.
"""
learn_lines(modules::Vector{Any}, homes::Vector{Int32}, facts::String) =
    taken(ccall((:nativecache_learn, LIBRARY), Ptr{UInt8}, (Any, Ptr{Int32}, Cstring), modules, homes, facts))

"A type in the words of a profile, not in those of `show`, to which packages add methods; empty if it has none."
function signature_text(@nospecialize(signature))
    send_layout()
    return taken(ccall((:nativecache_statement, LIBRARY), Ptr{UInt8}, (Any,), signature))
end

end
