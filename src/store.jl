# Where the libraries lie:
#
#   <depot>/nativecache/v1.5/<key>/<Name>-<uuid, first 8>/<build id>[+<others>].so
#
# key       hash of everything that a library depends on besides packages (Julia
#           build, sysimage, flags, CPU, format): 16 hex digits, from libnativecache
# build id  of the package's .ji file: a package that is precompiled again has
#           another one, so its old library is not even looked at
# others    hash of the other packages, in a library that was built for several
#
# Read from every depot, written to the first that can be written to. A library
# comes into its place by a rename, so that a reader sees all of it or nothing.

const STORE = string("nativecache/v", VERSION.major, ".", VERSION.minor)

# rust/session/src/hook.rs looks there when a package is loaded; here is the other side.

hex(x::UInt64) = string(x; base = 16, pad = 16)

"The folder of a package in the store."
package_folder(id::PkgId) =
    id.uuid === nothing ? id.name : string(id.name, "-", SubString(string(id.uuid), 1, 8))

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

"""
A folder in the store to build in, on the same file system as the library's place so that
the library can be renamed there. Julia's own folder is a place for it only if it is the
first depot.
"""
function work_folder(keep::Bool)
    isempty(DEPOT_PATH) && error("DEPOT_PATH is empty, so there is no place for a library")
    julia = joinpath(dirname(Sys.BINDIR), "")
    problem = ""
    for depot in DEPOT_PATH
        isempty(problem) || !startswith(abspath(depot), julia) || continue
        try
            folder = abspath(depot, STORE)
            mkpath(folder)
            return mktempdir(folder; prefix = "build-", cleanup = !keep)
        catch err
            err isa InterruptException && rethrow()
            isempty(problem) && (problem = string("depot ", depot, " cannot be written to: ", sprint(showerror, err)))
        end
    end
    error(problem)
end

"Move a finished library from the work folder into its place; returns that."
function put_into_store(temporary::String, work::String, key::String, builds)
    folder = joinpath(dirname(work), key, package_folder(builds[1].first))
    mkpath(folder)
    path = joinpath(folder, library_name(builds))
    Base.Filesystem.rename(temporary, path)
    return path
end

"Every library of the store: (key, package folder, path)."
function stored()
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
                    occursin(r"^[0-9a-f]{16}(\+[0-9a-f]{16})?\.so$", name) || continue
                    push!(found, (key = key, package = package, path = joinpath(folder, name)))
                end
            end
        end
    end
    return found
end
