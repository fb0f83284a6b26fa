# Builds the Rust libraries for the Julia that runs this, into deps/lib:
#
#     julia deps/build.jl          libnativecache.so, and for Julia 1.5 libnativecache_worker.so
#     julia deps/build.jl check    the crates' own checks: format, lints, tests
#     julia deps/build.jl sanitize the libraries with AddressSanitizer, into target/asan/lib, and tests with it
#     julia deps/build.jl removable the libraries with protections that can be taken out, for test/mutations/run.jl
#
# The first is what `Pkg.build("NativeCache")` runs, and `make`. It writes to `target` and `deps/lib`
# in this clone and nothing else; if nothing has changed, it does nothing.

module BuildNativeCache

const ROOT = dirname(@__DIR__)
# Julia 1.5 has the native engine; 1.10 and later have the companion engine, built for each minor version.
const COMPANIONS = VERSION >= v"1.10"
const LIB = COMPANIONS ? joinpath(@__DIR__, "lib", "v$(VERSION.major).$(VERSION.minor)") : joinpath(@__DIR__, "lib")
const NAMES = COMPANIONS ? ("libnativecache.so",) : ("libnativecache.so", "libnativecache_worker.so")

# Those on which the whole test command was run. Others of the same kind are built for if JULIA_NATIVECACHE_UNTESTED=yes.
const TESTED = (v"1.10", v"1.12")

# The Julia that the native engine is for, and the major version of its LLVM.
const NATIVE = (v"1.5", 9)

# A workspace of its own, with a folder for what is built for each Julia.
const MANIFEST = ["--manifest-path", "rust/companion/Cargo.toml"]
const TARGET = COMPANIONS ? joinpath("target", basename(LIB)) : "target"

"What the user can mend, said in one line."
struct Missing <: Exception
    message::String
end

"Is there an engine for this Julia?"
function require_engine()
    julia = VersionNumber(VERSION.major, VERSION.minor)
    if COMPANIONS
        julia in TESTED || get(ENV, "JULIA_NATIVECACHE_UNTESTED", "") == "yes" ||
            throw(Missing("Julia $VERSION is untested; set JULIA_NATIVECACHE_UNTESTED=yes to build for it all the same"))
        return
    end
    v"1.6" <= julia && throw(Missing("Julia $VERSION is not supported: package images, on which NativeCache builds, begin with 1.9; use 1.10 or later"))
    llvm = Int(Base.libllvm_version.major)
    (julia, llvm) == NATIVE || throw(Missing("Julia $VERSION with LLVM $llvm is not supported; supported is $NATIVE"))
end

"The folder that holds include/julia/julia.h."
function prefix()
    folder = dirname(Sys.BINDIR)
    isfile(joinpath(folder, "include", "julia", "julia.h")) && return folder
    throw(Missing("$folder/include/julia/julia.h is missing: this Julia came without its headers; " *
        "install them (Debian: libjulia-dev) or take another Julia"))
end

function program(name, advice)
    # The name, not what `Sys.which` makes of it: that follows links, and rustup's programs are
    # told apart by the link through which they are called.
    Sys.which(name) === nothing || return name
    path = joinpath(homedir(), ".cargo", "bin", name)
    name == "cargo" && isfile(path) && return path
    throw(Missing("no $name here: $advice"))
end

"""
Run `body` with a path of `folder` that has no space in it: cargo splits the command with which it starts
tests at spaces. The same path each time, or cargo would build everything anew.
"""
function without_spaces(body, folder)
    occursin(r"\s", folder) || return body(folder)
    link = joinpath(tempdir(), string("nativecache-julia-", string(hash(folder); base = 16)))
    islink(link) || symlink(folder, link)
    try
        lstat(link).uid == ccall(:getuid, Cuint, ()) && readlink(link) == folder ||
            throw(Missing("$link is in the way: remove it"))
        return body(link)
    finally
        rm(link; force = true)
    end
end

"Where a test that is linked to libjulia finds it; cargo itself is not to see these libraries."
libraries(julia) = join((joinpath(julia, folder) for folder in ("lib", "lib/$(Sys.ARCH)-linux-gnu", "lib/julia")), ':')

function cargo(arguments; target = "target", environment = Dict{String,String}())
    program("cc", "install a C compiler and the C library's headers")
    without_spaces(prefix()) do julia
        env = merge(Dict(ENV),
            Dict("JULIA_DIR" => julia, "JLRS_JULIA_DIR" => julia, "CARGO_TARGET_DIR" => joinpath(ROOT, target), environment...,
                "NATIVECACHE_BUILD" => "$(version()) ($(stamp()))",     # a part of the key of each library
                "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER" => "env LD_LIBRARY_PATH=$(libraries(julia))"))
        command = Cmd(`$(program("cargo", "install Rust")) $arguments`; env = env, dir = ROOT)
        success(pipeline(command; stdin = devnull, stdout = stdout, stderr = stderr)) ||
            throw(Missing("`cargo $(join(arguments, ' '))` failed; its output is above"))
    end
