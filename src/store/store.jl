# The places of libraries:
#
#   <depot>/nativecache/v1.5/<key>/<Name>-<uuid>/<build id>[+<others>].so
#                                                objects[+<others>]
#
# key       hash of everything that a library depends on besides packages (Julia
#           build, sysimage, flags, CPU, format): 16 hex digits, from libnativecache
# build id  of the package's .ji file. A recompiled package has another build id, so its
#           old library is not even looked at
# others    hash of the other packages, in the name of a library for several packages
#
# Libraries are read from every depot and written to the first writable one. They are renamed
# into their place, so a reader sees all of a library or nothing.
#
# A build works in <depot>/nativecache/v1.5/build-<random>, and holds a lock on the file
# `lock` in it for as long as it lives. The kernel releases the locks of a process that dies,
# however it dies. So a folder whose lock is free is a leftover, and the next build removes
# it. Nothing on the load path takes a lock or waits for one.

const STORE = string("nativecache/v", VERSION.major, ".", VERSION.minor)

# rust/session/src/hook.rs looks there when a package is loaded. This file is the writing side.

hex(x::UInt64) = string(x; base = 16, pad = 16)

"The number that Julia gives to one build of a package."
const BuildId = VERSION < v"1.6" ? UInt64 : UInt128

"The folder of a package in the store. It has the whole uuid: two packages with one name share nothing, however similar their uuids are."
package_folder(id::PkgId) =
    id.uuid === nothing ? id.name : string(id.name, "-", @mutation("folders: eight digits of a uuid are enough",
        replace(string(id.uuid), "-" => ""), SubString(string(id.uuid), 1, 8)))

"The name of the package that has this folder."
folder_package(folder::AbstractString) = replace(folder, r"-[0-9a-f]{32}$" => "")

"Did an earlier NativeCache make this folder? It named folders by the first eight digits of a uuid. Nothing reads them any more."
is_former_folder(folder::AbstractString) = occursin(r"-[0-9a-f]{8}$", folder)

"The file name of a library for these packages. It belongs to the first one."
function library_name(builds::Vector{Pair{PkgId,UInt64}})
    name = hex(builds[1].second)
    length(builds) == 1 && return string(name, ".so")
    others = hash(UInt64(0))
    for (id, build) in builds[2:end]
        others = hash(build, hash(id.uuid === nothing ? UInt128(0) : id.uuid.value, others))
    end
    return string(name, "+", hex(others), ".so")
end

# ---- permissions ----

# Others must not be able to write to what sessions run, whatever the umask says.
const FOLDER_MODE = 0o755

"The folder, which is created if necessary. Throws an error if others can write to it or to a folder above it."
function trusted_folder(path::AbstractString)
    mkpath(path; mode = FOLDER_MODE)
    problem = distrust(path)
    isempty(problem) || error(problem)
    return path
end

# ---- locks ----

"A lock that this process holds."
struct FileLock
    file::Base.Filesystem.File
end

const LOCK_EXCLUSIVE_AT_ONCE = Cint(2 | 4)      # LOCK_EX | LOCK_NB

"""
Take the lock on `path`, waiting up to `seconds` for another process. Returns `nothing` if
that still holds the lock then, or if the file system has no locks. The kernel releases the
locks of a process that ends, so there are no stale locks.
"""
function take_lock(path::AbstractString; seconds::Real = 0)
    until = time_ns() + round(UInt64, 1e9 * seconds)
    while true
        file = try
            # libuv opens with O_CLOEXEC: no child keeps the lock.
            Base.Filesystem.open(path, Base.JL_O_RDWR | Base.JL_O_CREAT, 0o600)
        catch err
            err isa Base.IOError || rethrow()
            return nothing
        end
        if ccall(:flock, Cint, (Cint, Cint), fd(file), LOCK_EXCLUSIVE_AT_ONCE) == 0
            # clear! and the end of a build remove files while they are locked. The next process must lock the new file.
            is_at(file, path) && return FileLock(file)
            close(file)
            continue
        end
        held = Libc.errno() in (Libc.EAGAIN, Libc.EINTR)
        close(file)
        held && time_ns() < until || return nothing
        sleep(0.01)
    end
end

"Is the open file still the one at this path?"
function is_at(file::Base.Filesystem.File, path::AbstractString)
    mine, there = stat(file), stat(path)
    return (mine.device, mine.inode) == (there.device, there.inode)
