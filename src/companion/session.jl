# The load path on Julia 1.10 and later. A companion is loaded when the last package that it needs is loaded. Nothing here
# throws, prints, builds or waits. All of this code is native code in NativeCache's own package image.

const LIBRARY = normpath(joinpath(SOURCES, "..", "deps", "lib", string('v', VERSION.major, '.', VERSION.minor), "libnativecache.so"))

"The state of a companion in this session."
mutable struct Found
    const companion::Companion
    state::Symbol               # :waiting, :loaded or :rejected
    reason::Symbol              # why it was rejected
    message::String
    seconds::Float64
    inserted::Int               # code instances that NativeCache inserted, since Julia's loader does not
    dropped::Int                # code instances that were not valid any more, so that they were not inserted
    mod::Union{Nothing,Module}
    log::Vector{Any}            # what Julia's loader logged about code that it refused
end

mutable struct Session
    on::Bool
    reason::Symbol              # why it is off
    message::String
    found::Vector{Found}
    looked::Set{PkgId}          # packages for which companions were looked up
    asked::Vector{PkgId}        # packages that the user loaded, in order
    present::Set{PkgId}         # packages that were loaded before NativeCache
    lock::ReentrantLock
end

const SESSION = Session(false, :NotStarted, "", Found[], Set{PkgId}(), PkgId[], Set{PkgId}(), ReentrantLock())

"Why this process cannot use cached code, or `nothing` if it can."
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
        start()
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
    # Packages that were loaded before NativeCache.
    if any_store()
        foreach(look_for, SESSION.present)
        load_what_can_be()
    end
    return nothing
end

"Is there any companion for sessions like this one?"
function any_store()
    for depot in DEPOT_PATH
        isdir(joinpath(depot, STORE, session_key())) && return true
    end
    return false
end

"The callback after a package was loaded, by the user or as a dependency."
function loaded(id::PkgId)
    SESSION.on || return nothing
    try
        look_for(id)
        # Extensions are loaded together with the package that triggers them, whose own callback comes next.
        is_outermost() && !is_extension(id) || return nothing
        push!(SESSION.asked, id)
        load_what_can_be()
    catch
        # The session goes on without the cache.
    end
    return nothing
end

is_extension(id::PkgId) = haskey(Base.EXT_PRIMED, id)

"Is this load not part of another one in this task?"
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
        push!(SESSION.found, Found(companion, :waiting, :Nothing, "", 0.0, 0, 0, nothing, Any[]))
    end
    return nothing
end

"Load each companion whose packages are all loaded, those that need fewer packages first."
function load_what_can_be()
    # Companions need NativeCache. Julia 1.12 registers it only after its `__init__`; then the callback comes.
    haskey(Base.loaded_modules, PkgId(@__MODULE__)) || return nothing
    waiting = Found[]
    for found in SESSION.found
        found.state === :waiting && push!(waiting, found)
    end
    isempty(waiting) && return nothing
    sort!(waiting; by = package_count, alg = InsertionSort)
    for found in waiting
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

package_count(found::Found) = length(found.companion.packages)

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
    # This process runs the code of a companion, so nobody else may have written it.
    for path in (companion.index, source, cache, companion.base * ".so")
        problem = distrust(path)
        isempty(problem) || return reject!(found, :Untrusted, problem)
    end
    fresh = stale_check(id_of(companion), source, cache)
    fresh === true && return reject!(found, :KeyDiffers, "Julia does not accept the image: JULIA_DEBUG=loading shows why")
    modules, object = fresh
    for mod in modules
        # A companion never causes another package to be loaded.
        mod isa Module || return reject!(found, :PackageMissing, string(mod[2].name))
    end
    object === nothing && return reject!(found, :LinkFailed, "there is no native code beside $cache")
    log, ours = begin_log()
    known = length(log)
    restored = try
        Base._include_from_serialized(id_of(companion), cache, object, modules)
    finally
        append!(found.log, @view log[known+1:end])
        ours && end_log()
    end
    restored isa Module || return reject!(found, :LinkFailed, sprint(showerror, restored))
    found.mod = restored
    insert!(found, constant_of(restored, :CODE)::Vector{Any})
    found.state = :loaded
    return nothing
end

"Julia's own check: `true` if the image is stale; otherwise the modules that it needs, and the file of its native code."
stale_check(id, source, cache) = Base.stale_cachefile(id, UInt128(0), source, cache)

"""
Insert code instances of a companion. Julia's loader has verified them and added their backedges, but it keeps the older
code instances, which have the same results of inference and no native code. Valid ones are inserted before those.
"""
function insert!(found::Found, codes::Vector{Any})
    world = Base.get_world_counter()
    for code in codes
        code = code::Core.CodeInstance
        if code.max_world != typemax(UInt) || code.invoke == C_NULL
            found.dropped += 1
        elseif !is_reached(code, world)
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

is_valid(code::Core.CodeInstance) = code.max_world == typemax(UInt) && is_native(code)

"Does this session have valid native code for the method instance?"
function is_compiled(instance::Core.MethodInstance)
    isdefined(instance, :cache) || return false
    code = instance.cache
    while true
        is_valid(code) && code.invoke != C_NULL && return true
        isdefined(code, :next) || return false
        code = code.next
    end
end
