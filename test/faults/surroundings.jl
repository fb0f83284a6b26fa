# Bad surroundings: whatever is missing, full or slow, a session does what it does without the
# cache, and a build says what is wrong.

const AROUND = small()

"A wrapper that runs the command in a mount namespace of its own, after `sh` commands in which \$0 is `place`."
mounted(commands, place) = `unshare -m sh -c "$commands && exec \"\$@\"" $place`

@testset "a full disk" begin
    if !may_mount()
        @test_skip "needs the right to mount"
    else
        # A small file system as the first depot; packages come from the second.
        t = AROUND
        place = mktempdir(t.box.root; prefix = "full ")
        script = """
            using NativeCache
            few, all = $(repr(SMALL_STATEMENTS[1:2])), $(repr(SMALL_STATEMENTS))
            one = NativeCache.build("Small"; statements = few, quiet = true)
            one.library === nothing && error(one.message)
            startswith(one.library, $(repr(place))) || error("built into ", one.library)
            good = read(one.library)
            store = dirname(dirname(dirname(one.library)))
            "Fill the disk but for `left` bytes."
            function fill_up(left)
                filler = joinpath($(repr(place)), "filler")
                rm(filler; force = true)
                io = open(filler, "w")
                try
                    while true; write(io, zeros(UInt8, 4096)); flush(io); end
                catch
                end
                try close(io) catch end
                left > 0 && open(io -> truncate(io, max(0, filesize(filler) - left)), filler, "a")
            end
            for left in $(points((0, 65_536), (0, 4096, 16_384, 65_536, 100_000, 150_000)))
                fill_up(left)
                result = NativeCache.build("Small"; statements = all, quiet = true)
                result.library === nothing || (println("built with ", left); break)
                read(one.library) == good || error("the old library is damaged with ", left, " bytes left")
                isempty(filter(startswith("build-"), readdir(store))) || error("leftovers with ", left, " bytes left")
                length(result.failed) == length(all) || error("a statement is lost")
                println(left, ": ", result.message)
            end
            rm(joinpath($(repr(place)), "filler"))
            NativeCache.build("Small"; statements = all, quiet = true).library === nothing && error("not built in the end")
            fill_up(0)
            """
        wrapper = mounted("mount -t tmpfs -o mode=755,size=2m tmpfs \"\$0\"", place)
        run = run_in(t.box, script * SMALL_BODY; wrapper = wrapper, depot = "$place:$(t.box.depot)")
        @test endswith(run.out, SMALL_OUT) && run.err == "" && run.code == 0
        @test occursin(r"^0: .*(space|ENOSPC)"m, run.out) && occursin(r"^65536: .*(space|ENOSPC)"m, run.out)
    end
end

@testset "files that must not grow" begin
    # `ulimit -f`: the kernel kills who writes more into a file than that. Output goes to a pipe, which has no limit.
    t = AROUND
    run_in(t.box, "using NativeCache, Small, Taught")       # precompiles them, which writes files
    function limited(script; env = Pair{String,String}[])
        command = `-c "{ (ulimit -f 0; exec \"\$@\"); echo \" code \$?\"; } 2>&1 | cat" sh $(Sandbox.julia_program()) --startup-file=no -e $script`
        Sandbox.run_julia(t.box, command; program = `sh`, plain = true, env = env).out
    end
    before = taught(t.box)
    @test limited("using Taught; print(Taught.f(Val(8)))") == "number 8 code 0\n"
    # The end of a session: what it would have written is lost, as on a full disk. The same for a job that it leaves.
    traced = ["JULIA_NATIVECACHE_TRACE" => "yes"]
    @test limited("using NativeCache, Taught; print(Taught.f(Val(8)))"; env = traced) == "number 8 code 0\n"
    rm(t.library)
    mkpath(joinpath(store_of(t.box), "profiles", basename(dirname(t.library))))
    @test limited(SMALL_SESSION; env = [traced; "JULIA_NATIVECACHE_AUTO" => "now"]) == "$SMALL_OUT code 0\n"
    write(t.library, t.good)
    @test taught(t.box) == before && isempty(unfinished(t.box))
    # Asked for, it says why not.
    said = limited("""
        using NativeCache, Taught
        Taught.f(Val(8))
        why(f) = try f(); "nothing" catch err; sprint(showerror, err) end
        println(why(NativeCache.trace!))
        println(why(() -> NativeCache.set!(auto = "ask")))
        print(NativeCache.build("Small"; statements = $(repr(SMALL_STATEMENTS)), quiet = true).message)
        """)
    @test occursin(r"^.*File too large.*\n.*(EFBIG|[Ff]ile too large).*\n.*(EFBIG|[Ff]ile too large).* code 0\n$", said)
    @test read(t.library) == t.good && isempty(leftovers(t.box))
