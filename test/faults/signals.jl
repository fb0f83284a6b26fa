# Signals and exits: a session ends as it does without us, at the same moment, and leaves nothing running.

const SIGNALLED = small()

# A script that Ctrl-C hits in the middle of `malloc` waits for itself for ever when an exit hook calls that again, with
# the cache or without (docs/faults.md has the figures). Here the signal that makes it exit waits until `malloc` is done.
const QUIET_MALLOC = joinpath(mktempdir(), "malloc.so")     # no space in its path: LD_PRELOAD ends a name there
function quiet_malloc()
    isfile(QUIET_MALLOC) || run(`cc -shared -fPIC -O2 -o $QUIET_MALLOC $(joinpath(ROOT, "test", "faults", "malloc.c")) -ldl`)
    return ["LD_PRELOAD" => QUIET_MALLOC]
end

"The same script without the cache and with it; its own path is taken out of what it says."
function both(t, body)
    map(("using NativeCache\n", "\n")) do first
        started = start(t.box, first * body)
        run = finish(started)
        # A trace names the file, and addresses differ from process to process.
        mask(text) = replace(replace(replace(text, started.path => "SCRIPT"), r"0x[0-9a-f]+" => "ADDRESS"), r"\(\d+\)|: \d+; big: \d+\)" => "N")
        (out = mask(run.out), err = mask(run.err), code = run.code, signal = run.signal)
    end
end

@testset "the same end: $what" for (what, body, code, signal) in [
        ("exit in atexit", "atexit(() -> exit(3))\n$SMALL_BODY", 3, 0),
        ("an error", "$(SMALL_BODY)error(\"the end\")", 1, 0),
        ("an error in cached code", "$(SMALL_BODY)Small.fail(5)", 1, 0),
        ("no memory", "$(SMALL_BODY)try Array{UInt8}(undef, 1 << 60) catch e; print(typeof(e)) end; exit(5)", 5, 0),
        ("killed", "$(SMALL_BODY)flush(stdout); ccall(:kill, Cint, (Cint, Cint), getpid(), 9); sleep(9)", 0, 9)]
    FULL || what in ("exit in atexit", "an error in cached code", "no memory", "killed") || continue
    with, without = both(SIGNALLED, body)
    @test with.code == without.code == code
    @test with.signal == without.signal == signal
    @test with.out == without.out && startswith(with.out, SMALL_OUT)
    signal == 0 && @test with.err == without.err
end

@testset "Ctrl-C while a session loads and links" begin
    # It comes at some moment between Julia's start and the end of the script. Julia 1.5 then runs its exit
    # hooks in the middle of whatever it was doing, so how it ends differs from run to run, without us too.
    t = SIGNALLED
    for delay in range(0.15, 0.7; length = points(3, 60))
        started = start(t.box, SMALL_SESSION; env = quiet_malloc())
        timedwait(() -> !process_running(started.process), delay)
        kill(started.process, Base.SIGINT)
        run = finish(started)
        @test !run.hung
        @test startswith(SMALL_OUT, run.out)
        # An exit hook of ours that had to be compiled would call LLVM from within itself. Julia's own may.
        @test !occursin(r"signal \(11\)(.|\n)*libnativecache", run.err)
    end
    @test read(t.library) == t.good
    unharmed(run_in(t.box, SMALL_SESSION))
end

"Interrupt the process, at most every `pause` seconds, until it has made the file `enough`."
function interrupt(started, enough; pause)
    until = time() + Sandbox.LIMIT
    while time() < until && process_running(started.process) && !isfile(enough)
        kill(started.process, Base.SIGINT)
        sleep(pause * (1 + rand()))
    end
end

@testset "Ctrl-C that a session survives" begin
    # As at the prompt: an InterruptException is thrown, and the session goes on. Many come while
    # libraries are linked and asked about: no lock stays taken and the collector stays on.
    t = SIGNALLED
    started = start(t.box, """
        ccall(:jl_exit_on_sigint, Cvoid, (Cint,), 0)
        using NativeCache, Small
        const PLACE = $(repr(joinpath(dirname(t.library), "copy.so")))
        const COUNTS = zeros(UInt8, 64)
        const INSTALLED = Any[]
        function rounds(most_links, most_interrupts)
            links, interrupts = 0, 0
            while true
                try
                    if links >= most_links && interrupts >= most_interrupts
                        touch($(repr(joinpath(t.box.root, "enough"))))
                        sleep(1)        # one may be on its way
                        break
                    end
                    links += ccall((:nativecache_link, NativeCache.LIBRARY), Int64, (Cstring, Any, Ptr{UInt8}),
                        PLACE, Base.loaded_modules_array(), COUNTS) >= 0
                    NativeCache.found()
                    ccall((:nativecache_loaded, NativeCache.LIBRARY), Cvoid, ())
                    for _ in 1:1000
                        ccall((:nativecache_installed, NativeCache.LIBRARY), Cint, (Int64, Any), 0, empty!(sizehint!(INSTALLED, 0)))
                    end
                catch err
                    err isa InterruptException || rethrow()
                    interrupts += 1
                end
            end
            return links, interrupts
        end
        rounds(1, 0)
        rm($(repr(joinpath(t.box.root, "enough"))))
        println("ready")
        flush(stdout)
        links, interrupts = rounds(100, 5)
        println(links >= 100, " ", interrupts >= 5, " ", GC.enable(true))
        $SMALL_BODY
        """)
    cp(t.library, joinpath(dirname(t.library), "copy.so"))
    wait_until(() -> occursin("ready", read("$(started.path).out", String)) || !process_running(started.process))
    # Faster ones Julia throws by force, wherever the program is, with a warning (signal-handling.c).
    interrupt(started, joinpath(t.box.root, "enough"); pause = 0.4)
    run = finish(started)
    @test run.out == "ready\ntrue true true\n$SMALL_OUT"
    @test !run.hung && run.code == 0
    rm(joinpath(dirname(t.library), "copy.so"))
