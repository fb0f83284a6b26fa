# usage: julia all.jl <probe library> <work folder> [quick]
#
# <probe library> is what `cargo build --release --example nativecache_codegen_probe` makes. Runs runtests.jl in fresh
# processes: all levels, all ways to call what was not emitted, options that change the code; then looks whether two
# processes, of which one has compiled other things before, write the same object. `quick` does a part of that.
using Test

const PROBE, WORK = ARGS[1], ARGS[2]
const QUICK = ARGS[3:end] == ["quick"]
const HERE = @__DIR__

# A real package, with code that is not in the sysimage.
const PACKAGE = joinpath(WORK, "packages", "Dates")
mkpath(dirname(PACKAGE))
cp(joinpath(Sys.STDLIB, "Dates"), PACKAGE; force = true, follow_symlinks = true)
run(`chmod -R u+w $PACKAGE`)
const PROJECT = joinpath(PACKAGE, "Project.toml")
write(PROJECT, replace(read(PROJECT, String), r"^uuid = .*$"m => "uuid = \"d6e0ef1a-7c3b-4c52-9d39-b7a2d6f3c0de\""))
const DEPOT = joinpath(WORK, "depot")

"Code for a session's beginning that moves all numbers of Julia's code generator."
const BEFORE = joinpath(WORK, "before.jl")
write(BEFORE, "for i in 1:7; Core.eval(Main, :((x -> x + \$i)(1))); end")

function probe(level, mode, what = "compare"; before = String[], folder = WORK)
    run(`$(Base.julia_cmd()) --startup-file=no -O$level $before $(joinpath(HERE, "runtests.jl"))
         $PROBE $folder $level $mode $what`)
end

ENV["JULIA_DEPOT_PATH"] = DEPOT
@testset "code generator" begin
    runs = [(2, 3), (0, 3), (2, 1), (2, 0), (2, 2), (1, 3), (3, 3)]
    for (level, mode) in runs[1:(QUICK ? 2 : end)]
        @test success(probe(level, mode))
    end
    @test success(probe(2, 1, "isolate"))
    # Options of Julia that change the code: the last digits must be those of the same session's compiler.
    options = [`-Cx86-64`, `--math-mode=fast`, `--check-bounds=yes`, `-g2`, `--inline=no`]
    for flags in options[1:(QUICK ? 1 : end)]
        @test success(probe(2, 3; before = collect(flags)))
    end
    for level in (QUICK ? (2:2) : (0:3))
        objects = map(("one", "other")) do name
            folder = joinpath(WORK, name)
            mkpath(folder)
            islink(joinpath(folder, "packages")) || symlink(dirname(PACKAGE), joinpath(folder, "packages"))
            before = name == "one" ? String[] : ["-L", BEFORE]
            @test success(probe(level, 3, "order"; before = before, folder = folder))
            read(joinpath(folder, "o$level-m3.o"))
        end
        @test length(objects[1]) > 100_000
        @test objects[1] == objects[2]
    end
end
