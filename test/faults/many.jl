# Many processes at once in one depot: no torn file, no lost entry of a profile, no deadlock, no stale lock, no
# waiting where packages are loaded.

const MANY = let t = small()
    run_in(t.box, "using Taught")
    t
end
const MANY_ENV = ["JULIA_NATIVECACHE_FADE" => "0"]

# What one of many does: a script for its number, and what must be true of its output.
const DOINGS = let session = (_ -> SMALL_SESSION, out -> out == SMALL_OUT),
        # One library or another, and never half of one: nothing is rejected.
        status = (_ -> SMALL_STATUS, out -> occursin(Regex("^\\Q$SMALL_OUT\\E[0-9]+ \n\$"), out)),
        learns = (n -> taught_session(n), out -> startswith(out, "number ")),
        builds = (n -> build_script(isodd(n) ? SMALL_STATEMENTS : FEW), out -> out == "built"),
        # A work folder that a build is removing at this moment may be removed by both.
        collects = (_ -> "using NativeCache; print(any(item -> item.removed && !occursin(\"/build-\", item.path), NativeCache.gc!()))", out -> out == "false"),
        updates = (_ -> "using NativeCache; print(\"updated\", [r.message for r in NativeCache.update!(quiet = true) if r.library === nothing])",
            out -> occursin(r"^updated[A-Za-z]*\[\]$", out))
    [session, learns, builds, learns, status, collects, learns, learns, session, updates,
     learns, session, learns, session, status, learns, learns, collects, learns, learns,
     builds, session, session, learns, status, learns, session, collects, session, learns]
end

@testset "30 at once" begin
    t = MANY
    number, started_at = Ref(0), time()
    learnt = Int[]
    wrong = []      # a test in a task would not be noted
    asyncmap(DOINGS; ntasks = 30) do (script, is_right)
        # In full: for minutes, 30 at any time.
        while true
            n = number[] += 1
            run = run_in(t.box, script(n); env = MANY_ENV)
            is_right(run.out) && run.err == "" && run.code == 0 && !run.hung ||
                push!(wrong, (script(n), run.out, run.err, run.code, run.signal, run.hung))
            startswith(run.out, "number ") && push!(learnt, n)
            time() - started_at < points(0, 180) || break
        end
    end
    foreach(println, wrong)
    @test isempty(wrong)
    println("  at once: ", number[], " processes, 30 at a time")
    @test run_in(t.box, taught_session(9999); env = MANY_ENV).out == "number 9999"
    @test taught(t.box) == sort!([learnt; 9999])
    @test isempty(unfinished(t.box)) && isempty(leftovers(t.box)) && isempty(processes_with(t.box.root))
    # Nobody holds a lock any more, and the next build is in nobody's way.
    locks = [joinpath(folder, name) for (folder, _, names) in walkdir(store_of(t.box)) for name in names if endswith(name, "lock")]
    @test length(locks) >= 2
    @test all(path -> success(`flock -n $path true`), locks)
    @test run_in(t.box, build_script()).out == "built" && read(t.library) == t.good
end

@testset "locks that others hold" begin
    # Loading takes no lock at all; the end of a session does not wait for long, and loses nothing.
    t = MANY
    locks = [joinpath(folder, name) for (folder, _, names) in walkdir(store_of(t.box)) for name in names if endswith(name, "lock")]
    held = [open(path, "r") for path in locks]
    @test all(io -> ccall(:flock, Cint, (Cint, Cint), fd(io), 2) == 0, held)
    counter = tempname(t.box.root; cleanup = false)
    run = run_in(t.box, SMALL_SESSION * """
        using Taught
        print(Taught.f(Val(7777)), " ", reinterpret(Int64, read(ENV["SHIM_COUNTER"])[9:16])[1], " calls of flock")
        """; env = [MANY_ENV; shimmed(counter)])
    @test run.out == SMALL_OUT * "number 7777 0 calls of flock" && run.err == "" && !run.hung
    @test counted(counter)[2] > 0       # it was seen
    @test !(7777 in taught(t.box)) && any(name -> occursin("pending", name), unfinished(t.box))
    foreach(close, held)
    run_in(t.box, taught_session(7778); env = MANY_ENV)
    @test issubset([7777, 7778], taught(t.box)) && isempty(unfinished(t.box))
end

remove(MANY.box)
