# What a session of Julia 1.10 or later has: the companions that were found, and of each statement what became of it.
# status.jl shows it.

"Why nothing is loaded in this session, as (reason, words); (nothing, \"\") if it is on."
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
    native = filter(isfile, [companion.base * ".so", companion.base * ".ji"])
    return Status(join((id.name for (id, _) in companion.packages), '+'), companion.index,
        MethodItem[MethodItem(method.statement) for (_, method) in items],
        bucket("installed"), bucket("waiting"), bucket("skipped"), bucket("rejected"), bucket("failed"),
        count(pair -> pair.first == "installed", items), item.seconds, sum(filesize.(native); init = 0), item.message,
        item.state === :rejected ? item.reason : nothing, saved, file_time(companion.index), layers)
end

"""
Of each statement of a companion what this session has: `installed` only if there is valid native code now, or the loader
said why not.
"""
function statement_items(item::Found)
    items = Pair{String,MethodItem}[]
    for (outcome, text, detail) in account(item.companion.index)
        if !(outcome in ("compiled", "AlreadyNative"))
            bucket = outcome in ("CompilerThrew", "BuildFailed") ? "failed" : "skipped"
            push!(items, bucket => MethodItem(text, Symbol(outcome), unescape_field(detail)))
        elseif item.state === :waiting
            push!(items, "waiting" => MethodItem(text, :PackageMissing, join((id.name for (id, _) in item.companion.packages), ", ")))
        elseif item.state === :rejected
            push!(items, "rejected" => MethodItem(text, item.reason, item.message))
        else
            push!(items, in_session(text))
        end
    end
    return items
end

function in_session(text::String)
    type = try
        read_statement(text, loaded_root)
    catch err
        return "rejected" => MethodItem(text, :NoSuchMethod, sprint(showerror, err))
    end
    instance = instance_of_type(type)
    instance === nothing && return "rejected" => MethodItem(text, :NoSuchMethod, "no method matches, or several do")
    is_compiled(instance) && return "installed" => MethodItem(text)
    isdefined(instance, :cache) && was_native(instance) &&
        return "rejected" => MethodItem(text, :Invalidated, "a method that it calls was redefined, deleted or superseded")
    return "rejected" => MethodItem(text, :NotInImage, "Julia's image writer did not keep its code")
end

"Had it native code that is not valid any more?"
function was_native(instance::Core.MethodInstance)
    code = instance.cache
    while true
        code.invoke != C_NULL && return true
        isdefined(code, :next) || return false
        code = code.next
    end
end

"The method instance that `precompile` compiles for this signature, or `nothing`."
function instance_of_type(@nospecialize(type))
    matches = Base._methods_by_ftype(type, -1, Base.get_world_counter())
    matches isa Vector && !isempty(matches) || return nothing
    match = length(matches) == 1 ? matches[1]::Core.MethodMatch : most_general(type, matches)
    match === nothing && return nothing
    return ccall(:jl_specializations_get_linfo, Any, (Any, Any, Any),
        match.method, match.spec_types, match.sparams)::Core.MethodInstance
end

"""
Which of several matches `precompile` takes, as `jl_get_compile_hint_specialization` says: of those that this signature is
compiled for, the one that is more specific than no other.
"""
function most_general(@nospecialize(type), matches::Vector)
    compiled = Core.MethodMatch[match for match in matches if
        ccall(:jl_isa_compileable_sig, Int32, (Any, Any, Any), type, match.sparams, match.method) != 0]
    general = Core.MethodMatch[]
    for (number, match) in enumerate(compiled)
        any(later -> Base.morespecific(match.method.sig, later.method.sig), @view compiled[number+1:end]) || push!(general, match)
    end
    return length(general) == 1 ? general[1] : nothing
end

"Loaded packages that have companions in the store, none of which was even looked at."
function stale(items)
    known = Set(item.package for item in items)
    result = Status[]
    for id in keys(Base.loaded_modules)
        id.name in known && continue
        any(depot -> isdir(joinpath(depot, STORE, session_key(), package_folder(id))), DEPOT_PATH) || continue
        push!(result, nothing_of(id.name, [id]))
    end
    return sort!(result; by = item -> item.package)
end

function missing_message(ids)
    is_on() || return session_message()
    for id in ids
        haskey(Base.loaded_modules, id) || return told(:NotLoaded, id.name)
    end
    id = ids[1]
    start = hex128(UInt128(Base.module_build_id(Base.loaded_modules[id])))
    folders = [joinpath(depot, STORE, session_key(), package_folder(id)) for depot in DEPOT_PATH]
    names = reduce(vcat, (filter(endswith(".companion"), readdir(folder)) for folder in folders if isdir(folder)); init = String[])
    any(startswith(start), names) && return told(:BuiltLater)
    isempty(names) || return told(:PackageBuild)
    return told(:NotFound, string("NativeCache.build(", repr(id.name), ") makes one"))
end
