# Loaded first (`julia -L runner.jl ...`) in a process that runs a test suite or a script to find out
# what it compiles; sources.jl starts it. At its end libnativecache looks at what was compiled.
#
# Nothing of this may show in what runs after it: the variables are gone, only a hook at exit stays.
module NativeCacheRunner

take(name) = pop!(ENV, string("NATIVECACHE_RUN_", name))

const LIBRARY = ccall(:jl_load_dynamic_library, Ptr{Cvoid}, (Cstring, UInt32, Cint), take("LIBRARY"), 1, 1)
const FOLDER = take("FOLDER")
const LAYER = take("LAYER")
const FROM = take("FROM")
const FOCUS = split(take("FOCUS"), ';'; keepempty = false)     # Name<tab>uuid in hex, for each package

function symbol(name::String)
    address = Ref(C_NULL)
    ccall(:jl_dlsym, Cint, (Ptr{Cvoid}, Cstring, Ptr{Ptr{Cvoid}}, Cint), LIBRARY, name, address, 1)
    return address[]
end

function ended()
    for (number, focus) in enumerate(FOCUS)
        text = ccall(symbol("nativecache_trace_into"), Ptr{UInt8}, (Cstring, Cstring, Cstring, Cstring),
            joinpath(FOLDER, string(number)), LAYER, String(focus), FROM)
        text == C_NULL && (text = ccall(symbol("nativecache_last_error"), Ptr{UInt8}, ()))
        write(joinpath(FOLDER, string(number, ".said")), unsafe_string(text))
    end
    return nothing
end

# The last hook to run: what the others compile counts too.
push!(Base.atexit_hooks, ended)
write(joinpath(FOLDER, "started"), "")

end
