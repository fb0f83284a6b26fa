# The load path on Julia 1.10 and later: companions are loaded when the last package that they need is. Nothing here throws,
# prints, builds or waits. All of it is native code of NativeCache's own package image.

const LIBRARY = normpath(joinpath(@__DIR__, "..", "..", "deps", "lib", string('v', VERSION.major, '.', VERSION.minor), "libnativecache.so"))

"What became of a companion in this session."
mutable struct Found
    const companion::Companion
    state::Symbol               # :waiting, :loaded or :rejected
    reason::Symbol              # why it was rejected
    message::String
    seconds::Float64
    inserted::Int               # code instances that Julia's loader does not insert by itself, and we did
    dropped::Int                # of those, the ones that were not valid any more
    mod::Union{Nothing,Module}
end

mutable struct Session
    on::Bool
    reason::Symbol              # why it is off
    message::String
    found::Vector{Found}
    looked::Set{PkgId}          # packages whose companions were looked for
    asked::Vector{PkgId}        # packages that the user asked for, in that order
    present::Set{PkgId}         # packages that were there before NativeCache
    lock::ReentrantLock
end

const SESSION = Session(false, :NotStarted, "", Found[], Set{PkgId}(), PkgId[], Set{PkgId}(), ReentrantLock())

"Why cached code has no place in this process, or `nothing`."
function out_of_place()
    options = Base.JLOptions()
    get(ENV, "JULIA_NATIVECACHE", "") == "off" && return :Disabled
    ccall(:jl_generating_output, Cint, ()) != 0 && return :GeneratingOutput
    options.code_coverage != 0 && return :Coverage
    options.malloc_log != 0 && return :AllocationTracking
    options.compile_enabled == 1 || return :CompileMode
    options.use_compiled_modules == 1 && options.use_pkgimages == 1 || return :NoImages
    return nothing
end

function __init__()
    ccall(:jl_generating_output, Cint, ()) != 0 && return nothing
    try
        take_out_own!()
        # Not what the compiler made of it when this image was made, if that was just taken out.
        Base.invokelatest(start)
    catch err
        SESSION.on, SESSION.reason, SESSION.message = false, :StartFailed, sprint(showerror, err)
    end
    return nothing
end

function start()
    why = out_of_place()
    why === nothing || return (SESSION.reason = why; nothing)
    for (id, _) in Base.loaded_modules
        push!(SESSION.present, id)
    end
    SESSION.on = true
    push!(Base.package_callbacks, loaded)
    get(ENV, "JULIA_NATIVECACHE_TRACE", "") in ("no", "off", "0", "false") || atexit(ended)
    # What was loaded before.
    if any_store()
        foreach(look_for, SESSION.present)
        load_what_can_be()
    end
    return nothing
end

"Is there a companion for sessions like this one at all?"
function any_store()
    for depot in DEPOT_PATH
        isdir(joinpath(depot, STORE, session_key())) && return true
    end
    return false
end

"The callback: a package was just loaded, for itself or for another one."
function loaded(id::PkgId)
    SESSION.on || return nothing
    try
        look_for(id)
        is_outermost() || return nothing
        push!(SESSION.asked, id)
        load_what_can_be()
    catch
        # A session without the cache.
    end
    return nothing
end

"Is no load going on in this task that this one is a part of?"
function is_outermost()
    for (_, entry) in Base.package_locks
        entry[1] === current_task() && return false
    end
    return true
end

function look_for(id::PkgId)
    id in SESSION.looked && return nothing
    push!(SESSION.looked, id)
    mod = get(Base.loaded_modules, id, nothing)
    mod isa Module || return nothing
    build = Base.module_build_id(mod)
    build == 0 && return nothing
    for companion in companions_of(id, UInt128(build))
        any(found -> found.companion.uuid == companion.uuid, SESSION.found) && continue
        push!(SESSION.found, Found(companion, :waiting, :Nothing, "", 0.0, 0, 0, nothing))
    end
    return nothing
end

"Load each companion whose packages are all there; one of many packages after those of fewer."
function load_what_can_be()
    waiting = Found[]
    most = 0
    for found in SESSION.found
        found.state === :waiting || continue
        push!(waiting, found)
        most = max(most, length(found.companion.packages))
    end
    for count in 1:most, found in waiting
        length(found.companion.packages) == count || continue
        fits = true
        for (id, build) in found.companion.packages
            mod = get(Base.loaded_modules, id, nothing)
            mod isa Module || (fits = false; break)
            UInt128(Base.module_build_id(mod)) == build || (reject!(found, :PackageBuild, id.name); fits = false; break)
        end
        fits && load_companion!(found)
    end
    return nothing
end

function reject!(found::Found, reason::Symbol, message::AbstractString)
    found.state, found.reason, found.message = :rejected, reason, String(message)
    return nothing