end

release(lock::FileLock) = close(lock.file)
release(::Nothing) = nothing

"""
Run `body` while holding the lock on `path`. If another process holds it for longer than
`seconds`, for example because it hangs, run `body` without the lock: every file is complete
by itself.
"""
function locked(body, path::AbstractString; seconds::Real = 10)
    lock = take_lock(path; seconds = seconds)
    try
        return body()
    finally
        release(lock)
    end
end

# ---- work folders ----

"A folder to build in, and the lock that shows that a build is running."
struct WorkFolder
    path::String
    lock::Union{Nothing,FileLock}
end

"""
Create a folder in the store to build in. It is on the same file system as the library's place,
so that the library can be renamed there. A depot in Julia's own folder is used only if it is
the first one. Leftovers of killed builds are removed. The caller gives the folder back with
`leave`.
"""
function work_folder(keep::Bool)
    isempty(DEPOT_PATH) && error("DEPOT_PATH is empty, so there is no place for a library")
    julia = joinpath(dirname(Sys.BINDIR), "")
    problem = ""
    for depot in DEPOT_PATH
        isempty(problem) || !startswith(abspath(depot), julia) || continue
        try
            store = trusted_folder(abspath(depot, STORE))
            # Only the holder of the store lock sweeps, so nobody sweeps between the creation of the folder and the
            # locking of its file.
            lock = take_lock(joinpath(store, "lock"); seconds = 10)
            try
                lock === nothing || sweep(store)
                for _ in 1:RACES
                    path = mktempdir(store; prefix = keep ? "kept-" : "build-", cleanup = false)
                    # gc! may hold it for a moment, to find out whether a build is running.
                    mine = take_lock(joinpath(path, "lock"); seconds = 1)
                    # A process that held the store lock for too long may have swept the folder away.
                    isfile(joinpath(path, "lock")) && return WorkFolder(path, mine)
                end
                error("other processes remove new folders there at once")
            finally
                release(lock)
            end
        catch err
            err isa InterruptException && rethrow()
            isempty(problem) && (problem = string("depot ", depot, " cannot be used: ", sprint(showerror, err)))
        end
    end
    error(problem)
end

function leave(work::WorkFolder; keep::Bool = false)
    keep || remove_tree(work.path)
    release(work.lock)
    return nothing
end

"Remove a folder that other processes may also be removing."
function remove_tree(path::AbstractString)
    try
        rm(path; recursive = true, force = true)
    catch err
        err isa Union{Base.IOError,SystemError} || rethrow()
    end
    return nothing
end

"Remove the work folders of builds that have died. The caller holds the store lock."
function sweep(store::AbstractString)
    for name in readdir(store)
        startswith(name, "build-") || continue
        path = joinpath(store, name)
        islink(path) && continue
        lock = take_lock(joinpath(path, "lock"))
        lock === nothing && continue
        remove_tree(path)
        release(lock)
    end
    return nothing
end

"Move a finished library from the work folder into its place, and return its path."
function put_into_store(temporary::String, work::String, key::String, builds)
    folder = joinpath(dirname(work), key, package_folder(builds[1].first))
    path = joinpath(folder, library_name(builds))
    for attempt in 1:RACES
        trusted_folder(folder)
        try
            Base.Filesystem.rename(temporary, path)
            break
        catch err
            # gc! has just removed the empty folder.
            err isa Base.IOError && err.code == Base.UV_ENOENT && attempt < RACES && isfile(temporary) || rethrow()
        end
    end
    return path
end

# ---- object files for the next build ----
#
# One file beside the libraries of a package holds the object files of its last build. Parts that have not changed
# are not compiled again in the next build (rust/native/worker/src/parts.rs).

"The file name of the object files of a library for these packages, whatever their builds."
function objects_name(ids::Vector{PkgId})
    length(ids) == 1 && return "objects"
    others = hash(UInt64(0))
    for id in ids[2:end]
        others = hash(id.uuid === nothing ? UInt128(0) : id.uuid.value, others)
    end
    return string("objects+", hex(others))
end

"The newest object files of an earlier build for sessions like this one; empty if there are none."
function held_objects(ids::Vector{PkgId})
    places = String[joinpath(depot, STORE, session_key(), package_folder(ids[1]), objects_name(ids)) for depot in DEPOT_PATH]
    filter!(isfile, places)
    return isempty(places) ? "" : places[findmax(file_time.(places))[2]]
