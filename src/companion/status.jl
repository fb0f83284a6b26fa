# What a session of Julia 1.10 or later has: the companions that were found, and the outcome of each statement.
# src/show/status.jl shows it.

"Why this session loads no companions, as (reason, text); (nothing, \"\") if it does."
function session_message()
    Libdl.dlopen(LIBRARY; throw_error = false) === nothing && return (nothing, "libnativecache is not built: $NOT_BUILT")
    SESSION.on && return (nothing, "")
    return told(SESSION.reason, SESSION.message)
end

"Every companion that this session has found and looked at, in the order found."
found() = filter(item -> item.state !== :waiting || any_loaded(item), SESSION.found)

any_loaded(item::Found) = any(haskey(Base.loaded_modules, id) for (id, _) in item.companion.packages)

Base.getproperty(item::Found, name::Symbol) = name === :package ? getfield(item, :companion).packages[1].first : getfield(item, name)

function status_of(item::Found)
    companion = item.companion
    items = statement_items(item)
    bucket(name) = MethodItem[method for (which, method) in items if which == name]
    layers, saved = layers_in_use(first.(companion.packages), items)
    return Status(join((id.name for (id, _) in companion.packages), '+'), companion.index,
        MethodItem[MethodItem(method.statement) for (_, method) in items],
        bucket("installed"), bucket("waiting"), bucket("skipped"), bucket("rejected"), bucket("failed"),
        count(pair -> pair.first == "installed", items), item.seconds, library_size(companion.index), item.message,
        item.state === :rejected ? item.reason : nothing, saved, isfile(companion.index) ? file_time(companion.index) : NaN, layers)
end

"""
The state of each statement of a companion in this session. It is `installed` only if there is valid native code from an image.
"""
statement_items(item::Found) = [statement_item(item, outcome, text, detail) for (outcome, text, detail) in account(item.companion)]

function statement_item(item::Found, outcome, text, detail)
    bucket_of(outcome) == "compiled" || return bucket_of(outcome) => MethodItem(text, Symbol(outcome), detail)
    item.state === :waiting && return "waiting" => MethodItem(text, :PackageMissing,
        join((id.name for (id, _) in item.companion.packages if !haskey(Base.loaded_modules, id)), ", "))
    item.state === :rejected && return "rejected" => MethodItem(text, item.reason, item.message)
    return in_session(text, item)
end

function in_session(text::String, item::Found)
    type = try
        read_statement(text, loaded_root)
    catch err
        return "rejected" => MethodItem(text, :NoSuchMethod, sprint(showerror, err))
    end
    instance = instance_of(type, Base.get_world_counter())
    instance isa Core.MethodInstance || return "rejected" => MethodItem(text, :NoSuchMethod, instance)
    # Code that this session has compiled itself does not count.
    any_code(code -> is_valid(code) && has_image_code(code), instance) && return "installed" => MethodItem(text)
    superseded = superseded_by(instance, type, item)
    isempty(superseded) || return "rejected" => MethodItem(text, :Invalidated, superseded)
    why = refused(instance, item.log)
    isempty(why) || return "rejected" => MethodItem(text, :EdgeChanged, why)
    ended = was_native(instance)
    ended === nothing || return "rejected" => MethodItem(text, :Invalidated, ended_by(instance, ended))
    # The companion has code for it, but the session had compiled the method before.
    held = item.mod === nothing ? Any[] : getglobal(item.mod, :CODE)::Vector{Any}
    any(code -> code.def === instance, held) && is_compiled(instance) && return "rejected" => MethodItem(text, :AlreadyCompiled, "")
    return "rejected" => MethodItem(text, :NotInImage, "")
end

"""
The definition that has taken a signature away from the method whose code the companion brought, in words; empty if none
has. That code may be valid still: no call with these types reaches it.
"""
function superseded_by(instance::Core.MethodInstance, @nospecialize(type), item::Found)
    before = instance_of(type, item.world)
    before isa Core.MethodInstance && before.def !== instance.def && any_code(has_image_code, before) || return ""
    now = instance.def::Method
    return now.primary_world > item.world ? definition_text(now) : string(definition_text(before.def::Method), ", which was deleted")
