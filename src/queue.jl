# Works off the queue of builds: julia queue.jl <queue> background|wait
#
# rust/session/src/auto.rs starts it and writes the jobs, files of lines "argument\t..." and
# "variable\tNAME\t...". One such process builds at a time on a machine: it holds a lock that the kernel
# takes back when it and its children are dead. Who does not get the lock leaves the job to who has it.
module NativeCacheQueue

const FOLDER = ARGS[1]
const WAIT = ARGS[2] == "wait"      # a session waits for it

const LOCK_EX, LOCK_NB = 2, 4

unescape(text) = replace(text, r"\\[\\tnr0]" => part -> Dict('\\' => "\\", 't' => "\t", 'n' => "\n", 'r' => "\r", '0' => "\0")[part[2]])

say(words...) = (println(stdout, words...); flush(stdout))

now() = Libc.strftime("%Y-%m-%d %H:%M:%S", time())

"The lock, or `nothing` if another process has it. Its children inherit it: what is left of a killed one counts."
function lock()
    path = joinpath(tempdir(), "nativecache-background.lock")
    # For reading: it may be another user's.
    fd = ccall(:open, Cint, (Cstring, Cint, Cint), path, 0, 0)
    fd < 0 && (fd = ccall(:open, Cint, (Cstring, Cint, Cint), path, 0o100, 0o644))
    fd < 0 && return nothing
    ccall(:flock, Cint, (Cint, Cint), fd, WAIT ? LOCK_EX : LOCK_EX | LOCK_NB) == 0 && return fd
    ccall(:close, Cint, (Cint,), fd)
    return nothing
end

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
    while !isempty(readdir(FOLDER))
        fd = lock()
        fd === nothing && return nothing
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
        ccall(:close, Cint, (Cint,), fd)
        # A job that came after the last look and before the lock was free is ours: look again.
        isempty(jobs()) && return nothing
    end
end

end

NativeCacheQueue.main()