end

@testset "a read-only depot, and several depots" begin
    if !may_mount()
        @test_skip "needs the right to mount"
    else
        t = AROUND
        read_only = "mount --bind \"\$0\" \"\$0\" && mount -o remount,ro,bind \"\$0\""
        wrapper = mounted(read_only, t.box.depot)
        # Read where it is; nothing is written.
        run = run_in(t.box, SMALL_FOUND; wrapper = wrapper)
        warm(run)
        run = run_in(t.box, build_script(); wrapper = wrapper)
        @test occursin("cannot be used", run.out) && occursin(t.box.depot, run.out) && run.err == ""
        # The first that can be written to gets it, whichever place it has; all are read.
        second = mktempdir(t.box.root; prefix = "second ")
        for depots in points(("$(t.box.depot):$second",), ("$(t.box.depot):$second", "$second:$(t.box.depot)"))
            run = run_in(t.box, """
                using NativeCache
                print(NativeCache.build("Small"; statements = $(repr(SMALL_STATEMENTS[1:2])), quiet = true).library)
                """; wrapper = wrapper, depot = depots)
            @test startswith(run.out, joinpath(second, "nativecache")) && run.err == ""
            @test read(t.library) == t.good
            # Both libraries are read: the methods of the small one are in use from one of them.
            run = run_in(t.box, SMALL_STATUS; wrapper = wrapper, depot = depots)
            @test (run.out, run.err) == (string(SMALL_OUT, length(SMALL_STATEMENTS) + 2, " \n"), "")
            rm(joinpath(second, "nativecache"); recursive = true)
        end
    end
end

@testset "LD_LIBRARY_PATH" begin
    # Folders that are not there, and one with files that bear the names of libraries.
    t = AROUND
    folder = mktempdir()
    for name in ("libnativecache.so", "libnativecache_worker.so", basename(t.library))
        write(joinpath(folder, name), "no library")
    end
    env = ["LD_LIBRARY_PATH" => "/nonexistent:$folder:"]
    run = run_in(t.box, SMALL_FOUND; env = env)
    warm(run)
    @test !FULL || run_in(t.box, build_script(); env = env).out == "built"
    @test read(t.library) == t.good
    rm(folder; recursive = true)
end

@testset "little memory for the build" begin
    t = AROUND
    for limit in points(("60M",), ("30M", "60M", "100M", "150M", "200M", "250M", "300M"))
        run = run_in(t.box, build_script(SMALL_STATEMENTS[1:2]); env = ["JULIA_NATIVECACHE_MEMORY" => limit])
        @test run.code == 0 && run.err == ""
        run.out == "built" && FULL && continue
        @test occursin("memory", run.out)
        @test read(t.library) == t.good && isempty(leftovers(t.box))
    end
end

@testset "a linker that $what" for (what, body, wanted) in [
        ("does not come back", "exec sleep 100000", "without progress"),
        ("writes something else", "while [ \$# -gt 0 ]; do [ \"\$1\" = -o ] && echo hello > \"\$2\"; shift; done", "linker's output"),
        ("writes nothing", "exit 0", "code.so"),
        ("links something else", "while [ \$# -gt 0 ]; do [ \"\$1\" = -o ] && out=\$2; shift; done; echo 'int x;' | cc -shared -xc - -o \"\$out\"", "of no use")]
    FULL || what == "does not come back" || continue
    t = AROUND
    linker = joinpath(t.box.root, "linker.sh")
    write(linker, "#!/bin/sh\n$body\n")
    chmod(linker, 0o755)
    run = run_in(t.box, build_script(; keywords = "linker = $(repr(linker)), timeout = 3"))
    @test occursin(wanted, run.out) && run.code == 0 && run.err == ""
    @test read(t.library) == t.good && isempty(leftovers(t.box))
    @test wait_until(() -> isempty(processes_with(t.box.root)))
    rm(linker)
end

@testset "no linker" begin
    t = AROUND
    for linker in points(("/nonexistent/cc",), ("/nonexistent/cc", "no-such-linker", "/etc/passwd", "/tmp"))
        run = run_in(t.box, build_script(; keywords = "linker = $(repr(linker))"))
        @test occursin(linker, run.out) && run.code == 0 && run.err == ""
        @test read(t.library) == t.good && isempty(leftovers(t.box))
    end
end

