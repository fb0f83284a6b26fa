# Companions in the store: where they lie, and what is written beside their code.
#
#   <depot>/nativecache/v1.10/<key>/<Name>-<uuid>/<build id>[+<others>].companion
#                                                 <build id>[+<others>]-<content>.{jl,txt,ji,so,ends}
#
# key       hash of all that Julia keys an image on, besides packages
# build id  of the package that it belongs to, in this and no other build
# others    hash of the builds of the other packages, for one that needs several
# content   hash of the statements and of what trains them
#
# The `.companion` file is text: a line for each fact and each statement, and it comes into its place last. It is read once:
# what a session has loaded it can tell of, whatever becomes of the file.

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

"All that Julia keys an image on besides packages, and this NativeCache, as `name => value`; in the words of rust/native/runtime/src/load/key.rs."
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
        # A companion is an image that needs this one.
        "NativeCache" => hex128(UInt128(Base.module_build_id(@__MODULE__))),
    ]
end

const SESSION_KEY = Ref("")

"Names the store's folder for sessions like this one."
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

# Every file of a companion, and no other.
const COMPANION_FILE = r"^[0-9a-f]{32}(\+[0-9a-f]{16})?(\.companion|-[0-9a-f]{16}\.(jl|txt|ji|so|ends))(\.tmp-.*)?$"

"Read the head of a `.companion` file: `nothing` if it is not whole. The lines behind it are read by `account`."
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

"What became of each statement when the companion was built: `(outcome, statement, detail)`."
function account(companion::Companion)
    found = NTuple{3,String}[]
    for line in eachline(IOBuffer(companion.text))
        words = fields_of(line)
        words[1] == "statement" && length(words) == 4 && push!(found, (words[2], words[3], words[4]))
    end
    return found
end

"What the session that built it was like: `component => value`."
function built_with(companion::Companion)
    found = Pair{String,String}[]
    for line in eachline(IOBuffer(companion.text))
        words = fields_of(line)
        words[1] == "key" && length(words) == 3 && push!(found, words[2] => words[3])
    end
    return found
end

"The companions of a package in this build of it, of every depot."
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
