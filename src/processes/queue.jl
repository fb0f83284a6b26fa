# Runs the jobs in the queue of builds: julia queue.jl <queue> background|wait
#
# rust/session/src/auto.rs (src/companion/auto.jl on Julia 1.10 and later) writes the jobs and starts this process. Jobs are
# files with lines "argument\t...", "variable\tNAME\t..." and "package\tuuid\tName". Only one process works on a queue: a
# process that does not get the queue's lock leaves its job to the process that holds it. On each machine only one process
# builds for a user at a time: the others wait for that lock. The kernel releases both locks when a process dies.
module NativeCacheQueue

const FOLDER = ARGS[1]
const WAIT = ARGS[2] == "wait"      # a session waits for it

const LOCK_EX, LOCK_NB = 2, 4
const O_RDWR, O_CREAT, O_NOFOLLOW, O_CLOEXEC = 2, 0o100, 0o400000, 0o2000000

include("../store/lines.jl")     # how texts become fields of lines

say(words...) = (println(stdout, words...); flush(stdout))

now() = Libc.strftime("%Y-%m-%d %H:%M:%S", time())

"Open and lock a file. Returns `nothing` on failure; without `wait`, also if another process holds the lock."
function lock(path, flags; wait)
    fd = ccall(:open, Cint, (Cstring, Cint, Cint), path, flags | O_RDWR | O_CREAT, 0o600)
    fd < 0 && return nothing
    while ccall(:flock, Cint, (Cint, Cint), fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0
        Libc.errno() == Libc.EINTR && continue
        ccall(:close, Cint, (Cint,), fd)
        return nothing
    end
    return fd
end

unlock(fd) = ccall(:close, Cint, (Cint,), fd)

"""
The folder of the machine's lock. Only this user may enter it, so nobody else can hold the lock. If the folder with this
name belongs to somebody else, the lock is in the store.
"""
function machine_folder()
    user = ccall(:getuid, Cuint, ())
    folder = joinpath(tempdir(), "nativecache-$user")
    ccall(:mkdir, Cint, (Cstring, Cint), folder, 0o700)
    found = lstat(folder)
    return isdir(found) && found.uid == user && found.mode & 0o077 == 0 ? folder : dirname(FOLDER)
end

jobs() = sort!(filter(name -> endswith(name, ".job"), readdir(FOLDER)))

"May this job, which is a command, be run? Only if this user owns the file and nobody else can write to it."
function trusted(path)
    found = lstat(path)
    return isfile(found) && found.uid == ccall(:getuid, Cuint, ()) && found.mode & 0o022 == 0
end

"The contents of a job file: the command without the packages, its environment, and the packages."
struct Job
    name::String
    arguments::Vector{String}
    variables::Dict{String,String}
    packages::Vector{String}        # uuid, name, uuid, name ...
end

running(name) = joinpath(FOLDER, string(name, ".running"))

"Take a job, so that no other process runs it. If this process does not finish, the job is run again."
function take(name)
    try
        mv(joinpath(FOLDER, name), running(name); force = true)
    catch
        return nothing      # another process has taken it
    end
    if !trusted(running(name))
        say(now(), " ", name, ": others can write to it, so it is not run")
        rm(running(name); force = true)
        return nothing
    end
    job = Job(name, String[], Dict{String,String}(), String[])
    for line in eachline(running(name))
        fields = fields_of(line)
        length(fields) == 2 && fields[1] == "argument" && push!(job.arguments, fields[2])
        length(fields) == 3 && fields[1] == "variable" && (job.variables[fields[2]] = fields[3])
        length(fields) == 3 && fields[1] == "package" && append!(job.packages, fields[2:3])
    end
    return job
end

# The environment of the session that started this process, and that usually wrote the job. Variables in the job override
# it. The whole environment is never written to a file, since it may contain secrets.
const ENV_HERE = Dict{String,String}(ENV)

"Run jobs of one kind of session, in one process."
function work(group)
    names = join((job.name for job in group), ", ")
    started = time()
    say(now(), " ", names)
    command = copy(group[1].arguments)
    for job in group
        append!(command, job.packages)
        push!(command, "+")
    end
    how = try
        process = run(pipeline(ignorestatus(setenv(Cmd(command), merge(ENV_HERE, group[1].variables))); stdin = devnull, stdout = stdout, stderr = stdout))
        success(process) ? "done" : "exit code $(process.exitcode), signal $(process.termsignal)"
    catch err
        sprint(showerror, err)      # that Julia no longer exists, or the job file is truncated
    end
    say(now(), " ", names, ": ", how, " after ", round(time() - started; digits = 1), " s")
    foreach(job -> rm(running(job.name); force = true), group)
    return nothing
end

function main()
    WAIT || ccall(:setsid, Cint, ())
    WAIT || ccall(:setpriority, Cint, (Cint, Cuint, Cint), 0, 0, 19)
    while true
        queue = lock(joinpath(dirname(FOLDER), "queue.lock"), O_CLOEXEC; wait = WAIT)
        queue === nothing && return nothing
        # The builds inherit this lock, so a build whose parent was killed still counts.
        machine = lock(joinpath(machine_folder(), "building.lock"), O_NOFOLLOW; wait = true)
        machine === nothing && return nothing
        # While this process holds the lock, no job is running: a job that is marked as running was killed.
        for name in readdir(FOLDER)
            endswith(name, ".running") || continue
            job = joinpath(FOLDER, name[1:end-8])
            isfile(job) ? rm(joinpath(FOLDER, name); force = true) : mv(joinpath(FOLDER, name), job)
        end
        for name in readdir(FOLDER)     # leftovers of processes that died while writing
            occursin(".tmp-", name) && time() - mtime(joinpath(FOLDER, name)) > 3600 && rm(joinpath(FOLDER, name); force = true)
        end
        while (waiting = jobs(); !isempty(waiting))
            taken = filter!(job -> job !== nothing, Any[take(name) for name in waiting])
            while !isempty(taken)
                alike(job) = job.arguments == taken[1].arguments && job.variables == taken[1].variables
                group = filter(alike, taken)
                filter!(job -> !(job in group), taken)
                work(group)
            end
        end
        unlock(machine)
        unlock(queue)
        # A job may have come after the last look, while this process still held the lock. So look again.
        isempty(jobs()) && return nothing
    end
end

end

NativeCacheQueue.main()