@testset "a very long path" begin
    # Julia's own limit for the path of a .ji file is the system's: 4096 bytes in all.
    long = Box(TEMPLATE.box.packages)
    depot = joinpath(long.root, fill("folder é "^20, 8)...)
    mkpath(depot)
    @test 1500 < sizeof(depot) < 3000
    copy_depot(depot; images = true)
    built = run_in(long, build_script(); depot = depot)
    @test built.out == "built" && built.err == ""
    run = run_in(long, SMALL_FOUND; depot = depot)
    warm(run)
    remove(long)
end

@testset "a slow file system" begin
    # Each operation on a file of the store takes 20 ms longer.
    t = AROUND
    counter = tempname(t.box.root; cleanup = false)
    slow = shimmed(counter; delay = 20_000)
    warm(run_in(t.box, SMALL_FOUND; env = slow))
    @test counted(counter)[1] > 0
    if FULL
        @test run_in(t.box, build_script(); env = slow).out == "built" && read(t.library) == t.good
    end
end

@testset "a file system without locks" begin
    # Of a network, say: what a session has compiled lies in a file of its own, and counts.
    t = AROUND
    run_in(t.box, "using Taught")
    unlocked = shimmed(tempname(t.box.root; cleanup = false); no_locks = "yes")
    for n in 1:2
        @test run_in(t.box, taught_session(n); env = unlocked).out == "number $n"
    end
    run = run_in(t.box, """
        using NativeCache
        print(count(entry -> occursin("Taught.f)", entry.statement), NativeCache.profile("Taught")[1].entries), " ")
        """ * (FULL ? build_script() : ""); env = unlocked)
    @test run.out == (FULL ? "2 built" : "2 ") && run.err == "" && read(t.library) == t.good
    # With locks again, it is put together.
    run_in(t.box, taught_session(3))
    @test taught(t.box) == 1:3 && isempty(unfinished(t.box))
end

if FULL
    @testset "names that differ in case" begin
        box = copy_depot(Box(); images = true)
        for name in ("Case", "case", "CASE")
            add_package(box, name, "module $name\nname() = \"I am $name\"\nend")
        end
        for name in ("Case", "case", "CASE")
            run = run_in(box, replace(build_script(["Tuple{typeof($name.name)}"]), "Small" => name))
            @test run.out == "built" && run.err == ""
        end
        run = run_in(box, """
            using NativeCache, Case, case, CASE
            print(Case.name(), case.name(), CASE.name(), [length(NativeCache.status(m).installed) for m in (Case, case, CASE)])
            """)
        @test run.out == "I am CaseI am caseI am CASE[1, 1, 1]" && run.err == ""
        remove(box)
    end
end

@testset "a clock that jumps" begin
    t = AROUND
    folder = mktempdir()
    source, jumping = joinpath(folder, "jumping.c"), joinpath(folder, "jumping.so")
    # An hour back and forth, at every second look at the clock.
    write(source, """
        #define _GNU_SOURCE
        #include <stddef.h>
        #include <sys/time.h>
        #include <sys/syscall.h>
        #include <time.h>
        #include <unistd.h>
        static int turn;
        int gettimeofday(struct timeval *restrict tv, void *restrict tz) {
            long result = syscall(SYS_gettimeofday, tv, tz);
            if (tv && turn++ % 2) tv->tv_sec -= 3600;
            return (int)result;
        }
        int clock_gettime(clockid_t which, struct timespec *ts) {
            long result = syscall(SYS_clock_gettime, which, ts);
            if (which == CLOCK_REALTIME && turn++ % 2) ts->tv_sec -= 3600;
            return (int)result;
        }
        """)
    run(`cc -shared -fPIC -o $jumping $source`)
    env = ["LD_PRELOAD" => jumping]
    result = run_in(t.box, "a = time(); b = time(); print(abs(a - b) > 1000)"; env = env)
    @test result.out == "true"
    built = run_in(t.box, build_script(; keywords = "timeout = 60"); env = [env; "JULIA_NATIVECACHE_MEMORY" => "4 GB"])
    @test built.out == "built" && built.err == ""
    session = run_in(t.box, SMALL_FOUND; env = env)
    warm(session)
    # Files from the future, and from before there were any.
    for when in (4e9, 0.0)
        for path in (t.library, dirname(t.library), store_of(t.box))
            ccall(:utimes, Cint, (Cstring, Ptr{Int}), path, Int[when, 0, when, 0])
        end
        session = run_in(t.box, SMALL_FOUND)
        warm(session)
    end
    rm(folder; recursive = true)
end

remove(AROUND.box)