end

function load_companion!(found::Found)
    started = time_ns()
    try
        @lock SESSION.lock @lock Base.require_lock restore!(found)
    catch err
        reject!(found, :LinkFailed, sprint(showerror, err))
    end
    found.seconds = (time_ns() - started) / 1e9
    return nothing
end

function restore!(found::Found)
    companion = found.companion
    cache, source = companion.base * ".ji", companion.base * ".jl"
    # A companion is code that this process runs: it must be nobody else's.
    for path in (companion.index, source, cache, companion.base * ".so", companion.base * ".ends")
        problem = distrust(path)
        isempty(problem) || return reject!(found, :Untrusted, problem)
    end
    fresh = stale_check(id_of(companion), source, cache)
    fresh === true && return reject!(found, :KeyDiffers, "Julia does not take the image: julia --debug says why")
    modules, object = fresh
    for mod in modules
        # Nothing is loaded for the sake of a companion.
        mod isa Module || return reject!(found, :PackageMissing, string(mod[2].name))
    end
    object === nothing && return reject!(found, :LinkFailed, "there is no native code beside $cache")
    invalid = invalid_ends(read_ends(companion.base * ".ends"))
    # Another thread could run what is taken out before it is.
    isempty(invalid) || Threads.nthreads() == 1 ||
        return reject!(found, :Invalidated, string("with threads, all that it calls must be valid: ", first(invalid).def))
    restored = restore_image(id_of(companion), cache, object, modules, invalid)
    restored isa Module || return reject!(found, :LinkFailed, sprint(showerror, restored))
    found.mod = restored
    insert!(found, getglobal(restored, :CODE)::Vector{Any})
    found.state = :loaded
    return nothing
end

"""
What Julia does for a package whose image fits, `Base._include_from_serialized`. The module, or the error. What depends on
one of the `invalid` code instances is taken out before it is of use to anything.
"""
function restore_image(id::PkgId, cache::String, object::String, modules::Vector{Any}, invalid::Vector{Core.CodeInstance})
    isempty(invalid) && return Base._include_from_serialized(id, cache, object, modules)
    return Base.invokelatest(restore_without, id, cache, object, modules, invalid)      # seldom, so no part of this image
end

function restore_without(id::PkgId, cache::String, object::String, modules::Vector{Any}, invalid::Vector{Core.CodeInstance})
    # Neither a finalizer nor the compiler runs in between.
    precompile(take_out!, (Vector{Core.CodeInstance}, Core.SimpleVector))
    Base.GC.enable_finalizers(false)
    restored = try
        parts = ccall(:jl_restore_package_image_from_file, Any, (Cstring, Any, Cint, Cstring), object, modules, true, id.name)
        parts isa Core.SimpleVector && take_out!(invalid, parts)
        parts
    finally
        Base.GC.enable_finalizers(true)
    end
    restored isa Core.SimpleVector || return restored
    for mod in Base.register_restored_modules(restored, id, cache)
        PkgId(mod::Module) == id && return mod
    end
    return ErrorException("there is no module $(id.name) in $object")
end

"The list that `shorten_edges!` gave when the companion was made."
function read_ends(path::String)
    ends = Vector{Int}(undef, filesize(path) ÷ sizeof(Int))
    io = open(path, "r")
    try
        GC.@preserve ends unsafe_read(io, Ptr{UInt8}(pointer(ends)), UInt(sizeof(ends)))
    finally
        close(io)
    end
    return ends
end

"Julia's own answer: `true`, or the modules that the image needs and its native part."
stale_check(id, source, cache) = Base.stale_cachefile(id, UInt128(0), source, cache)

"""
Julia's loader has verified these code instances and added their backedges, but keeps the ones that it knew before: the same
results of inference without native code. What is valid goes before those.
"""
function insert!(found::Found, codes::Vector{Any})
    world = Base.get_world_counter()
    for code in codes
        code = code::Core.CodeInstance
        if code.max_world != typemax(UInt) || code.invoke == C_NULL
            found.dropped += 1
        elseif VERSION < v"1.12" && code.min_world > 1 && code.min_world != world
            # Its backedges name the method instance: what was defined since would not have reached it.
            found.dropped += 1
        elseif is_compiled(code.def::Core.MethodInstance)
            continue
        else
            ccall(:jl_mi_cache_insert, Cvoid, (Any, Any), code.def::Core.MethodInstance, code)
            found.inserted += 1
        end
    end
    return nothing
end

"Has this session valid native code for it?"
function is_compiled(instance::Core.MethodInstance)
    isdefined(instance, :cache) || return false
    code = instance.cache
    while true
        code.max_world == typemax(UInt) && code.invoke != C_NULL && return true
        isdefined(code, :next) || return false
        code = code.next
    end
end
