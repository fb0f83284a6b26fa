# The calls of the package into libnativecache, one function each. Calls that Julia makes when a session begins, loads a
# package or ends are in session/load.jl. Processes that run without the package (src/processes) have their own calls.

# The advice if the library, which has all other texts, is missing.
const NOT_BUILT = "run Pkg.build(\"NativeCache\") or deps/build.jl"

"Take a string that libnativecache returned, and free it; empty for a null pointer."
function taken(text::Ptr{UInt8})
    text == C_NULL && return ""
    copy = unsafe_string(text)
    ccall((:nativecache_free, LIBRARY), Cvoid, (Ptr{UInt8},), text)
    return copy
end

"The last error of a call on this thread."
last_error() = taken(ccall((:nativecache_last_error, LIBRARY), Ptr{UInt8}, ()))

"The address of a function of libnativecache. If the library is not built, or belongs to another version, a text that says so."
function library_function(name::Symbol)
    handle = Libdl.dlopen(LIBRARY; throw_error = false)
    handle === nothing && return "libnativecache is not built"
    address = Libdl.dlsym(handle, name; throw_error = false)
    return address === nothing ? "libnativecache was built from another version of NativeCache" : address
end

"Why this path is not trusted: others could have written it. Empty if it is trusted. See docs/trust.md."
function distrust(path::AbstractString)
    found = library_function(:nativecache_distrust)
    return found isa String ? found : taken(ccall(found, Ptr{UInt8}, (Cstring,), path))
end

"A reason's name, its text and what to do about it, between tabs; empty for an unknown code."
function reason_line(code::Integer)
    found = library_function(:nativecache_reason)
    return found isa String ? "" : taken(ccall(found, Ptr{UInt8}, (Int32,), code))
end

"A layer of a profile as text, together with the pending files beside it."
read_layer_text(folder::String, name::String) =
    taken(ccall((:nativecache_profile_read, LIBRARY), Ptr{UInt8}, (Cstring, Cstring), folder, name))

"Merge the profile `file` into layer `name` of `folder`: add it (`mode` 0), replace the layer (1), or update only the costs of its methods (2)."
merge_profile(folder::String, name::String, file::String, mode::Integer, methods::Integer, sessions::Integer) =
    taken(ccall((:nativecache_profile_merge, LIBRARY), Ptr{UInt8}, (Cstring, Cstring, Cstring, Int32, UInt32, UInt32),
        folder, name, file, mode, methods, sessions))

if VERSION < v"1.6"

"Put what this session has compiled so far into its profiles. Returns the result as lines; empty if it failed."
trace_lines() = taken(ccall((:nativecache_trace, LIBRARY), Ptr{UInt8}, ()))

"What `Main` defines belongs to the script of this name and uuid."
note_script(name::String, uuid::String) = ccall((:nativecache_script, LIBRARY), Cvoid, (Cstring, Cstring), name, uuid)

"Start of a workload: what is compiled from now on belongs to it."
mark_trace() = ccall((:nativecache_trace_mark, LIBRARY), Cvoid, ())

"Put what this process has compiled into profiles below `folder`, replacing those that exist. Returns the result as lines; empty if it failed."
trace_lines(folder::String, layer::String, focus::String, from::String) =
    taken(ccall((:nativecache_trace_into, LIBRARY), Ptr{UInt8}, (Cstring, Cstring, Cstring, Cstring), folder, layer, focus, from))

"The libraries that this session has found, one line each."
found_lines() = taken(ccall((:nativecache_found, LIBRARY), Ptr{UInt8}, ()))

"The outcomes of the requested methods of a library that this session has linked, one line each."
entry_lines(id::Int) = taken(ccall((:nativecache_entries, LIBRARY), Ptr{UInt8}, (Int64,), id))

"The requested methods of a library with their outcomes in the build, one line each. The library need not be linked."
function peek_lines(path::AbstractString)
    counts = zeros(UInt64, 8)       # LinkCounts of rust/session/src/session.rs
    return taken(ccall((:nativecache_peek, LIBRARY), Ptr{UInt8}, (Cstring, Ptr{UInt64}), path, counts))
end

"The facts in a library file, and why this session cannot use it, as lines."
inspection_lines(path::AbstractString) = taken(ccall((:nativecache_inspect, LIBRARY), Ptr{UInt8}, (Cstring,), path))

"What this session knows about a method instance, as lines."
instance_lines(@nospecialize(instance)) = taken(ccall((:nativecache_method, LIBRARY), Ptr{UInt8}, (Any,), instance))

"A type in the grammar of profiles; empty if that cannot express it. `show` is not used, since packages add methods to it."
signature_text(@nospecialize(signature)) = taken(ccall((:nativecache_signature, LIBRARY), Ptr{UInt8}, (Any,), signature))

"The hash of the key of this session. Sessions with another hash cannot use its libraries."
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
