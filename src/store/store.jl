# Where the libraries lie:
#
#   <depot>/nativecache/v1.5/<key>/<Name>-<uuid>/<build id>[+<others>].so
#                                                objects[+<others>]
#
# key       hash of everything that a library depends on besides packages (Julia
#           build, sysimage, flags, CPU, format): 16 hex digits, from libnativecache
# build id  of the package's .ji file: a package that is precompiled again has
#           another one, so its old library is not even looked at
# others    hash of the other packages, in a library that was built for several
#
# Read from every depot, written to the first that can be written to. A library
# comes into its place by a rename, so that a reader sees all of it or nothing.
#
# A build works in <depot>/nativecache/v1.5/build-<random>, and holds a lock on the file
# `lock` in it for as long as it lives: the kernel gives up the locks of a process that
# dies, however it dies, so a folder whose lock is free is a leftover, and the next build
# removes it. Nothing on the load path takes or awaits a lock.

const STORE = string("nativecache/v", VERSION.major, ".", VERSION.minor)

# rust/session/src/hook.rs looks there when a package is loaded; here is the other side.

hex(x::UInt64) = string(x; base = 16, pad = 16)

"Julia's number of one build of a package."
const BuildId = VERSION < v"1.6" ? UInt64 : UInt128

"The folder of a package in the store. The whole uuid: packages of one name share nothing, however alike theirs are."
package_folder(id::PkgId) =
    id.uuid === nothing ? id.name : string(id.name, "-", @mutation("folders: eight digits of a uuid are enough",
        replace(string(id.uuid), "-" => ""), SubString(string(id.uuid), 1, 8)))

"The name of the package that has this folder."
folder_package(folder::AbstractString) = replace(folder, r"-[0-9a-f]{32}$" => "")

"Did a NativeCache make this folder that named folders by the first eight digits of a uuid? Nothing reads it any more."
is_former_folder(folder::AbstractString) = occursin(r"-[0-9a-f]{8}$", folder)

"The file name of a library for these packages, the first being the one it belongs to."
function library_name(builds::Vector{Pair{PkgId,UInt64}})
    name = hex(builds[1].second)
    length(builds) == 1 && return string(name, ".so")
    others = hash(UInt64(0))
    for (id, build) in builds[2:end]
        others = hash(build, hash(id.uuid === nothing ? UInt128(0) : id.uuid.value, others))
    end
    return string(name, "+", hex(others), ".so")
end

# ---- who may write here ----

# Others must not be able to write to what sessions run, whatever the umask says.
const FOLDER_MODE = 0o755

"The folder, made if it is not there; an error if others can write to it or to one above it."
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
Take the lock on `path`, waiting up to `seconds` for another process; `nothing` if it is
still held then, or if the file system has no locks. A process that ends, however it ends,
holds no lock any more: there are no stale ones.
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
            # clear! and the end of a build remove files with a lock on them: who comes next locks a new file.
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

"Is the open file still the one of this name?"
function is_at(file::Base.Filesystem.File, path::AbstractString)
    mine, there = stat(file), stat(path)
    return (mine.device, mine.inode) == (there.device, there.inode)
end

release(lock::FileLock) = close(lock.file)
release(::Nothing) = nothing

