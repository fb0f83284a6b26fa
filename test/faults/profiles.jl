# Profiles: damaged, merged by many at once, killed while they are written; and the builds that
# follow from them in the background.

const TAUGHT = let box = Box()
    # Each session needs a method of its own.
    add_package(box, "Taught", "module Taught\n@noinline f(::Val{N}) where {N} = string(\"number \", N)\nend")
    run_in(box, "using Taught")
    box
end
taught_session(number; before = "") = "using NativeCache, Taught\n$before\nprint(Taught.f(Val($number)))"
const PROFILE = joinpath(store_of(TAUGHT), "profiles", "Taught-c0ffee00", "trace.profile")
entry(number) = "Tuple{typeof(Taught.f), Base.Val{$number}}"
taught() = isfile(PROFILE) ? [n for n in 1:1000 if occursin(Regex("Taught\\.f\\), (Base\\.)?Val\\{$n\\}"), read(PROFILE, String))] : Int[]

@testset "sessions that end at once" begin
    count = points(12, 30)
    for run in map(finish, [start(TAUGHT, taught_session(n)) for n in 1:count])
        @test startswith(run.out, "number ") && run.err == "" && run.code == 0
    end
    # What one could not merge in time lies beside the file; the next merges it.
    run_in(TAUGHT, taught_session(count + 1))
    @test taught() == 1:count+1
    @test filter(name -> occursin("pending", name), readdir(dirname(PROFILE))) == []
end

@testset "killed while it is written" begin
    known = taught()
    for (number, delay) in enumerate(range(0.3, 1.2; length = points(3, 60)))
        started = start(TAUGHT, taught_session(100 + number))
        timedwait(() -> !process_running(started.process), delay)
        kill(started.process, Base.SIGKILL)
        finish(started)
        @test issubset(known, taught())
        @test endswith(read(PROFILE, String), '\n')
    end
    # Nobody holds the lock.
    @test run_in(TAUGHT, taught_session(200)).out == "number 200"
    @test issubset([known; 200], taught())
end

@testset "damaged" begin
    before = taught()
    good = read(PROFILE)
    garbage = [UInt8[0x00, 0xff, 0xfe, 0x0a]; rand(Random.MersenneTwister(1), UInt8, 5000); 0x0a]
    for bytes in ([good; garbage], [garbage; good], [good; codeunits("precompile(\nprecompile()\n# : \n\t\n")])
        write(PROFILE, bytes)
        run = run_in(TAUGHT, """
            using NativeCache, Taught
            print(length(NativeCache.profile("Taught")[1].entries) >= $(length(before)), " ", Taught.f(Val(1)))
            """)
        @test run.out == "true number 1" && run.err == "" && run.code == 0
        @test issubset(before, taught())
    end
    # What is no file, or not ours alone, is not read, and not in the way.
    rm(PROFILE)
    for (put, undo) in ((() -> mkdir(PROFILE), () -> rm(PROFILE)),
                        (() -> Base.run(`mkfifo $PROFILE`), () -> rm(PROFILE)),
                        (() -> (write(PROFILE, good); chmod(PROFILE, 0o666)), () -> rm(PROFILE)))
        put()
        run = run_in(TAUGHT, taught_session(1); limit = 30)
        @test run.out == "number 1" && run.err == "" && run.code == 0 && !run.hung
        undo()
    end
    write(PROFILE, good)
    chmod(PROFILE, 0o644)
end

if FULL
    @testset "a background build, killed after $delay s" for delay in (0.2, 1.0, 2.0, 3.0, 5.0)
        auto = ["JULIA_NATIVECACHE_AUTO" => "background"]
        run = run_in(TAUGHT, taught_session(300 + round(Int, 10delay)); env = auto)
        @test run.err == "" && run.code == 0
        queue() = [pid for (pid, line) in processes_with(TAUGHT.root) if occursin("queue.jl", line)]
        wait_until(() -> !isempty(queue()); limit = 10)
        sleep(delay)
        foreach(pid -> ccall(:kill, Cint, (Cint, Cint), pid, 9), queue())
        # A build that it had started may go on; then the next session takes up what is left.
        wait_until(() -> isempty(processes_with(TAUGHT.root)); limit = 60)
        run = run_in(TAUGHT, taught_session(1); env = auto)
        @test run.err == "" && run.code == 0
        @test wait_until(() -> isempty(processes_with(TAUGHT.root)); limit = 120)
        @test isempty(readdir(joinpath(store_of(TAUGHT), "queue"))) && isempty(leftovers(TAUGHT))
        @test run_in(TAUGHT, taught_session(1) * "; print(\" \", length(NativeCache.status(\"Taught\").installed) > 10)").out == "number 1 true"
    end
end

remove(TAUGHT)
