# Works off the queue of builds: julia queue.jl <queue> background|wait
#
# rust/session/src/auto.rs starts it and writes the jobs, files of lines "argument\t..." and
# "variable\tNAME\t...". One process works off a queue: who does not get the queue's lock leaves the job to who
# has it. And one builds at a time on a machine: for that lock it waits. The kernel takes both back from the dead.
module NativeCacheQueue

const FOLDER = ARGS[1]
const WAIT = ARGS[2] == "wait"      # a session waits for it

const LOCK_EX, LOCK_NB = 2, 4
const O_CREAT, O_NOFOLLOW, O_CLOEXEC = 0o100, 0o400000, 0o2000000

unescape(text) = replace(text, r"\\[\\tnr0]" => part -> Dict('\\' => "\\", 't' => "\t", 'n' => "\n", 'r' => "\r", '0' => "\0")[part[2]])

say(words...) = (println(stdout, words...); flush(stdout))

now() = Libc.strftime("%Y-%m-%d %H:%M:%S", time())

"A locked file, or `nothing` if another process has the lock, or after waiting for it."
function lock(path, flags; wait)
    # For reading: the machine's lock may be another user's file.
    fd = ccall(:open, Cint, (Cstring, Cint, Cint), path, flags, 0)
    fd < 0 && (fd = ccall(:open, Cint, (Cstring, Cint, Cint), path, flags | O_CREAT, 0o644))
    fd < 0 && return nothing
    while ccall(:flock, Cint, (Cint, Cint), fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0
        Libc.errno() == Libc.EINTR && continue
        ccall(:close, Cint, (Cint,), fd)
        return nothing
    end
    return fd
end

unlock(fd) = ccall(:close, Cint, (Cint,), fd)

jobs() = sort!(filter(name -> endswith(name, ".job"), readdir(FOLDER)))

"A job that this user wrote and nobody else can have changed; it is a command."
function trusted(path)
    found = lstat(path)
    return isfile(found) && found.uid == ccall(:getuid, Cuint, ()) && found.mode & 0o022 == 0
end

function work(name)
    job = joinpath(FOLDER, name)
    running = string(job, ".running")
    try
        mv(job, running; force = true)
    catch
        return nothing      # another one has it
    end
    if trusted(running)
        arguments, variables = String[], Dict{String,String}()
        for line in eachline(running)
            fields = unescape.(split(line, '\t'))
            fields[1] == "argument" && push!(arguments, fields[2])
            fields[1] == "variable" && (variables[fields[2]] = fields[3])
        end
        haskey(ENV, "LANG") && (variables["LANG"] = ENV["LANG"])
        started = time()
        say(now(), " ", name)
        process = run(pipeline(ignorestatus(setenv(Cmd(arguments), variables)); stdin = devnull, stdout = stdout, stderr = stdout))
        say(now(), " ", name, success(process) ? ": done" : ": exit code $(process.exitcode), signal $(process.termsignal)",
            " after ", round(time() - started; digits = 1), " s")
    else
        say(now(), " ", name, ": others can write to it, so it is not run")
    end
    rm(running; force = true)
    return nothing
end

function main()
    WAIT || ccall(:setsid, Cint, ())
    WAIT || ccall(:setpriority, Cint, (Cint, Cuint, Cint), 0, 0, 19)
    while true
        queue = lock(joinpath(dirname(FOLDER), "queue.lock"), O_CLOEXEC; wait = WAIT)
        queue === nothing && return nothing
        # Inherited by the builds: what is left of one whose parent was killed counts as well.
        machine = lock(joinpath(tempdir(), "nativecache-background.lock"), O_NOFOLLOW; wait = true)
        machine === nothing && return nothing
        # With the lock held nothing runs: what says so was killed half-way.
        for name in readdir(FOLDER)
            endswith(name, ".running") || continue
            job = joinpath(FOLDER, name[1:end-8])
            isfile(job) ? rm(joinpath(FOLDER, name); force = true) : mv(joinpath(FOLDER, name), job)
        end
        for name in readdir(FOLDER)     # what a process that died while writing has left
            occursin(".tmp-", name) && time() - mtime(joinpath(FOLDER, name)) > 3600 && rm(joinpath(FOLDER, name); force = true)
        end
        while (waiting = jobs(); !isempty(waiting))
            work(waiting[1])
        end
        unlock(machine)
        unlock(queue)
        # A job that came after the last look and before the lock was free is ours: look again.
        isempty(jobs()) && return nothing
    end
end

end

NativeCacheQueue.main()
