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
    log::Vector{Any}            # what Julia's loader said of code that it did not take
    world::UInt                 # the first in which its code was there
end

mutable struct Session
    on::Bool
    reason::Symbol              # why it is off
    message::String
    found::Vector{Found}
    looked::Set{PkgId}          # packages whose companions were looked for
    asked::Vector{PkgId}        # packages that the user asked for, in that order
    present::Set{PkgId}         # packages that were there before NativeCache
    project::String             # whose record was read
    idle::Vector{String}        # companions that its sessions load and do not run
    lock::ReentrantLock
end

const SESSION = Session(false, :NotStarted, "", Found[], Set{PkgId}(), PkgId[], Set{PkgId}(), "", String[], ReentrantLock())

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
        SHORTENS && take_out_own!()
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
        push!(SESSION.found, Found(companion, :waiting, :Nothing, "", 0.0, 0, 0, nothing, Any[], UInt(0)))
    end
    return nothing
end

"Load each companion whose packages are all loaded, those that need fewer packages first."
function load_what_can_be()
    # Companions need NativeCache. Julia 1.12 registers it only after its `__init__`; then the callback comes.
    haskey(Base.loaded_modules, PkgId(@__MODULE__)) || return nothing
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
        fits || continue
        is_idle(found.companion) ? reject!(found, :NotUsedHere, "NativeCache.build loads it again") : load_companion!(found)
    end
    return nothing
end

# ---- what this project's sessions do not use ----

# So many sessions in a row may load a companion and not run it.
const MOST_IDLE = 5

"""
Have the last sessions of this project loaded it in vain? A companion holds what the sessions of all projects have needed;
rust/companion/src/idle.rs writes down which of them those of this one run.
"""
function is_idle(companion::Companion)
    project = Base.active_project()
    project isa String || return false
    project == SESSION.project || read_record(project)
    return basename(companion.index) in SESSION.idle
end

function read_record(project::String)
    SESSION.project = project
    empty!(SESSION.idle)
    for depot in DEPOT_PATH
        path = joinpath(depot, record_of(project))
        isfile(path) || continue
        for line in eachline(IOBuffer(read(path, String)))
            words = fields_of(line)
            length(words) == 3 && words[1] == "idle" || continue
            count = tryparse(Int, words[2])
            count isa Int && count >= MOST_IDLE && push!(SESSION.idle, String(words[3]))
        end
    end
    return nothing
end

"The record of a project, below a depot."
record_of(project::String) = joinpath(STORE, "projects", hex(hash(project)))

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
    ends_path = companion.base * ".ends"
    for path in (companion.index, source, cache, companion.base * ".so", SHORTENS ? ends_path : source)
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
    ends = nothing
    if SHORTENS
        ends = read_ends(ends_path)
        ends isa Ends || return reject!(found, :LinkFailed, "$ends_path is damaged")
        ends.checksum == open(Base.isvalid_cache_header, cache) || return reject!(found, :LinkFailed, "$ends_path is of another image")
        invalid = invalid_ends(ends)
        # Another thread could run what is taken out before it is.
        isempty(invalid) || is_alone() ||
            return Base.invokelatest(reject!, found, :Invalidated, "with threads, all that it calls must be valid: $(invalid[1].def)")
        # Nothing is compiled later on.
        isempty(invalid) || Base.invokelatest(prepare_take_out)
    end
    log, ours = begin_log()
    known = length(log)
    restored = try
        ends === nothing ? Base._include_from_serialized(id_of(companion), cache, object, modules) :
            restore_image(id_of(companion), cache, object, modules, ends)
    finally
        for at in known+1:length(log)
            push!(found.log, log[at])
        end
        ours && end_log()
    end
    restored isa Module || return reject!(found, :LinkFailed, sprint(showerror, restored))
    found.mod = restored
    insert!(found, constant_of(restored, :CODE)::Vector{Any})
    found.world = Base.get_world_counter()
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
