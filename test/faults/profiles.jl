# Profiles: damaged, merged by many at once, killed while they are written; and the builds that
# follow from them in the background.

const TAUGHT = let box = copy_depot(Box(TEMPLATE.box.packages))
    run_in(box, "using Taught")
    # In full there are more sessions than it takes to forget what they do not use.
    mkpath(joinpath(box.depot, "config"))
    write(joinpath(box.depot, "config", "NativeCache.toml"), "fade = 0\n")
    box
end
const PROFILE = taught_profile(TAUGHT)

@testset "sessions that end at once" begin
    count = points(8, 30)
    for run in map(finish, [start(TAUGHT, taught_session(n)) for n in 1:count])
        @test startswith(run.out, "number ") && run.err == "" && run.code == 0
    end
    # What one could not merge in time lies beside the file; the next merges it.
    run_in(TAUGHT, taught_session(count + 1))
    @test taught(TAUGHT) == 1:count+1
    @test isempty(unfinished(TAUGHT))
end

@testset "killed while it is written" begin
    known = taught(TAUGHT)
    for (number, delay) in enumerate(points(0.5:0.5, range(0.3, 1.2; length = 60)))
        started = start(TAUGHT, taught_session(100 + number))
        timedwait(() -> !process_running(started.process), delay)
        kill(started.process, Base.SIGKILL)
        counted!("kills", 1)
        finish(started)
        @test issubset(known, taught(TAUGHT))
        @test endswith(read(PROFILE, String), '\n')
    end
    # At every operation on files of the store.
    number = Ref(200)
    killed = killed_at_operations(TAUGHT; count = points(4, 1000), check = function (n)
            @test issubset(known, taught(TAUGHT))
            @test endswith(read(PROFILE, String), '\n')
        end) do env
        number[] += 1
        run_in(TAUGHT, taught_session(number[]); env = env)
    end
    println("  killed: sessions that write profiles at ", killed, " operations on files")
    @test killed >= points(3, 5)
    # Nobody holds the lock. What the killed ones were writing is removed when it is a minute old.
    for name in unfinished(TAUGHT)
        ccall(:utimes, Cint, (Cstring, Ptr{Int}), joinpath(dirname(PROFILE), name), Int[1_000_000_000, 0, 1_000_000_000, 0])
    end
    @test run_in(TAUGHT, taught_session(99)).out == "number 99"
    @test issubset([known; 99], taught(TAUGHT))
    @test isempty(unfinished(TAUGHT))
end

@testset "damaged" begin
    before = taught(TAUGHT)
    good = read(PROFILE)
    garbage = [UInt8[0x00, 0xff, 0xfe, 0x0a]; rand(Random.MersenneTwister(1), UInt8, 5000); 0x0a]
    for bytes in ([good; garbage], [garbage; good], [good; codeunits("precompile(\nprecompile()\n# : \n\t\n")])
        write(PROFILE, bytes)
        run = run_in(TAUGHT, """
            using NativeCache, Taught
            print(length(NativeCache.profile("Taught")[1].entries) >= $(length(before)), " ", Taught.f(Val(1)))
            """)
        @test run.out == "true number 1" && run.err == "" && run.code == 0
        @test issubset(before, taught(TAUGHT))
    end
    # What is no file, or not ours alone, is not read, and not in the way.
    rm(PROFILE)
    for (put, undo) in ((() -> mkdir(PROFILE), () -> rm(PROFILE)),
                        (() -> Base.run(`mkfifo $PROFILE`), () -> rm(PROFILE)),
                        (() -> (write(PROFILE, good); chmod(PROFILE, 0o666)), () -> rm(PROFILE)))
        put()
        run = run_in(TAUGHT, taught_session(1))
        @test run.out == "number 1" && run.err == "" && run.code == 0 && !run.hung
        undo()
    end
    write(PROFILE, good)
    chmod(PROFILE, 0o644)
end

const AUTOMATIC = ["JULIA_NATIVECACHE_AUTO" => "background"]

@testset "an update in the background, at operations on files" begin
    # Of the session, the queue, the build, the worker and the linker, whichever does it.
    number = Ref(300)
    known = taught(TAUGHT)
    function good_session(number)
        run = run_in(TAUGHT, taught_session(number) *
            "\nprint(' ', setdiff([item.reason for item in NativeCache.status(\"Taught\").rejected], [:AlreadyCompiled]) == [])")
        @test (run.out, run.err, run.code) == ("number $number true", "", 0)
    end
    killed = killed_at_operations(TAUGHT; count = points(2, 40), check = function (n)
            good_session(1)
            @test issubset(known, taught(TAUGHT))
        end) do env
        number[] += 1
        run_in(TAUGHT, taught_session(number[]); env = [env; AUTOMATIC])
        wait_until(() -> isempty(processes_with(TAUGHT.root)))
    end
    println("  killed: updates in the background at ", killed, " operations on files")
    # The next session takes up what is left.
    run = run_in(TAUGHT, taught_session(299); env = AUTOMATIC)
    @test run.err == "" && run.code == 0
    @test wait_until(() -> isempty(processes_with(TAUGHT.root)))
    @test !any(name -> endswith(name, ".job") || endswith(name, ".running"), readdir(joinpath(store_of(TAUGHT), "queue")))
    @test isempty(leftovers(TAUGHT))
    @test issubset([known; 299], taught(TAUGHT))
    run = run_in(TAUGHT, taught_session(299) * "; print(\" \", length(NativeCache.status(\"Taught\").installed) > 5)")
    @test run.out == "number 299 true"
end

remove(TAUGHT)
