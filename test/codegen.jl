# rust/native/codegen against the JIT, in processes of its own (rust/native/codegen/tests/julia): 145 calls of
# every calling convention compare equal, and two processes write the same object.

@testset "codegen" begin
    # `cargo test`, which `make test` runs first, builds it with the other examples.
    probe = joinpath(ROOT, "target", "release", "examples", "libnativecache_codegen_probe.so")
    script = joinpath(ROOT, "rust", "native", "codegen", "tests", "julia", "all.jl")
    @test isfile(probe)
    mktempdir() do folder
        julia = joinpath(Sys.BINDIR, Base.julia_exename())
        log = joinpath(folder, "log")
        environment = Dict{String,String}(name => value for (name, value) in ENV if !startswith(name, "JULIA_"))
        command = setenv(`$julia --startup-file=no --color=no $script $probe $folder quick`, environment)
        process = run(pipeline(ignorestatus(command); stdin = devnull, stdout = log, stderr = log))
        @test success(process)
        @test occursin(r"^code generator +\| +8 +8$"m, read(log, String))
        success(process) || println(read(log, String))
    end
end
