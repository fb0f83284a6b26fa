# Damaged and foreign libraries: each is refused with a reason before any of its code runs, and
# the session does what it would do without a library.

const LIBRARY_TEST = small()

@testset "any byte" begin
    t = LIBRARY_TEST
    script = replace(replace(replace(DAMAGE, "GOOD" => repr(t.library)), "TRUNCATIONS" => points(300, 20_000)), "FLIPS" => points(1000, 100_000))
    run = run_in(t.box, script)
    lines = split(run.out, '\n')
    @test run.code == 0 && run.err == ""
    @test endswith(lines[1], " true none")
    # A changed version or magic is told apart from plain damage.
    @test issubset(["BadMagic", "FormatVersion", "HashMismatch", "Truncated"], split(lines[2]))
    @test lines[3] == string(length(SMALL_STATEMENTS))
    println("  library: ", split(lines[1])[1], " truncations, ", split(lines[1])[2], " flips, all refused")
end

"In the library's place: a session must be unharmed and say `reason`."
function in_its_place(put, wanted; t = LIBRARY_TEST, options...)
    rm(t.library; force = true, recursive = true)
    try
        put(t.library)
        run = run_in(t.box, SMALL_STATUS; options...)
        lines = split(run.out, '\n')
        @test string(lines[1], "\n") == SMALL_OUT
        @test startswith(lines[2], "0 ")
        @test occursin(wanted, lines[3])
        @test run.err == "" && run.code == 0 && !run.hung
    finally
        rm(t.library; force = true, recursive = true)
        write(t.library, t.good)
    end
end

@testset "in its place: $what" for (what, wanted, put) in [
        ("a folder", "no file", mkdir),
        ("a link that leads to itself", "symbolic links", path -> symlink(path, path)),
        ("a link to nowhere", "there is no library", path -> symlink("/nonexistent/library.so", path)),
        ("a pipe that nobody writes to", "no file", path -> run(`mkfifo $path`)),
        ("a device", "everybody can write to it", path -> symlink("/dev/zero", path)),
        ("a text", "not a NativeCache library", path -> write(path, "#!/bin/sh\necho no\n")),
        ("another shared object", "cut short", path -> cp(joinpath(ROOT, "deps", "lib", "libnativecache.so"), path)),
        ("nothing", "there is no library", path -> nothing)]
    in_its_place(put, wanted)
end

@testset "a library for other flags, put where this session looks" begin
    t = LIBRARY_TEST
    other = build(t.box, repr("Small"), SMALL_STATEMENTS; flags = `-O1`)
    @test other.library !== nothing && dirname(dirname(other.library)) != dirname(dirname(t.library))
    in_its_place(path -> cp(other.library, path), "optimization (-O): built with 1, this session has 2")
    rm(other.library)
end

@testset "unreadable for this user" begin
    # Root may read everything, so a session of another user looks at it.
    if ccall(:geteuid, Cuint, ()) != 0 || Sys.which("setpriv") === nothing
        @test_skip "needs root and setpriv"
    else
        t = LIBRARY_TEST
        chmod(t.library, 0o600)
        # Sources and .ji files are root's and readable: another user may use them, and root's library if it could.
        foreach(path -> chmod(path, 0o755), (t.box.root, t.box.depot, TEMPLATE.box.root))
        refused = run_in(t.box, SMALL_STATUS; wrapper = `setpriv --reuid=65534 --regid=65534 --clear-groups`)
        @test startswith(refused.out, string(SMALL_OUT, "0 ")) && occursin("cannot be read", refused.out)
        chmod(t.library, 0o644)
        shared = run_in(t.box, SMALL_STATUS; wrapper = `setpriv --reuid=65534 --regid=65534 --clear-groups`)
        @test startswith(shared.out, string(SMALL_OUT, length(SMALL_STATEMENTS), " "))
        chmod(t.box.root, 0o700)
    end
end

@testset "vanishing and replaced while sessions look" begin
    t = LIBRARY_TEST
    going = Ref(true)
    swaps = Ref(0)
    swapper = @async while going[]
        # As a build does it: a whole file, renamed into place; and as gc does: unlinked.
        temporary = string(t.library, ".new")
        write(temporary, isodd(swaps[]) ? t.good : t.few)
        Base.Filesystem.rename(temporary, t.library)
        swaps[] += 1
        swaps[] % 3 == 0 && rm(t.library)
        sleep(0.001)
    end
    for round in 1:points(3, 30)
        foreach(unharmed, map(finish, [start(t.box, SMALL_SESSION) for _ in 1:2]))
    end
    going[] = false
    wait(swapper)
    @test swaps[] > 100
    write(t.library, t.good)
end

remove(LIBRARY_TEST.box)
