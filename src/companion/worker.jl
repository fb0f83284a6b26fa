# Builds one companion: julia <flags of the session> worker.jl <work folder>. src/companion/build.jl starts it.
#
# It loads NativeCache and the packages as a session does, writes the companion's source into its place in the store, has
# Julia precompile it into a depot in the work folder, and writes the result into a file.

include(joinpath(@__DIR__, "..", "store", "lines.jl"))      # how texts become fields of lines

const WORK = ARGS[1]
const REQUEST = fields_of.(eachline(joinpath(WORK, "request")))

request(name) = [words[2:end] for words in REQUEST if words[1] == name]

function fail(message)
    write(joinpath(WORK, "failure"), message)
    ccall(:_exit, Cvoid, (Cint,), 1)
end

function load_packages()
    lines = String[]
    for (uuid, name) in [request("trainer"); request("package")]
        number = Base.UUID(uuid)
        id = number.value == 0 ? Base.PkgId(name) : Base.PkgId(number, name)
        mod = try
            Base.require(id)
        catch err
            fail(string("package ", name, " could not be loaded: ", sprint(showerror, err)))
        end
        build = Base.module_build_id(mod)
        build == 0 && fail("package $name is not precompiled, so each session has its own version of it")
        if [uuid, name] in request("trainer")
            push!(lines, string("trainer\t", string(build; base = 16, pad = 32)))
            continue
        end
        push!(lines, string("package\t", uuid, '\t', name, '\t', string(build; base = 16, pad = 32)))
    end
    return lines
end

function write_source(packages)
    folder = only(request("folder"))[1]
    statements = read(joinpath(WORK, "statements"), String)
    trainer = package_text(only(request("trainer"))...)
    # Everything that the companion's code depends on, besides the key of the folder.
    content = hash(statements, hash(join(packages, '\n')))
    builds = [split(line, '\t')[4] for line in packages]
    others = length(builds) == 1 ? "" : string('+', string(hash(builds[2:end]); base = 16, pad = 16))
    stem = string(builds[1], others)
    base = string(stem, '-', string(content; base = 16, pad = 16))
    name = string("NativeCache_", replace(split(packages[1], '\t')[3], r"\W" => '_'), '_', string(hash(base); base = 16, pad = 16))
    # Version 8 of RFC 9562: made of our own numbers.
    low, high = hash(base, UInt(1)), hash(base, UInt(2))
    uuid = Base.UUID((UInt128(high & 0xffff_ffff_ffff_0fff | 0x8000) << 64) | (low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000))
    requires = join((string("Base.require(", package_text(split(line, '\t')[2], split(line, '\t')[3]), ")\n") for line in packages))
    mkpath(folder; mode = 0o755)
    place(joinpath(folder, "$base.txt"), statements)
    place(joinpath(folder, "$base.jl"), """
        # Made by NativeCache. It holds no code of its own: while it is precompiled, Julia compiles the statements beside
        # it, for these packages.
        module $name
        Base.require($trainer)
        $(requires)const CODE = Any[]
        if ccall(:jl_generating_output, Cint, ()) == 1
            Base.loaded_modules[$trainer].train_all(joinpath(@__DIR__, "$base.txt"), CODE)
        end
        end
        """)
    return (folder = folder, stem = stem, base = base, name = name, uuid = uuid)
end

package_text(uuid, name) = Base.UUID(uuid).value == 0 ? "Base.PkgId($(repr(String(name))))" :
    "Base.PkgId(Base.UUID($(repr(String(uuid)))), $(repr(String(name))))"

"Write a file so that readers see all of it or nothing."
function place(path, text)
    temporary = string(path, ".tmp-", getpid())
    write(temporary, text)
    chmod(temporary, 0o644)
    Base.Filesystem.rename(temporary, path)
end

function build()
    loaded = load_packages()
    packages = filter(startswith("package\t"), loaded)
    made = write_source(packages)
    id = Base.PkgId(made.uuid, made.name)
    depot = joinpath(WORK, "depot")
    mkpath(depot)
    pushfirst!(DEPOT_PATH, depot)       # Julia writes the images there
    ENV["NATIVECACHE_ACCOUNT"] = joinpath(WORK, "account")
    ENV["NATIVECACHE_ENDS"] = joinpath(WORK, "ends")
    made_files = try
        Base.compilecache(id, joinpath(made.folder, made.base * ".jl"))
    catch err
        fail(string("Julia could not precompile the companion: ", sprint(showerror, err)))
    end
    made_files isa Tuple || fail("Julia did not precompile the companion: $made_files")
    cache, object = made_files
    object === nothing && fail("this session runs with --pkgimages=no, so Julia keeps no native code")
    write(joinpath(WORK, "result"), join([
        "name\t$(made.name)", "uuid\t$(made.uuid)", "stem\t$(made.stem)", "base\t$(made.base)",
        "cache\t$(escape_field(cache))", "object\t$(escape_field(object))", loaded...], '\n') * '\n')
end

build()