end

@testset "Ctrl-C while a session waits for a build" begin
    # With `auto = now`; only the session gets it, as in a notebook. It goes on, and the build comes to its end.
    t = small()
    rm(t.library)
    run_in(t.box, SMALL_SESSION)        # which leaves a profile
    linker, went_on = joinpath(t.box.root, "linker.sh"), joinpath(t.box.root, "went on")
    write(linker, """
        #!/bin/sh
        kill -INT \$SESSION
        n=0
        until [ -e '$went_on' ]; do n=\$((n + 1)); [ \$n -lt 600 ] || exit 1; sleep 0.1; done
        exec cc "\$@"
        """)
    chmod(linker, 0o755)
    run = run_in(t.box, """
        ccall(:jl_exit_on_sigint, Cvoid, (Cint,), 0)
        ENV["SESSION"] = string(getpid())
        using NativeCache
        try
            @eval using Small
        catch err
            println(err)
        end
        $SMALL_BODY
        touch($(repr(went_on)))
        print(GC.enable(true), isfile($(repr(t.library))))
        """; env = ["JULIA_NATIVECACHE_AUTO" => "now", "JULIA_NATIVECACHE_LINKER" => linker, "JULIA_NATIVECACHE_TRACE" => "no"])
    @test run.out == "InterruptException()\n$(SMALL_OUT)truefalse" && run.err == ""
    @test run.code == 0 && !run.hung
    @test wait_until(() -> isfile(t.library) && isempty(processes_with(t.box.root)))
    unharmed(run_in(t.box, SMALL_SESSION))
    remove(t.box)
end

@testset "Ctrl-C while a session is traced" begin
    # trace! again and again, interrupted: the profile is whole each time, no lock stays taken, the session goes on.
    t = SIGNALLED
    run_in(t.box, "using Taught")
    started = start(t.box, """
        ccall(:jl_exit_on_sigint, Cvoid, (Cint,), 0)
        using NativeCache, Taught
        function rounds(most_traces, most_interrupts)
            traces, interrupts = 0, 0
            while true
                try
                    if traces >= most_traces && interrupts >= most_interrupts
                        touch($(repr(joinpath(t.box.root, "traced"))))
                        sleep(1)        # one may be on its way
                        break
                    end
                    NativeCache.trace!()
                    traces += 1
                catch err
                    err isa InterruptException || rethrow()
                    interrupts += 1
                end
            end
            return traces, interrupts
        end
        Taught.f(Val(1))
        rounds(1, 0)
        rm($(repr(joinpath(t.box.root, "traced"))))
        println("ready")
        flush(stdout)
        traces, interrupts = rounds(6, 6)
        print(min(traces, interrupts) >= 6, " ", GC.enable(true), " ", Taught.f(Val(2)))
        """; env = ["JULIA_NATIVECACHE_FADE" => "0"])
    wait_until(() -> occursin("ready", read("$(started.path).out", String)) || !process_running(started.process))
    interrupt(started, joinpath(t.box.root, "traced"); pause = 0.1)
    run = finish(started)
    @test (run.out, run.err) == ("ready\ntrue true number 2", "")
    @test run.code == 0 && !run.hung
    @test taught(t.box) == [1, 2] && isempty(unfinished(t.box))
    # In a script it ends the session, wherever it is.
    for delay in points(0.5:0.5, range(0.3, 0.9; length = 20))
        started = start(t.box, taught_session(3); env = quiet_malloc())
        timedwait(() -> !process_running(started.process), delay)
        kill(started.process, Base.SIGINT)
        run = finish(started)
        @test !run.hung && issubset([1, 2], taught(t.box))
    end
end

@testset "Ctrl-C at a terminal during a build" begin
    # A terminal sends it to all processes of the group: the session, the worker, the linker.
    t = SIGNALLED
    for (survives, delay) in points(((true, 1.0),), ((false, 0.5), (false, 1.5), (true, 0.5), (true, 1.0), (true, 2.5), (true, 3.5)))
        script = survives ? """
            ccall(:jl_exit_on_sigint, Cvoid, (Cint,), 0)
            try
                $(build_script(SMALL_STATEMENTS[1:2]))
            catch err
                print(err isa InterruptException ? "interrupted" : err)
            end
            """ : build_script(SMALL_STATEMENTS[1:2])
        write(t.library, t.good)
        started = start(t.box, script; wrapper = `setsid -w`)
        found(pattern) = [pid for (pid, line) in processes_with(t.box.root) if occursin(pattern, line)]
        wait_until(() -> !isempty(found("worker.jl")))
        sleep(delay)
        session = [pid for pid in found(started.path) if !occursin("setsid", read("/proc/$pid/cmdline", String))]
        # The session leads the group that setsid made.
        isempty(session) || ccall(:kill, Cint, (Cint, Cint), -session[1], 2)
        run = finish(started)
        @test !run.hung && !occursin("signal (11)", run.err)
        survives && @test run.out in ("interrupted", "built")
        @test wait_until(() -> isempty(processes_with(t.box.root)))
        bytes = read(t.library)
        @test bytes == t.good || length(bytes) < length(t.good)
        survives && @test isempty(leftovers(t.box))
    end
end

@testset "nothing is left running" begin
    @test isempty(processes_with(SIGNALLED.box.root))
end

remove(SIGNALLED.box)
