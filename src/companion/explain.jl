# What is known about a method on Julia 1.10 and later: where its code is, and why earlier code is not valid any more.

# ---- where code lies ----

"The files that are mapped into this process, each with its start and end. The list comes from the kernel, which needs no lock of the loader."
function mapped_ranges()
    found = Tuple{UInt,UInt,String}[]
    for line in eachline("/proc/self/maps")
        parts = match(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ +(/.*)$", line)
        parts === nothing || push!(found, (parse(UInt, parts[1]; base = 16), parse(UInt, parts[2]; base = 16), parts[3]))
    end
    return found
end

file_at(address::UInt, ranges) = (at = findfirst(range -> range[1] <= address < range[2], ranges); at === nothing ? "" : ranges[at][3])

"The kind of a code instance, and the file that it is from."
function kind_of(code::Core.CodeInstance, ranges)
    is_constant(code) && return :constant, ""
    code.invoke == C_NULL && return :inferred, ""
    address = UInt(getfield(code, :specptr))
    path = file_at(address == 0 ? UInt(code.invoke) : address, ranges)
    for item in SESSION.found
        item.state === :loaded && true_path(path) == true_path(item.companion.base * ".so") && return :library, item.companion.index
    end
    isempty(path) && return :session, ""
    true_path(path) == true_path(unsafe_string(Base.JLOptions().image_file)) && return :sysimage, ""
    # Code that this session compiled may be called through trampolines in the libraries of Julia itself.
    return any(origin -> origin.cachepath !== nothing && true_path(Base.ocachefile_from_cachefile(origin.cachepath)) == true_path(path),
        values(Base.pkgorigins)) ? (:image, path) : (:session, "")
end

true_path(path) = try realpath(path) catch; path end

"What this session has for a method instance: its code, and its outcomes in companions."
function known_of(instance::Core.MethodInstance)
    code, libraries = CodeStory[], LibraryStory[]
    ranges = mapped_ranges()
    each_code(instance) do one
        kind, path = kind_of(one, ranges)
        valid = one.max_world == typemax(UInt)
        push!(code, CodeStory(kind, path, Int(one.min_world), valid ? 0 : Int(one.max_world), valid || one.max_world == 0 ? "" : ended_by(instance, one)))
    end
    for item in SESSION.found
        item.state === :loaded || continue
        has = any(one -> one.library == item.companion.index, code)
        for (outcome, text, detail) in account(item.companion)
            stands_for(text, instance) || continue
            bucket, method = statement_item(item, outcome, text, detail)
            push!(libraries, LibraryStory(item.companion.index, bucket, method.reason, method.statement, method.detail))
            has = false
        end
        has && push!(libraries, LibraryStory(item.companion.index, "installed", nothing, "", ""))
    end
    return code, libraries
end

function each_code(body, instance::Core.MethodInstance)
    isdefined(instance, :cache) || return nothing
    code = instance.cache
    while true
        is_native(code) && body(code)
        isdefined(code, :next) || return nothing
        code = code.next
    end
end

"Does this statement refer to this method instance?"
function stands_for(statement::String, instance::Core.MethodInstance)
    type = try
        read_statement(statement, loaded_root)
    catch
        return false
    end
    return instance_of(type, Base.get_world_counter()) === instance
end

# ---- what invalidated code ----

"The definition that invalidated this code, as text; empty if that is unknown."
function ended_by(instance::Core.MethodInstance, code::Core.CodeInstance)
    last = code.max_world
    came, went = methods_at(last)
    if length(came) + length(went) > 1
        # A package adds all its methods at once. Keep those that match a call of this method instance.
        reached = calls_of(instance, last)
        mattering = filter(method -> any(call -> typeintersect(call, method.sig) !== Union{}, reached), came)
        isempty(mattering) || (came = mattering)
    end
    texts = [definition_text.(came); [string(definition_text(method), ", which was deleted") for method in went]]
    length(texts) > 3 && (texts = [texts[1:3]; "$(length(texts) - 3) more"])
    return join(texts, ", ")
end

function definition_text(method::Method)
    types = Base.unwrap_unionall(method.sig).parameters[2:end]
    return string(method.name, '(', join((string("::", type) for type in types), ", "), ") in ", method.module, " at ", method.file, ':', method.line)
end

const METHODS_AT = Dict{UInt,Tuple{Vector{Method},Vector{Method}}}()

"The methods that were added, and those that were deleted, in the world after this one."
methods_at(last::UInt) = get!(() -> look_for_methods(last), METHODS_AT, last)

function look_for_methods(last::UInt)
    came, went = Method[], Method[]
    for table in method_tables()
        Base.visit(table) do method
            method isa Method || return nothing
            method.primary_world == last + 1 && push!(came, method)
            is_deleted_after(method, last) && push!(went, method)
            return nothing
        end
    end
    return came, went
end

# Inferring this many methods in an older world takes only a moment.
const MOST_CALLS = 500

"The signatures that the code of a method instance called in that world, directly or through others."
function calls_of(instance::Core.MethodInstance, world::UInt)
    found = Any[instance.specTypes]
    waiting, seen = Core.MethodInstance[instance], Set{Core.MethodInstance}()
    while !isempty(waiting) && length(seen) < MOST_CALLS
        one = popfirst!(waiting)
        one in seen && continue
        push!(seen, one)
        edges = try
            edges_of(one, world)
        catch
            continue        # a method on which the compiler throws was never compiled
        end
        for edge in edges
            edge isa Core.MethodInstance && push!(waiting, edge)
            push!(found, edge isa Core.MethodInstance ? edge.specTypes : edge)
        end
    end
    return filter!(call -> call isa Type, found)
end

# ---- what Julia's loader logged about a companion ----

"Why the loader refused a method of a companion, as text; empty if the log does not mention it."
function refused(instance::Core.MethodInstance, log::Vector{Any})
    calls = Dict{Any,String}()
    why = Dict{Any,Any}()
    for at in eachindex(log)
        log[at] isa String && at > 1 && at < length(log) || continue
        if log[at] == "insert_backedges_callee"
            get!(() -> changed_text(log[at-1], get(log, at + 2, nothing)), calls, named_by(log[at+1]))
        elseif log[at] == "verify_methods"
            get!(why, named_by(log[at-1]), named_by(log[at+1]))
        end
    end
    # Follow the log from caller to callee, down to the call that now reaches another method.
    through = String[]
    next = instance
    for _ in 1:length(why)
        cause = get(why, next, nothing)
        cause === nothing && return ""
        if haskey(calls, cause) || !(cause isa Core.MethodInstance)
            cause isa Core.MethodInstance && cause !== next && push!(through, signature_or_nothing(cause.specTypes))
            return string(get(calls, cause, "a call"), isempty(through) ? "" : string(", called through ", join(through, ", ")))
        end
        cause === next && return ""
        next = cause
        push!(through, signature_or_nothing(cause.specTypes))
    end
    return ""
end

function changed_text(@nospecialize(call), @nospecialize(matches))
    callee = named_by(call)
    type = callee isa Core.MethodInstance ? callee.specTypes : callee
    methods = matches isa Vector ? Method[match isa Core.MethodMatch ? match.method : match for match in matches if match isa Union{Core.MethodMatch,Method}] : Method[]
    return string("the call ", signature_or_nothing(type), isempty(methods) ? " has no method any more, or another one" :
        string(" now calls ", join(definition_text.(methods[1:min(end, 3)]), ", ")))
end

signature_or_nothing(@nospecialize(type)) = (text = signature_text(type); isempty(text) ? string(type) : text)
