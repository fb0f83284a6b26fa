# One build of a companion: a separate process (worker.jl) loads the packages and has Julia precompile the companion. This
# file starts the process, watches it and puts the files in place.

const COMPANION_WORKER = joinpath(@__DIR__, "worker.jl")

"The command that starts Julia as this session was started: `Base.julia_cmd` and the project."
function companion_julia_command()
    project = Base.active_project(false)
    flags = project === nothing ? String[] : ["--project=$project"]
    return `$(Base.julia_cmd()) $flags --startup-file=no --history-file=no --color=no`
end

function run_companion_job(job::Job)
    why = out_of_place()
    why in (nothing, :Disabled) || return Failure(told(why)[2])
    work = work_folder(job.keep)
    try
        return build_companion(job, work.path)
    finally
        job.keep && @info "NativeCache: the work folder is kept" folder = work.path
        leave(work; keep = job.keep)
    end
end

function build_companion(job::Job, work::String)
    place(name) = joinpath(work, name)
    wanted = filter(!names_main, job.statements)
    # A companion that is built only for a comparison is not put into the store.
    folder = joinpath(job.compare === nothing ? dirname(work) : joinpath(work, "store"), session_key(), package_folder(job.packages[1]))
    trusted_folder(folder)
    write(place("statements"), (text * '\n' for text in wanted)...)
    open(place("request"), "w") do io
        println(io, "folder\t", escape_field(folder))
        here = Base.PkgId(@__MODULE__)
        println(io, "trainer\t", uuid_text(here), '\t', here.name)
        foreach(id -> println(io, "package\t", uuid_text(id), '\t', id.name), job.packages)
    end
    update(job.progress, "compiling")
    command = setenv(`$(companion_julia_command()) $COMPANION_WORKER $work`, companion_environment())
    log = place("log")
    started = time_ns()
    process, stuck = watch(command, log) do
        tick(job.progress)
        (time_ns() - started) / 1e9 > job.timeout
    end
    if !success(process)
        isfile(place("failure")) && return Failure(string(read(place("failure"), String), "; ", last_words(log)))
        return Failure(string("the build process died: ", stuck ? "stopped after $(job.timeout) s" :
            process.termsignal == 0 ? "exit code $(process.exitcode)" : "signal $(process.termsignal)", ": ", last_words(log)))
    end
    return put_companion(job, work, folder)
end

function companion_environment()
    environment = julia_environment()
    delete!(environment, "JULIA_NUM_THREADS")
    return environment
end

"Move the image into the store. Write the `.companion` file, which sessions look for, last."
function put_companion(job::Job, work::String, folder::String)
    facts = Dict{String,String}()
    packages = String[]
    for line in eachline(joinpath(work, "result"))
        words = fields_of(line)
        words[1] == "package" ? push!(packages, line) : (facts[words[1]] = words[2])
    end
    facts["trainer"] == hex128(UInt128(Base.module_build_id(@__MODULE__))) || return Failure(
        "NativeCache was recompiled after this session began: start a new session")
    items = companion_items(job, joinpath(work, "account"))
    job.compare === nothing || return compare_companion(job, facts, items)
    base = joinpath(folder, facts["base"])
    index = joinpath(folder, facts["stem"] * ".companion")
    ends = joinpath(work, "ends")
    SHORTENS && seal_ends(ends, ends, facts["cache"])
    SHORTENS && move_in(ends, base * ".ends")
    move_in(facts["object"], base * ".so")
    move_in(facts["cache"], base * ".ji")
    head = [string(name, '\t', facts[name]) for name in ("name", "uuid", "base")]
    key = [string("key\t", name, '\t', escape_field(value)) for (name, value) in key_parts()]
    lines = [string("statement\t", item.second.reason === nothing ? item.first : item.second.reason, '\t',
                    escape_field(item.second.statement), '\t', escape_field(item.second.detail)) for item in items]
    write_whole(index, join([head; key; packages; lines], '\n') * '\n')
    # Remove an earlier companion for these builds.
    remove_in(name -> startswith(name, facts["stem"] * "-") && !startswith(name, facts["base"]), folder)
    forget_record()
    retire(job.packages[1])
    keep_within_cap()
    return Success(index, library_size(index), items, Dict{String,Float64}(), Int[], Dict{Int,Tuple{String,Vector{PkgId}}}(), Dict{Int,Float64}())
end

"Sessions of this project load what was built, whatever those before them did without."
function forget_record()
    project = Base.active_project()
    project isa String || return nothing
    for depot in DEPOT_PATH
        try
            rm(joinpath(depot, record_of(project)); force = true)
        catch err
            err isa Base.IOError || rethrow()       # another's depot
        end
    end
    return nothing
end

"Julia gives them the rights of the source, which others may read and nobody else may write."
function move_in(from::String, to::String)
    chmod(from, 0o644)
    Base.Filesystem.rename(from, to)
    return nothing
end

"What became of each statement: bucket => method."
function companion_items(job::Job, path::String)
    outcomes = Dict{String,Tuple{String,String}}()
    for line in eachline(path)
        words = split(line, '\t')
        length(words) == 3 && (outcomes[words[2]] = (words[1], words[3]))
    end
    items = Pair{String,MethodItem}[]
    for text in job.statements
        outcome, detail = names_main(text) ? ("NamesMain", "") : get(outcomes, text, ("BuildFailed", "the trainer did not reach it"))
        if bucket_of(outcome) == "compiled"
            push!(items, "compiled" => MethodItem(text, outcome == "compiled" ? nothing : :AlreadyNative, detail))
        else
            push!(items, bucket_of(outcome) => MethodItem(text, Symbol(outcome), detail))
        end
    end
    return items
end

"""
To which of these packages each statement belongs: number => (text, packages). A path in a statement begins with the name
of its package. If one package loads the others, as far as this session knows, the statement belongs to that one.
"""
function owners_by_name(ids::Vector{PkgId}, given::Vector{String})
    found = Dict{Int,Tuple{String,Vector{PkgId}}}()
    for (number, text) in enumerate(given)
        names = Set{Symbol}()
        path_roots!(names, Meta.parse(text; raise = false))
        owners = filter(id -> Symbol(id.name) in names, ids)
        all_of(id) = all(other -> other == id || other in loads(id), owners)
        at = findfirst(all_of, owners)
        isempty(owners) || (found[number] = (text, at === nothing ? owners : [owners[at]]))
    end
    return found
end

function path_roots!(names::Set{Symbol}, @nospecialize(ex))
    ex isa Symbol && push!(names, ex)
    ex isa Expr && foreach(part -> path_roots!(names, part), ex.head === :. ? ex.args[1:1] : ex.args)
    return names
end