end

function any_code(condition, instance::Core.MethodInstance)
    found = false
    each_code(code -> (found |= condition(code)), instance)
    return found
end

"The newest native code of the method instance that is not valid any more, or `nothing`."
function was_native(instance::Core.MethodInstance)
    newest = nothing
    each_code(instance) do code
        code.invoke != C_NULL && code.max_world != typemax(UInt) && code.max_world != 0 || return nothing
        (newest === nothing || code.max_world > newest.max_world) && (newest = code)
        return nothing
    end
    return newest
end

# ---- companions in the store ----

"Paths of the companions that this session uses."
used_libraries() = Set(item.companion.index for item in SESSION.found if item.state === :loaded)

"Paths of all companions that this session has looked at."
found_paths() = [item.companion.index for item in found()]

"The files of a companion. The `.companion` file is first."
function files_of(index::AbstractString)
    companion = companion_at(index)
    companion === nothing && return [String(index)]
    return filter!(ispath, [String(index); [string(companion.base, ending) for ending in (".so", ".ji", ".txt", ".jl", ".ends")]])
end

"Read a `.companion` file; `nothing` if it is gone or incomplete."
function companion_at(index::AbstractString)
    try
        return read_companion(String(index))
    catch err
        err isa Union{SystemError,Base.IOError} || rethrow()
        return nothing
    end
end

"The facts in a companion's file, and the problems that keep this session from using it."
function inspect_library(index::AbstractString)
    facts = LibraryFacts(index, [], [], [], 0)
    problem = distrust(index)
    isempty(problem) || push!(facts.problems, :Untrusted => problem)
    companion = companion_at(index)
    if companion === nothing
        push!(facts.problems, isfile(index) ? :Malformed => "its text is incomplete" : :NotFound => "")
        return facts
    end
    here = Dict(key_parts())
    for (component, built) in built_with(companion)
        now = get(here, component, "")
        push!(facts.key, (component, built, now))
        built == now || push!(facts.problems, :KeyDiffers => "$component: built with $built, this session has $now")
    end
    append!(facts.packages, companion.packages)
    for (id, built) in companion.packages
        mod = get(Base.loaded_modules, id, nothing)
        mod === nothing && continue
        now = UInt128(Base.module_build_id(mod))
        now == built || push!(facts.problems, :PackageBuild =>
            string(id.name, ": built with build id ", hex(built), ", this session has ", hex(now)))
    end
    for item in SESSION.found
        # The problem that Julia itself reported.
        item.companion.index == index && item.state === :rejected && isempty(facts.problems) && push!(facts.problems, item.reason => item.message)
    end
    damage = damage_of(companion)
    isempty(damage) || push!(facts.problems, :HashMismatch => damage)
    return facts
end

"How a companion's image differs from what Julia wrote; empty if it does not."
function damage_of(companion::Companion)
    cache, object = companion.base * ".ji", companion.base * ".so"
    try
        isfile(cache) || return "$cache is missing"
        isfile(object) || return "$object is missing"
        return open(cache) do io
            filesize(io) > 8 && Base.isvalid_file_crc(io) || return "the checksum of $cache is wrong"
            Base.isvalid_pkgimage_crc(io, object) || return "the checksum of $object is wrong"
            return ""
        end
    catch err
        err isa Union{SystemError,Base.IOError,EOFError} || rethrow()
        return sprint(showerror, err)
    end
end

"The requested methods of a companion, with their buckets in its build."
function peek(index::AbstractString)
    companion = companion_at(index)
    companion === nothing && return Pair{String,MethodItem}[]
    return Pair{String,MethodItem}[bucket_of(outcome) => MethodItem(text, outcome == "compiled" ? nothing : Symbol(outcome), detail)
                                   for (outcome, text, detail) in account(companion)]
end

"The bucket for a statement with this outcome of the build."
bucket_of(outcome) = outcome in ("compiled", "AlreadyNative") ? "compiled" :
    outcome in ("CompilerThrew", "BuildFailed") ? "failed" : "skipped"