end

"Move the object files of a build into their place. A failure is ignored: without them the next build only takes longer."
function put_objects(work::String, key::String, ids::Vector{PkgId})
    try
        Base.Filesystem.rename(joinpath(work, "objects"), joinpath(dirname(work), key, package_folder(ids[1]), objects_name(ids)))
    catch err
        err isa Base.IOError || rethrow()
    end
    return nothing
end

# How often to retry something that another process undoes at the same moment.
const RACES = 10

const SIGXFSZ = 25
const SIG_BLOCK, SIG_SETMASK = 0, 2
const SIGNAL_SET = 16       # words in a `sigset_t`

"""
Run `body`, which writes files and waits for nothing. If a file gets larger than allowed (`ulimit -f`), `body` throws as on
a full disk. By default the kernel kills the process with SIGXFSZ. This function blocks the signal on this thread and
discards it afterwards, as rust/signals does.
"""
function with_failing_writes(body)
    signal, before, pending = zeros(UInt, SIGNAL_SET), zeros(UInt, SIGNAL_SET), zeros(UInt, SIGNAL_SET)
    signal[1] = UInt(1) << (SIGXFSZ - 1)
    ccall(:sigpending, Cint, (Ptr{UInt},), pending)
    theirs = pending[1] & signal[1] != 0
    ccall(:pthread_sigmask, Cint, (Cint, Ptr{UInt}, Ptr{UInt}), SIG_BLOCK,
        @mutation("ulimit -f: in a build the signal comes", signal, C_NULL), before)
    try
        return body()
    finally
        theirs || ccall(:sigtimedwait, Cint, (Ptr{UInt}, Ptr{Cvoid}, Ptr{Int}), signal, C_NULL, Int[0, 0])
        ccall(:pthread_sigmask, Cint, (Cint, Ptr{UInt}, Ptr{UInt}), SIG_SETMASK, before, C_NULL)
    end
end

"""
Write a whole file beside its place and rename it there, so that a reader sees the complete new file or the old
one. Other users may at most read it, whatever the umask is.
"""
function write_whole(path::AbstractString, text::AbstractString)
    # If the process dies here, rust/store removes the file: its name has the process id.
    temporary = string(path, ".tmp-", getpid(), '-', time_ns())
    file = Base.Filesystem.open(temporary, Base.JL_O_WRONLY | Base.JL_O_CREAT | Base.JL_O_EXCL, 0o644)
    try
        with_failing_writes(() -> write(file, text))
        close(file)
        Base.Filesystem.rename(temporary, path)
    catch
        isopen(file) && close(file)
        rm(temporary; force = true)
        rethrow()
    end
    return nothing
end

# `stat` throws on a loop of links, and in folders that this user may not read.
stat_of(path::AbstractString) = try stat(path) catch err; err isa Base.IOError || rethrow(); stat("") end

"When the file was last written (Unix time); 0 if that is unknown. `file_size` is its size, or 0."
file_time(path::AbstractString) = mtime(stat_of(path))
file_size(path::AbstractString) = Int(filesize(stat_of(path)))

# The file name of a library. On Julia 1.10 and later a companion has several files, and this one is written last.
const LIBRARY_NAME = VERSION < v"1.6" ? r"^[0-9a-f]{16}(\+[0-9a-f]{16})?\.so$" : r"^[0-9a-f]{32}(\+[0-9a-f]{16})?\.companion$"
const OBJECTS_NAME = r"^objects(\+[0-9a-f]{16})?$"

"Every file of the store with a name like this, by default every library: (key, package folder, path)."
function stored(pattern::Regex = LIBRARY_NAME)
    found = NamedTuple{(:key, :package, :path),NTuple{3,String}}[]
    for depot in DEPOT_PATH
        root = joinpath(depot, STORE)
        isdir(root) || continue
        for key in readdir(root)
            occursin(r"^[0-9a-f]{16}$", key) || continue
            for package in readdir(joinpath(root, key))
                folder = joinpath(root, key, package)
                isdir(folder) || continue
                for name in readdir(folder)
                    occursin(pattern, name) || continue
                    push!(found, (key = key, package = package, path = joinpath(folder, name)))
                end
            end
        end
    end
    return found
end

"Every library, and the object files of the last builds."
stored_with_objects() = [stored(); stored(OBJECTS_NAME)]
