# Companions in the store: their places, and the text file beside their code.
#
#   <depot>/nativecache/v1.10/<key>/<Name>-<uuid>/<build id>[+<others>].companion
#                                                 <build id>[+<others>]-<content>.{jl,txt,ji,so,ends}
#
# key       hash of everything besides packages that decides whether Julia accepts an image
# build id  the build of the package that the companion belongs to
# others    hash of the builds of the other packages, if the companion needs several
# content   hash of the statements and of the packages' builds
#
# The `.companion` file is text, with a line for each fact and each statement. It is put into its place last. A session reads
# it once, so it can still report on a companion that it has loaded after the file has gone.

"What a session needs to know of a companion before it loads it."
struct Companion
    name::String
    uuid::UUID
    packages::Vector{Pair{PkgId,UInt128}}
    base::String        # path of its files, without the ending
    index::String       # path of the text about it
    text::String        # that text
end

id_of(companion::Companion) = PkgId(companion.uuid, companion.name)

"Everything besides packages that decides whether Julia accepts an image, and this NativeCache, as `name => value`. The names are those of rust/native/runtime/src/load/key.rs."
function key_parts()
    options = Base.JLOptions()
    return Pair{String,String}[
        "julia" => string(VERSION, ' ', Base.GIT_VERSION_INFO.commit),
        "sysimage" => unsafe_string(options.image_file),
        "cpu target (-C)" => string(Sys.CPU_NAME, ' ', options.cpu_target == C_NULL ? "" : unsafe_string(options.cpu_target), ' ',
            get(ENV, "JULIA_CPU_TARGET", "")),
        "optimization (-O)" => string(options.opt_level),
        "debug info (-g)" => string(options.debug_level),
        "bounds checks (--check-bounds)" => string(options.check_bounds),
        "inlining (--inline)" => string(options.can_inline),
        "math mode (--math-mode)" => string(options.fast_math),
        "package images (--pkgimages)" => string(options.use_pkgimages),
        # A companion is an image that depends on the image of NativeCache.
        "NativeCache" => hex128(UInt128(Base.module_build_id(@__MODULE__))),
    ]
end

const SESSION_KEY = Ref("")

"The name of the store's folder for sessions like this one."
function session_key()
    if isempty(SESSION_KEY[])
        text = ""
        for part in key_parts()
            text = string(text, part.first, "=", part.second, "\n")
        end
        SESSION_KEY[] = hex(hash(text))
    end
    return SESSION_KEY[]
end

hex128(number::UInt128) = string(number; base = 16, pad = 32)

# The names of all files of companions.
const COMPANION_FILE = r"^[0-9a-f]{32}(\+[0-9a-f]{16})?(\.companion|-[0-9a-f]{16}\.(jl|txt|ji|so))(\.tmp-.*)?$"

"Read the head of a `.companion` file; `nothing` if the file is incomplete. `account` reads the lines after it."
function read_companion(index::String)
    text = read(index, String)
    name, uuid, base, whole = "", nothing, "", false
    packages = Pair{PkgId,UInt128}[]
    for line in eachline(IOBuffer(text))
        words = fields_of(line)
        if words[1] == "package" && length(words) == 4
            number = tryparse(UUID, words[2])
            build = tryparse(UInt128, words[4]; base = 16)
            (number === nothing || build === nothing) && return nothing
            push!(packages, (number.value == 0 ? PkgId(String(words[3])) : PkgId(number, String(words[3]))) => build)
        elseif words[1] == "name" && length(words) == 2
            name = String(words[2])
        elseif words[1] == "uuid" && length(words) == 2
            uuid = tryparse(UUID, words[2])
        elseif words[1] == "base" && length(words) == 2
            base = String(words[2])
        elseif words[1] == "statement"
            whole = true
            break
        end
    end
    (isempty(name) || uuid === nothing || !occursin(COMPANION_BASE, base) || isempty(packages) || !whole) && return nothing
    return Companion(name, uuid, packages, joinpath(dirname(index), base), index, text)
end

const COMPANION_BASE = r"^[0-9a-f]{32}(\+[0-9a-f]{16})?-[0-9a-f]{16}$"

"The outcome of each statement when the companion was built: `(outcome, statement, detail)`."
function account(companion::Companion)
    found = NTuple{3,String}[]
    for line in eachline(IOBuffer(companion.text))
        words = fields_of(line)
        words[1] == "statement" && length(words) == 4 && push!(found, (words[2], words[3], words[4]))
    end
    return found
end

"The key of the session that built the companion: `component => value`."
function built_with(companion::Companion)
    found = Pair{String,String}[]
    for line in eachline(IOBuffer(companion.text))
        words = fields_of(line)
        words[1] == "key" && length(words) == 3 && push!(found, words[2] => words[3])
    end
    return found
end

"The companions for this build of a package, from all depots."
function companions_of(id::PkgId, build::UInt128)
    found = Companion[]
    start = hex128(build)
    for depot in DEPOT_PATH
        folder = joinpath(depot, STORE, session_key(), package_folder(id))
        isdir(folder) || continue
        for name in readdir(folder)
            startswith(name, start) && endswith(name, ".companion") || continue
            companion = read_companion(joinpath(folder, name))
            companion === nothing || push!(found, companion)
        end
    end
    return found
end