end

"Everything that the libraries are made from, in one number."
function stamp()
    sum = hash((VERSION, Base.GIT_VERSION_INFO.commit, prefix()))
    files = [joinpath(ROOT, name) for name in ("Cargo.toml", "Cargo.lock", "Project.toml", "deps/build.jl",
             "src/store/lines.jl", "src/mutation.jl", "src/store/signature.jl", "src/processes/worker.jl")]
    COMPANIONS && push!(files, joinpath(ROOT, "rust/companion/Cargo.lock"))
    for (folder, _, names) in walkdir(joinpath(ROOT, "rust"))
        # Not the tests and the fuzzers, which write files there.
        isdisjoint(splitpath(relpath(folder, ROOT)), ("tests", "fuzz", "examples")) || continue
        append!(files, joinpath(folder, name) for name in names if name in ("Cargo.toml", "build.rs") || endswith(name, ".rs"))
    end
    for file in sort!(files)
        sum = hash((relpath(file, ROOT), read(file)), sum)
    end
    return string(sum; base = 16, pad = 16)
end

version() = match(r"^version\s*=\s*\"(.*)\""m, read(joinpath(ROOT, "Project.toml"), String))[1]

"A file that changes in one step: no session sees half of it."
function place(write_to, path)
    temporary = tempname(LIB; cleanup = false)
    write_to(temporary)
    Base.Filesystem.rename(temporary, path)
end

# Protections can be taken out by their names: rust/mutation.
const REMOVABLE = ["--features", "nativecache-mutation/removable"]

function build(options = String[])
    require_engine()
    now = stamp()
    record = joinpath(LIB, "stamp")
    # Where it says which protection is taken out, the libraries are not those that users get.
    mutation = joinpath(LIB, "mutation")
    all(name -> isfile(joinpath(LIB, name)), NAMES) && isfile(record) && read(record, String) == now &&
        isfile(mutation) == (options == REMOVABLE) && return
    if COMPANIONS
        cargo(["build", "--release", "--locked", MANIFEST..., options...]; target = TARGET)
    else
        cargo(["build", "--release", "--locked", "--package", "nativecache-session", "--package", "nativecache-worker", options...])
    end
    mkpath(LIB)
    for name in NAMES
        place(path -> cp(joinpath(ROOT, TARGET, "release", name), path), joinpath(LIB, name))
    end
    options == REMOVABLE ? write(mutation, "none\n") : rm(mutation; force = true)
    place(path -> write(path, now), record)
end

function check()
    if COMPANIONS
        cargo(["fmt", "--check", MANIFEST...]; target = TARGET)
        cargo(["clippy", "--release", "--locked", MANIFEST..., "--all-targets", "--", "-D", "warnings"]; target = TARGET)
        return cargo(["test", "--release", "--locked", MANIFEST...]; target = TARGET)
    end
    cargo(["fmt", "--all", "--check"])
    workspace = ["--release", "--locked", "--workspace"]
    cargo(["clippy", workspace..., "--all-targets", "--", "-D", "warnings"])
    cargo(["clippy", workspace..., REMOVABLE..., "--", "-D", "warnings"])
    cargo(["test", workspace...])
end

"""
The stable toolchain has AddressSanitizer's runtime and hides the flag: RUSTC_BOOTSTRAP shows it. The libraries take
the runtime from the process: test/faults/sanitizer.jl loads them.
"""
function sanitize()
    environment = Dict("RUSTC_BOOTSTRAP" => "1", "RUSTFLAGS" => "-Zsanitizer=address -Cforce-frame-pointers=yes")
    # With a target the flags are not used for build scripts and macros.
    common = ["--release", "--locked", "--target", "$(Sys.ARCH)-unknown-linux-gnu"]
    run(arguments) = cargo(arguments; target = "target/asan", environment = environment)
    # Not the examples in comments, which are compiled with flags of their own.
    run(["test", common..., "--lib", "--tests", "--package", "nativecache-image", "--package", "nativecache-store"])
    run(["build", common..., "--package", "nativecache-session", "--package", "nativecache-worker"])
    folder = joinpath(ROOT, "target", "asan")
    mkpath(joinpath(folder, "lib"))
    for name in NAMES
        cp(joinpath(folder, common[end], "release", name), joinpath(folder, "lib", name); force = true)
    end
end

function main(arguments)
    try
        arguments == ["check"] ? check() : arguments == ["sanitize"] ? sanitize() :
            arguments == ["removable"] ? build(REMOVABLE) : isempty(arguments) ? build() :
            throw(Missing("usage: julia deps/build.jl [check|sanitize|removable]"))
    catch err
        err isa Missing || rethrow()
        println(stderr, "NativeCache: ", err.message)
        exit(1)
    end
end

end

BuildNativeCache.main(ARGS)
