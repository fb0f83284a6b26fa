# src/session/stale.jl, src/processes/queue.jl, src/processes/background.jl and rust/session/src/auto.rs: what builds itself.

# NativeCache's own library in a second depot is one that a session of these would build again: its record lies elsewhere.
Sandbox.IMAGES[] = ""

by_itself(auto) = ["JULIA_NATIVECACHE_TRACE" => "yes", "JULIA_NATIVECACHE_AUTO" => auto]

libraries_of(box) = String[joinpath(path, file) for (path, _, files) in walkdir(joinpath(box.depot, "nativecache"))
                           for file in files if endswith(file, ".so") && !occursin("build-", path)]

"The processes whose command line has this text."
function processes_with_text(text)
    lines = Pair{Int,String}[]
    for name in filter(name -> all(isdigit, name), readdir("/proc"))
        line = try read("/proc/$name/cmdline", String) catch; "" end
        occursin(text, line) && push!(lines, parse(Int, name) => line)
    end
    return lines
end

"Wait for what happens in the background: until it has happened, or no process is left that could do it."
function eventually(condition, box)
    while !condition()
        isempty(processes_with_text(box.root)) && return condition()
        sleep(0.05)
    end
    return true
end

"A linker that waits until the file `go` is there: a build cannot be over before that."
function waiting_linker(box, go)
    path = joinpath(box.root, "linker.sh")
    write(path, "#!/bin/sh\nwhile [ ! -e '$go' ]; do sleep 0.05; done\nexec cc \"\$@\"\n")
    chmod(path, 0o755)
    return path
end

"Statements of the package that a session compiles for itself."
function compiled(box, session, names; env)
    trace = tempname(box.root; cleanup = false)
    run = julia!(box, session; env = env, flags = `--trace-compile=$trace`)
    return run, filter(statement -> any(name -> occursin("$name.", statement), names) && !occursin("__init__", statement), traced(trace))
end

@testset "now: warm the next time, stale after a change, warm again" begin
    box = Box()
    low(n) = "module Low\nstruct P x::Int end\narea(p) = sum(map(y -> y * $n, [p.x, p.x]))\nend"
    add_package(box, "Low", low(1))
    add_package(box, "Top", "module Top\nimport Low\nf(x; k = 1) = map(y -> y + k + Low.area(Low.P(y)), x)\nend"; deps = ["Low" => Sandbox.uuid("Low")])
    # What needs it and one that does not load it has a library of its own.
    add_package(box, "Beside", "module Beside\nstruct W{T} x::T end\nopened(w) = [w.x]\nend")
    session = "using NativeCache, Beside, Top\nusing Top: Low\nprint(Top.f([1, 2]; k = 3), Low.area(Low.P(5)))\nBeside.opened(Beside.W(Low.P(1)))\n"
    # A variable that is no Unicode is nobody's concern.
    env = [by_itself("now"); "LATIN" => "\xe9"]
    @test julia!(box, session; env = env).out == "[6, 9]10"      # traced, and built at its end
    @test any(path -> occursin("Beside-", path) && occursin('+', basename(path)), libraries_of(box))
    run, here = compiled(box, session, ("Top", "Low", "Beside"); env = env)
    @test run.out == "[6, 9]10" && run.err == "" && here == []
    # A dependency's source changes: both are precompiled again, and their libraries with them.
    old = filter(path -> occursin("Low-", path) || occursin("Top-", path), libraries_of(box))
    write(joinpath(box.packages, "Low", "src", "Low.jl"), low(10))
    @test julia!(box, session; env = env).out == "[24, 45]100"
    @test !any(isfile, old)
    run, here = compiled(box, session, ("Top", "Low", "Beside"); env = env)
    @test run.out == "[24, 45]100" && here == []
    remove(box)
end

@testset "background: no session waits, nothing is lost when it is killed" begin
    box = Box()
    add_package(box, "Back", "module Back\nf(x) = [x, x]\ng(x) = (x,)\nend")
    julia!(box, "using Back")
    # Where the lock would lie there is what is not this user's alone: nobody else can hold it.
    user = ccall(:getuid, Cuint, ())
    mkpath(joinpath(box.root, "tmp", "nativecache-$user"))
    chmod(joinpath(box.root, "tmp", "nativecache-$user"), 0o777)
    env = [by_itself("background"); "TMPDIR" => joinpath(box.root, "tmp");
        "JULIA_NATIVECACHE_LINKER" => waiting_linker(box, joinpath(box.root, "go"))]
    store = joinpath(box.depot, "nativecache", "v1.5")
    queue, log = joinpath(store, "queue"), joinpath(store, "background.log")
    mkpath(store)
    write(log, 'x'^(2^20 + 1))
    session = "using NativeCache, Back\nBack.f(1)"
    run = julia!(box, session; env = env)
    @test run.out == run.err == ""
    # Killed half-way: a job under way, and nobody at work on it.
    @test eventually(() -> isdir(queue) && any(endswith(".running"), readdir(queue)), box)
    @test filesize(log) < 2^20 && filesize("$log.old") > 2^20
    @test isfile(joinpath(store, "building.lock"))
    # None but those at work here: what is killed later must not have gone on meanwhile.
    while (found = processes_with_text(box.root); !isempty(found))
        for (pid, line) in found
            status = try read("/proc/$pid/stat", String) catch; "" end
            # Its own session, and the lowest priority.
            isempty(status) || (occursin("queue.jl", line) && @test split(split(status, ") ")[end])[17] == "19")
            ccall(:kill, Cint, (Cint, Cint), pid, 9)
        end
        sleep(0.05)
    end
    @test !any(path -> occursin("Back-", path), libraries_of(box))
    # The next session takes it up when it loads the package, and is gone, without an end of its own, before it is done.
    run = julia(box, """
        $session
        while !any(endswith(".running"), readdir($(repr(queue)))); sleep(0.01); end
        ccall(:kill, Cint, (Cint, Cint), getpid(), 9)
        """; env = env)
    @test run.signal == 9 && run.err == "" && !any(path -> occursin("Back-", path), libraries_of(box))
    touch(joinpath(box.root, "go"))
    @test eventually(() -> any(path -> occursin("Back-", path), libraries_of(box)), box)
    @test eventually(() -> isempty(readdir(queue)), box)
    @test occursin("Back", read(log, String))
    run, here = compiled(box, session, ("Back",); env = by_itself("off"))
    @test here == []
    # A build that cannot succeed is not tried by every session.
    write(joinpath(box.packages, "Back", "src", "Back.jl"), "module Back\n__precompile__(false)\nf(x) = [x, x]\nend")
    @test julia!(box, session; env = env).err == ""
    remove(box)
