# The load path: what runs in every session, and when a package is loaded.
#
# The work is done in Rust (rust/session/src/hook.rs), which calls back what it needs. Every
# session has to compile a Julia function here, which takes 2 ms and 1 ms more for each call in
# it. So there are three functions with one call each. Nothing here throws, prints or waits.

const LIBRARY = normpath(joinpath(SOURCES, "..", "deps", "lib", "libnativecache.so"))

"Objects that linked code refers to, filled by libnativecache: they live as long as the session."
const ROOTS = Any[]

# Reads ROOTS, STORE, `loaded` and `ended` of this module and DEPOT_PATH,
# package_callbacks, atexit_hooks and loaded_modules_array of Base.
function __init__()
    try
        ccall((:nativecache_start, LIBRARY), Cvoid, (Any,), NativeCache)
    catch
        # not built, or built from another version: `status` checks this and reports it
    end
    return nothing
end

"The callback after a package was loaded. libnativecache finds out itself which one it was."
function loaded(::PkgId)
    ccall((:nativecache_loaded, LIBRARY), Cvoid, ())
    return nothing
end

"At the end of the session: what it has compiled goes into the profiles."
function ended()
    ccall((:nativecache_ended, LIBRARY), Cvoid, ())
    return nothing
end

precompile(__init__, ())
precompile(loaded, (PkgId,))
precompile(ended, ())

"Trace this session into the profiles: what `trace!` calls."
function trace_session()
    text = trace_lines()
    isempty(text) && error("NativeCache: nothing was traced: ", last_error())
    return parse_trace(text)
end
