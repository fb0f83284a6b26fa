# What of a companion can be compared with one that is built anew: see the docstring of verify.

"Is this build of the package one that a later session will load again?"
has_build_id(id::PkgId, number::UInt128) = hex(number) in known_builds(id, Dict{String,Set{String}}())

"Build what the companion holds once more, in a scratch store, and compare; the outcome of a build, or a `Failure`."
function built_anew(path::String; quiet::Bool)
    companion = companion_at(path)
    companion === nothing && return Failure("its text cannot be read")
    texts = String[text for (_, text, _) in account(companion)]
    return run_guarded(Job(first.(companion.packages), texts, setting("linker"), setting("timeout"), setting("memory"), false, Progress(quiet), path))
end

"What became of the statements of a companion that was built anew, as bucket => method: `compiled` are those that could be compared."
function compare_companion(job::Job, facts::Dict{String,String}, items)
    before = Dict(text => (outcome, detail) for (outcome, text, detail) in account(companion_at(job.compare)))
    found = Pair{String,MethodItem}[]
    for (bucket, item) in items
        then = get(before, item.statement, ("nothing", ""))
        now = (string(something(item.reason, bucket)), item.detail)
        bucket == "compiled" && push!(found, "compiled" => item)
        then[1] == now[1] || push!(found, "different" => MethodItem(item.statement, :Different,
            string(then[1], " in the library", isempty(then[2]) ? "" : " ($(then[2]))", ", ", now[1], " now", isempty(now[2]) ? "" : " ($(now[2]))")))
    end
    statistics = Dict{String,Float64}()
    companion = companion_at(job.compare)
    for (name, old, new) in (("code", companion.base * ".so", facts["object"]), ("cache", companion.base * ".ji", facts["cache"]))
        statistics["$name bytes now"] = filesize(new)
        statistics["$name bytes"] = file_size(old)
        statistics["$name is the same"] = isfile(old) && read(old) == read(new)
    end
    return Success(job.compare, Int(statistics["code bytes now"] + statistics["cache bytes now"]), found, statistics, Int[],
        Dict{Int,Tuple{String,Vector{PkgId}}}(), Dict{Int,Float64}())
end

"What besides the methods was compared, in words."
function compared_besides(path::String, outcome)
    say(name, ending) = outcome.statistics["$name is the same"] == 1 ? "$ending: the same bytes" :
        string(ending, ": not the same bytes, as is usual of Julia's images; ", size_text(outcome.statistics["$name bytes"]), " in the store, ",
            size_text(outcome.statistics["$name bytes now"]), " now; machine code was not compared")
    return [say("code", ".so"), say("cache", ".ji")]
end

"Methods of a loaded companion whose return type this session infers differently."
function inferred_differently(path::String)
    items = MethodItem[]
    number = findfirst(item -> item.companion.index == path && item.state === :loaded, SESSION.found)
    number === nothing && return items
    ranges = mapped_ranges()
    world = Base.get_world_counter()
    for (_, text, _) in account(SESSION.found[number].companion)
        instance = try
            instance_of(read_statement(text, loaded_root), world)
        catch
            continue
        end
        instance isa Core.MethodInstance || continue
        each_code(instance) do code
            code.max_world == typemax(UInt) && kind_of(code, ranges) == (:library, path) || return nothing
            type = Core.Compiler.typeinf_type(Core.Compiler.NativeInterpreter(world), instance.def, instance.specTypes, instance.sparam_vals)
            # How far inference looks depends on where it began; a wider type in the library is no error.
            type === nothing || type <: code.rettype || push!(items, MethodItem(text, :Different,
                string("return type: ", code.rettype, " in the library, ", type, " now")))
            return nothing
        end
    end
    return items
end
