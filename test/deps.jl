# deps/build.jl: what is missing is said in one line.

@testset "missing tools" begin
    clone = mktempdir(; prefix = "nativecache té st ")
    mkpath(joinpath(clone, "deps"))
    mkpath(joinpath(clone, "rust"))
    mkpath(joinpath(clone, "src"))
    for file in ("Cargo.toml", "Cargo.lock", "Project.toml", "src/store/lines.jl", "src/mutation.jl", "src/store/signature.jl",
                 "src/processes/worker.jl", "deps/build.jl", "deps/julia.sh")
        mkpath(dirname(joinpath(clone, file)))
        cp(joinpath(ROOT, file), joinpath(clone, file))
    end
    tools = joinpath(clone, "tools")
    mkpath(tools)
    function attempt(arguments...; env = Pair{String,String}[])
        environment = merge(Dict(ENV), Dict("PATH" => tools, "HOME" => clone), Dict(env))
        command = setenv(`$(Sandbox.julia_program()) --startup-file=no --history-file=no $(joinpath(clone, "deps", "build.jl")) $arguments`, environment)
        err = joinpath(clone, "err")
        process = run(pipeline(ignorestatus(command); stdin = devnull, stdout = devnull, stderr = err))
        return process.exitcode, split(strip(read(err, String)), '\n')
    end
    @test attempt() == (1, ["NativeCache: no cc here: install a C compiler and the C library's headers"])
    symlink("/bin/true", joinpath(tools, "cc"))
    @test attempt() == (1, ["NativeCache: no cargo here: install Rust"])
    symlink("/bin/false", joinpath(tools, "cargo"))
    code, lines = attempt()
    @test code == 1 && length(lines) == 1 && occursin(r"^NativeCache: `cargo build .*` failed", lines[1])
    @test attempt("nonsense") == (1, ["NativeCache: usage: julia deps/build.jl [check|sanitize|removable]"])
    # Nothing half made is left.
    @test !ispath(joinpath(clone, "deps", "lib"))
    rm(clone; recursive = true)
end

# The build takes nothing from a clang, whichever is first on PATH.
@testset "another clang" begin
    folder = mktempdir()
    asked = joinpath(folder, "asked")
    for name in ("clang", "llvm-config")
        program = joinpath(mkpath(joinpath(folder, "bin")), name)
        write(program, "#!/bin/sh\necho \"\$0 \$*\" >> '$asked'\nexit 1\n")
        chmod(program, 0o755)
    end
    # On a copy of what set-up has built: only what the other JULIA_DIR touches is made anew.
    built = joinpath(ROOT, "target", "release")
    copy = mkpath(joinpath(folder, "target", "release"))
    for part in filter(part -> isdir(joinpath(built, part)), ["build", "deps", ".fingerprint"])
        run(`cp -a $(joinpath(built, part)) $copy`)
    end
    headers = joinpath(folder, "julia")
    symlink(dirname(Sys.BINDIR), headers)
    env = merge(Dict(ENV), Dict("JULIA_DIR" => headers, "PATH" => string(joinpath(folder, "bin"), ':', ENV["PATH"]),
        "CARGO_TARGET_DIR" => dirname(copy)))
    said = joinpath(folder, "said")
    cargo = something(Sys.which("cargo") === nothing ? nothing : "cargo", joinpath(homedir(), ".cargo", "bin", "cargo"))
    process = run(pipeline(ignorestatus(Cmd(`$cargo build --release --locked --package jl-sys`; env = env, dir = ROOT));
        stdin = devnull, stdout = devnull, stderr = said))
    @test success(process)
    @test occursin("Compiling jl-sys", read(said, String))
    @test !isfile(asked)
    rm(folder; recursive = true)
end