end

@testset "ask, which is the default" begin
    box = Box()
    add_package(box, "Asked", "module Asked\nf(x) = [x]\nend")
    julia!(box, "using NativeCache, Asked\nAsked.f(1)"; env = by_itself("off"))
    run = julia!(box, "using NativeCache, Asked\nAsked.f(1)"; env = by_itself(""))
    @test run.err == ""
    run = julia!(box, ""; flags = `-i -e "using NativeCache, Asked; exit()"`, env = by_itself(""))
    @test run.err == "NativeCache: there is no library for this build of Asked; NativeCache.update!() builds it, and after " *
        "NativeCache.set!(auto = \"background\") sessions do so by themselves\n"
    # Under CI nothing is built because of a file.
    julia!(box, "using NativeCache\nNativeCache.set!(auto = \"now\")")
    @test julia!(box, "using NativeCache, Asked\nAsked.f(1)"; env = [by_itself(""); "CI" => "true"]).err == ""
    @test isempty(libraries_of(box)) && !isdir(joinpath(box.depot, "nativecache", "v1.5", "queue"))
    out = julia!(box, """
        using NativeCache
        println([ids[1].name => why for (ids, why) in NativeCache.stale() if ids[1].name == "Asked"])
        results = NativeCache.update!(quiet = true)
        println("Asked" in [result.package for result in results], length(NativeCache.stale()))
        """).out
    @test out == "[\"Asked\" => \"there is no library for this build of Asked\"]\ntrue0\n"
    remove(box)
end

@testset "update!: as many builds at a time as there are cores" begin
    box = Box()
    names = ["Side1", "Side2"]
    foreach(name -> add_package(box, name, "module $name\nf(x) = [x]\nend"), names)
    session = "using NativeCache, Side1, Side2\nSide1.f(1), Side2.f(1)"
    julia!(box, session; env = by_itself("off"))
    # A linker that waits for the other's: one build alone comes to no end.
    here = mkpath(joinpath(box.root, "linking"))
    linker = joinpath(box.root, "linker.sh")
    write(linker, """
        #!/bin/sh
        touch '$here/'\$\$
        while [ "\$(ls '$here' | wc -l)" -lt "\$AT_ONCE" ]; do sleep 0.05; done
        exec cc "\$@"
        """)
    chmod(linker, 0o755)
    out = julia!(box, """
        using NativeCache
        ENV["AT_ONCE"] = string(min(2, NativeCache.builds_at_once()))
        results = NativeCache.update!(quiet = true, linker = $(repr(linker)), timeout = 600)
        print([(result.package, result.library !== nothing, result.message) for result in results], length(NativeCache.stale()))
        """).out
    @test out == "$([(name, true, "") for name in names])0"
    run, left = compiled(box, session, names; env = by_itself("off"))
    @test left == []
    remove(box)
end

@testset "update!, interrupted" begin
    box = Box()
    names = ["Side1", "Side2"]
    foreach(name -> add_package(box, name, "module $name\nf(x) = [x]\nend"), names)
    julia!(box, "using NativeCache, Side1, Side2\nSide1.f(1), Side2.f(1)"; env = by_itself("off"))
    linker = waiting_linker(box, joinpath(box.root, "never"))
    out = julia!(box, """
        using NativeCache
        task = @async NativeCache.update!(quiet = true, linker = $(repr(linker)))
        building() = isdir(joinpath(DEPOT_PATH[1], "nativecache", "v1.5")) &&
            count(startswith("build-"), readdir(joinpath(DEPOT_PATH[1], "nativecache", "v1.5"))) >= min(2, NativeCache.builds_at_once())
        while !building() && !istaskdone(task); sleep(0.01); end
        schedule(task, InterruptException(); error = true)
        try wait(task) catch err; print(err.task.exception isa InterruptException) end
        """).out
    @test out == "true"
    # Nobody works on, and nothing is left.
    @test eventually(() -> isempty(processes_with_text(box.root)), box)
    @test !any(startswith("build-"), readdir(joinpath(box.depot, "nativecache", "v1.5"))) && isempty(libraries_of(box))
    remove(box)
end
