# The load path: what runs in every session, and when a package is loaded.
#
# It is all done in Rust (rust/session/src/hook.rs), and that calls back what it needs: a
# Julia function here has to be compiled in every session, for 2 ms and 1 ms more for each
# call in it. So there are three functions of one call. Nothing here throws, prints or waits.

const LIBRARY = normpath(joinpath(SOURCES, "..", "deps", "lib", "libnativecache.so"))

"Objects that linked code refers to, filled by libnativecache: they live as long as the session."
const ROOTS = Any[]

# Reads ROOTS, STORE, `loaded` and `ended` of this module and DEPOT_PATH,
# package_callbacks, atexit_hooks and loaded_modules_array of Base.
function __init__()
    try
        ccall((:nativecache_start, LIBRARY), Cvoid, (Any,), NativeCache)
    catch
        # not built, or built from another version: `status` looks and says so
    end
    return nothing
end

"The callback: a package has just been loaded. Which one, libnativecache sees for itself."
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
