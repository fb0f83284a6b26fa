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
# The `.companion` file is text: a line for each fact and each statement, and it comes into its place last.

"What a session needs to know of a companion before it loads it."
struct Companion
    name::String
    uuid::UUID
    packages::Vector{Pair{PkgId,UInt128}}
    base::String        # path of its files, without the ending
    index::String       # path of the text about it
end

id_of(companion::Companion) = PkgId(companion.uuid, companion.name)

"All that Julia keys an image on besides packages, and this NativeCache, as `name => value`."
function key_parts()
    options = Base.JLOptions()
    return Pair{String,String}[
        "Julia" => string(VERSION),
        "commit" => Base.GIT_VERSION_INFO.commit,
        "image" => unsafe_string(options.image_file),
        "cpu" => string(Sys.CPU_NAME, ' ', options.cpu_target == C_NULL ? "" : unsafe_string(options.cpu_target), ' ',
            get(ENV, "JULIA_CPU_TARGET", "")),
        "-O" => string(options.opt_level),
        "-g" => string(options.debug_level),
        "--check-bounds" => string(options.check_bounds),
        "--inline" => string(options.can_inline),
        "--math-mode" => string(options.fast_math),
        "--pkgimages" => string(options.use_pkgimages),
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

"""
Read the head of a `.companion` file: `nothing` if it is not whole. The lines behind it, one for each statement, are read
by `account`.
"""
function read_companion(index::String)
    name, uuid, base = "", nothing, ""
    packages = Pair{PkgId,UInt128}[]
    for line in eachline(index)
        words = split(line, '\t')
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
            break
        end
    end
    (isempty(name) || uuid === nothing || isempty(base) || isempty(packages) || occursin('/', base)) && return nothing
    return Companion(name, uuid, packages, joinpath(dirname(index), base), index)
end

"What became of each statement when the companion was built: `(outcome, statement, detail)`."
function account(index::String)
    found = NTuple{3,String}[]
    for line in eachline(index)
        words = split(line, '\t')
        words[1] == "statement" && length(words) == 4 && push!(found, (words[2], words[3], words[4]))
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
