# Works off the queue of builds: julia queue.jl <queue> background|wait
#
# rust/session/src/auto.rs starts it and writes the jobs, files of lines "argument\t...", "variable\tNAME\t..." and
# "package\tuuid\tName". One process works off a queue: who does not get the queue's lock leaves the job to who
# has it. And one builds for a user at a time on a machine: for that lock it waits. The kernel takes both back from
# the dead.
module NativeCacheQueue

const FOLDER = ARGS[1]
const WAIT = ARGS[2] == "wait"      # a session waits for it

const LOCK_EX, LOCK_NB = 2, 4
const O_RDWR, O_CREAT, O_NOFOLLOW, O_CLOEXEC = 2, 0o100, 0o400000, 0o2000000

include("../store/lines.jl")     # how texts become fields of lines

say(words...) = (println(stdout, words...); flush(stdout))

now() = Libc.strftime("%Y-%m-%d %H:%M:%S", time())

"A locked file, or `nothing` if another process has the lock, or after waiting for it."
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
Where the machine's lock lies: a folder that only this user enters, so that nobody else can hold the lock. A
folder of that name that is somebody else's leaves the store, which is a depot's.
"""
function machine_folder()
    user = ccall(:getuid, Cuint, ())
    folder = joinpath(tempdir(), "nativecache-$user")
    ccall(:mkdir, Cint, (Cstring, Cint), folder, 0o700)
    found = lstat(folder)
    return isdir(found) && found.uid == user && found.mode & 0o077 == 0 ? folder : dirname(FOLDER)
end

jobs() = sort!(filter(name -> endswith(name, ".job"), readdir(FOLDER)))

"A job that this user wrote and nobody else can have changed; it is a command."
function trusted(path)
    found = lstat(path)
    return isfile(found) && found.uid == ccall(:getuid, Cuint, ()) && found.mode & 0o022 == 0
end

"What a job file says: the command but for the packages, its environment, and the packages."
struct Job
    name::String
    arguments::Vector{String}
    variables::Dict{String,String}
    packages::Vector{String}        # uuid, name, uuid, name ...
end

running(name) = joinpath(FOLDER, string(name, ".running"))

"Take a job: nobody else does it then, and it is taken up again if this process does not come to its end."
function take(name)
    try
        mv(joinpath(FOLDER, name), running(name); force = true)
    catch
        return nothing      # another one has it
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

# The environment of the session that started this process, which as a rule wrote the job; what the job says goes before
# it. The whole of it does not go into a file: there may be secrets in it.
const ENV_HERE = Dict{String,String}(ENV)

"Jobs of sessions of one kind, in one process."
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
        sprint(showerror, err)      # a Julia that is not there any more, a job file that was cut short
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
        # Inherited by the builds: what is left of one whose parent was killed counts as well.
        machine = lock(joinpath(machine_folder(), "building.lock"), O_NOFOLLOW; wait = true)
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
        # A job that came after the last look and before the lock was free is ours: look again.
        isempty(jobs()) && return nothing
    end
end

end

NativeCacheQueue.main()