"""
Run `body` while holding the lock on `path`. If another process keeps it for longer than
`seconds` (it hangs, say), go on without: every file is complete by itself.
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

"A folder to build in, and the lock that says that somebody does."
struct WorkFolder
    path::String
    lock::Union{Nothing,FileLock}
end

"""
A folder in the store to build in, on the same file system as the library's place so that
the library can be renamed there. Julia's own folder is a place for it only if it is the
first depot. Leftovers of builds that were killed are removed. Whoever asks for it gives it
back with `leave`.
"""
function work_folder(keep::Bool)
    isempty(DEPOT_PATH) && error("DEPOT_PATH is empty, so there is no place for a library")
    julia = joinpath(dirname(Sys.BINDIR), "")
    problem = ""
    for depot in DEPOT_PATH
        isempty(problem) || !startswith(abspath(depot), julia) || continue
        try
            store = trusted_folder(abspath(depot, STORE))
            # Nobody sweeps between the making of a folder and the taking of its lock: who has not the store's
            # lock does not sweep.
            lock = take_lock(joinpath(store, "lock"); seconds = 10)
            try
                lock === nothing || sweep(store)
                for _ in 1:RACES
                    path = mktempdir(store; prefix = keep ? "kept-" : "build-", cleanup = false)
                    # gc! may be looking whether somebody holds it.
                    mine = take_lock(joinpath(path, "lock"); seconds = 1)
                    # Who has kept the store's lock for too long may have swept it away.
                    isfile(joinpath(path, "lock")) && return WorkFolder(path, mine)
                end
                error("others remove what is made there at once")
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

"Remove a folder that others may be removing too."
function remove_tree(path::AbstractString)
    try
        rm(path; recursive = true, force = true)
    catch err
        err isa Union{Base.IOError,SystemError} || rethrow()
    end
    return nothing
end

"Remove the work folders of builds that are no more. To be called with the store's lock held."
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

"Move a finished library from the work folder into its place; returns that."
function put_into_store(temporary::String, work::String, key::String, builds)
    folder = joinpath(dirname(work), key, package_folder(builds[1].first))
    path = joinpath(folder, library_name(builds))
    for attempt in 1:RACES
        trusted_folder(folder)
        try
            Base.Filesystem.rename(temporary, path)
            break
        catch err
            # gc! has just removed the folder, which was empty.
            err isa Base.IOError && err.code == Base.UV_ENOENT && attempt < RACES && isfile(temporary) || rethrow()
        end
    end
    return path
end

# ---- object files for the next build ----
#
# Beside the libraries of a package lie the object files of its last build, in one file: what comes out the same
# in the next one is not compiled again (rust/native/worker/src/parts.rs).

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

"Move the object files of a build into their place. Without them the next build only takes longer."
function put_objects(work::String, key::String, ids::Vector{PkgId})
    try
        Base.Filesystem.rename(joinpath(work, "objects"), joinpath(dirname(work), key, package_folder(ids[1]), objects_name(ids)))
    catch err
        err isa Base.IOError || rethrow()
    end
    return nothing
end

# How often something that another process undoes at the same moment is done again.
const RACES = 10

const SIGXFSZ = 25
const SIG_BLOCK, SIG_SETMASK = 0, 2
const SIGNAL_SET = 16       # words in a `sigset_t`

"""
Run `body`, which writes files and waits for nothing: where files must not get as large as that (`ulimit -f`), it throws as
on a full disk. By default the kernel kills the process with SIGXFSZ; it is kept back on this thread and taken away again,
as rust/signals does it.
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
Write a whole file beside its place and rename it there: a reader sees all of it or the old one. For others to
read at most, whatever the umask says.
"""
function write_whole(path::AbstractString, text::AbstractString)
    # rust/store removes what a process that died here has left: it reads the process from the name.
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

# `stat` throws on a loop of links, and where this user may not look.
stat_of(path::AbstractString) = try stat(path) catch err; err isa Base.IOError || rethrow(); stat("") end

"When the file was last written to (Unix time), and its size; 0 if that cannot be known."
file_time(path::AbstractString) = mtime(stat_of(path))
file_size(path::AbstractString) = Int(filesize(stat_of(path)))

# What names a library: on Julia 1.10 and later a companion is several files, of which this one comes into its place last.
const LIBRARY_NAME = VERSION < v"1.6" ? r"^[0-9a-f]{16}(\+[0-9a-f]{16})?\.so$" : r"^[0-9a-f]{32}(\+[0-9a-f]{16})?\.companion$"
const OBJECTS_NAME = r"^objects(\+[0-9a-f]{16})?$"

"Every library of the store, or every other file of this name: (key, package folder, path)."
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
