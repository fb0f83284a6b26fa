# Killed at any moment: what was there stays, or the new is there whole; the next run cleans up.

const KILLED = small()

"After a kill: the old library or the new one, and a session that works with it."
function whole(t)
    bytes = read(t.library)
    @test bytes == t.good || bytes == t.few
    return bytes == t.good
end

"A build that comes through, and what the killed ones left is gone."
function recovers(t)
    run = run_in(t.box, build_script())
    @test run.out == "built" && run.err == ""
    @test read(t.library) == t.good
    @test isempty(leftovers(t.box))
    @test isempty(processes_with(t.box.root))
end

@testset "builds, after a while" begin
    # A build takes about 3 s on a quiet machine; the delays go beyond.
    t = KILLED
    old = Ref(0)
    delays = points(3.0:3.0, range(0.3, 5.0; length = 60))
    for (number, delay) in enumerate(delays)
        started = start(t.box, build_script(isodd(number) ? FEW : SMALL_STATEMENTS))
        timedwait(() -> !process_running(started.process), delay)
        kill(started.process, Base.SIGKILL)
        counted!("kills", 1)
        finish(started)
        old[] += whole(t)
        # Whatever it had started goes with it.
        @test wait_until(() -> isempty(processes_with(t.box.root)))
    end
    @test length(leftovers(t.box)) <= length(delays)
    recovers(t)
    println("  killed: ", length(delays), " builds after ", first(delays), " to ", last(delays), " s")
end

"The journal of the build that is under way."
function last_journal_step(box)
    for name in leftovers(box)
        journal = joinpath(store_of(box), name, "journal")
        lines = try readlines(journal) catch; String[] end
        isempty(lines) || return split(lines[end])[1]
    end
    return ""
end

@testset "builds, at each step: $step, the $victim" for step in points(("optimise",), ("load", "statement", "infer", "emit", "optimise", "link")),
        victim in (FULL ? ("session", "worker") : ("worker",))
    t = KILLED
    write(t.library, t.good)
    counted!("kills", 1)
    started = start(t.box, build_script(FEW))
    # Steps are short: whichever is seen at or after the one that was asked for.
    order = ["load", "statement", "infer", "emit", "optimise", "link", "done"]
    reached = wait_until(() -> (now = findfirst(isequal(last_journal_step(t.box)), order);
        (now !== nothing && now >= findfirst(isequal(step), order)) || !process_running(started.process)))
    @test reached || !process_running(started.process)
    if victim == "session"
        kill(started.process, Base.SIGKILL)
        finish(started)
    else
        for (pid, line) in processes_with(t.box.root)
            occursin("worker.jl", line) && ccall(:kill, Cint, (Cint, Cint), pid, 9)
        end
        run = finish(started)
        # Seen by the build: a result, not an exception. Too late to hit it, and it is built.
        @test run.code == 0 && (occursin("killed (signal 9)", run.out) || run.out == "built")
        @test isempty(leftovers(t.box))
    end
    whole(t)
end

@testset "builds, at operations on files" begin
    # Of the session, the worker and the linker, whichever does it.
    t = KILLED
    killed = killed_at_operations(t.box; prepare = () -> write(t.library, t.good), count = points(3, 1000),
            check = n -> whole(t)) do env
        run_in(t.box, build_script(FEW); env = env)
    end
    println("  killed: builds at ", killed, " operations on files")
end

@testset "gc!, at operations on files" begin
    t = KILLED
    root = store_of(t.box)
    doomed = Dict{String,Vector{UInt8}}(
        joinpath(dirname(t.library), "0123456789abcdef.so") => t.good,
        joinpath(dirname(t.library), "0123456789abcdee.so") => t.few,
        joinpath(dirname(dirname(t.library)), "Gone-12345678", basename(t.library)) => t.good,
        joinpath(root, "profiles", "Gone-12345678", "trace.profile") => codeunits("# NativeCache profile\n"),
        joinpath(root, "profiles", "Gone-12345678", "lock") => UInt8[],
        joinpath(root, "build-dead", "lock") => UInt8[],
        joinpath(root, "build-dead", "code.o") => t.few)
    function prepare()
        write(t.library, t.good)
        for (path, bytes) in doomed
            mkpath(dirname(path); mode = 0o755)
            write(path, bytes)
        end
    end
    killed = killed_at_operations(t.box; prepare = prepare, count = points(3, 1000), check = function (n)
            @test read(t.library) == t.good
            # Each is there as it was, or gone.
            @test all(path -> !ispath(path) || read(path) == doomed[path], keys(doomed))
        end) do env
        run_in(t.box, "using NativeCache; NativeCache.gc!()"; env = env)
    end
    println("  killed: gc! at ", killed, " operations on files")
    run = run_in(t.box, "using NativeCache; print(all(item -> item.removed, NativeCache.gc!()))")
    @test run.out == "true" && run.err == ""
    @test !any(ispath, keys(doomed)) && isempty(leftovers(t.box)) && read(t.library) == t.good
    unharmed(run_in(t.box, SMALL_SESSION))
end

@testset "at the linker, which kills $victim" for victim in points(("all of the build",), ("the worker", "all of the build"))
    t = KILLED
    write(t.library, t.good)
    linker = joinpath(t.box.root, "linker.sh")
    # The linker's parent is the worker, and that one's the session.
    write(linker, """
        #!/bin/sh
        while [ \$# -gt 0 ]; do [ "\$1" = -o ] && printf half > "\$2"; shift; done
        $(victim == "the worker" ? "kill -9 \$PPID" : "kill -9 \$(cut -d' ' -f4 /proc/\$PPID/stat)")
        sleep 60
        """)
    chmod(linker, 0o755)
    run = run_in(t.box, build_script(FEW; keywords = "linker = $(repr(linker))"))
    @test victim == "the worker" ? occursin("killed (signal 9)", run.out) : run.signal == 9
    @test read(t.library) == t.good
    @test wait_until(() -> isempty(processes_with(t.box.root)))
    rm(linker)
end

@testset "the next run cleans up" begin
    recovers(KILLED)
    unharmed(run_in(KILLED.box, SMALL_SESSION))
end

@testset "sessions, while they link" begin
    # A session changes nothing in the store, so nothing can be torn by its death.
    t = KILLED
    before = sort(readdir(store_of(t.box)))
    for delay in range(0.1, 0.6; length = points(2, 40))
        started = start(t.box, SMALL_SESSION)
        timedwait(() -> !process_running(started.process), delay)
        kill(started.process, Base.SIGKILL)
        finish(started)
    end
    @test read(t.library) == t.good && sort(readdir(store_of(t.box))) == before
end

remove(KILLED.box)
