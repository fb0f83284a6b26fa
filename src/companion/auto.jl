# What a session does by itself about companions that are not up to date: the setting `auto`. The queue is the one of the
# native engine (processes/queue.jl); jobs are files of lines "argument\t...", "variable\tNAME\t..." and "package\tuuid\tName".

"""
The session has ended and has taught the profiles of some packages something: `text` is what `learn` returned. With
`auto = "background"` a process of its own, which outlives the session, builds their companions; with `"now"` the session
waits for it.
"""
function build_learnt(text::String)
    learnt = Vector{PkgId}[]
    for line in split(text, '\n'; keepempty = false)
        words = fields_of(line)
        words[1] == "profile" && parse(Int, words[4]) > 0 || continue
        ids = PkgId[id for id in keys(Base.loaded_modules) if package_folder(id) in words[5:end]]
        push!(learnt, sort!(ids; by = package_folder))
    end
    auto = session_setting("auto")
    (isempty(learnt) || !(auto in ("background", "now"))) && return nothing
    root = joinpath(writable_depot(), STORE)
    queue = joinpath(root, "queue")
    mkpath(queue; mode = FOLDER_MODE)
    for ids in learnt
        write_whole(joinpath(queue, string(profile_folder(ids), '-', session_key(), ".job")), job_text(ids))
    end
    start_queue(root, queue, auto == "now")
    return nothing
end

function job_text(ids::Vector{PkgId})
    io = IOBuffer()
    for argument in [companion_julia_command().exec; joinpath(SOURCES, "processes", "background.jl")]
        println(io, "argument\t", escape_field(argument))
    end
    foreach(id -> println(io, "package\t", uuid_text(id), '\t', escape_field(id.name)), ids)
    println(io, "variable\tJULIA_LOAD_PATH\t", escape_field(join(LOAD_PATH, ':')))
    println(io, "variable\tJULIA_DEPOT_PATH\t", escape_field(join(DEPOT_PATH, ':')))
    println(io, "variable\tJULIA_NATIVECACHE\toff")
    for (name, value) in ENV
        startswith(name, "JULIA_NATIVECACHE_") || name in ("PATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "JULIA_CPU_TARGET") || continue
        println(io, "variable\t", escape_field(name), '\t', escape_field(value))
    end
    return String(take!(io))
end

"Start a process that runs the jobs in the queue. It is detached, unless the session waits for it."
function start_queue(root::String, queue::String, wait::Bool)
    log = joinpath(root, "background.log")
    filesize(log) > 1 << 20 && Base.Filesystem.rename(log, log * ".old")
    julia = joinpath(Sys.BINDIR, Base.julia_exename())
    script = joinpath(SOURCES, "processes", "queue.jl")
    # The shell exits at once, so the session has no child to wait for.
    how = wait ? "exec \"\$@\"" : "\"\$@\" &"
    command = `/bin/sh -c $how sh $julia --startup-file=no --history-file=no --compile=min -O0 $script $queue $(wait ? "wait" : "background")`
    environment = copy(ENV)
    environment["JULIA_NATIVECACHE"] = "off"
    foreach(name -> delete!(environment, name), ("JULIA_LOAD_PATH", "JULIA_PROJECT"))
    open(log; append = true) do io
        run(pipeline(ignorestatus(setenv(command, Dict{String,String}(environment); dir = "/")); stdin = devnull, stdout = io, stderr = io))
    end
    return nothing
end
