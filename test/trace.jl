# src/session/trace.jl, src/store/profiles.jl and rust/native/runtime/src/trace.rs: what sessions compile, and where it goes.

const TRACING = ["JULIA_NATIVECACHE_TRACE" => "yes"]

const TRACED = """
    module Traced
    f(x; k = 1) = map(y -> y + k, x)
    g(x) = (h = z -> (w -> w + z)(x); h(2))
    sorted(x) = sort(x; by = y -> -y)
    const top = x -> x + 1
    constant(x) = 7
    end
    """

"The profile of a folder, as (header, methods)."
function profile_of(box, name)
    folder = joinpath(box.depot, STORE_FOLDER, "profiles")
    isdir(folder) || return (String[], String[])
    names = filter(entry -> replace(entry, r"-[0-9a-f]{32}" => "") == name, readdir(folder))
    isempty(names) && return (String[], String[])
    lines = readlines(joinpath(folder, only(names), "trace.profile"))
    return (filter(startswith("#"), lines), [match(r"^precompile\((.*)\)  #", line)[1] for line in lines if !startswith(line, "#")])
end

@testset "a session ends" begin
    box = Box()
    add_package(box, "Traced", TRACED)
    julia!(box, "using Traced")
    session = """
        using NativeCache, Traced
        struct Mine end
        Traced.f([1, 2]); Traced.f([1, 2]; k = 2); Traced.g(3); Traced.sorted([1.5, 2]); Traced.top(1)
        Traced.g(1.5im); Traced.f([Mine()] |> x -> [1]); Traced.constant(2)
        module Tests using Traced; struct Point end; Traced.top(1); end
        applicable(Traced.g, Mine()) && try Traced.g(Mine()) catch end
        """
    run = julia!(box, session; env = TRACING)
    @test run.out == run.err == ""
    header, methods = profile_of(box, "Traced")
    @test header[1] == "# NativeCache profile"
    @test "# sessions: 1" in header && "# layer: trace" in header && "# from: sessions" in header
    @test any(startswith("# when: 20"), header) && any(startswith("# package: Traced c0ffee00-"), header)
    @test issorted(methods)
    for name in ("Tuple{typeof(Traced.g), Int64}", "Tuple{typeof(Traced.sorted), Array{Float64, 1}}", "Tuple{typeof(Traced.f), Array{Int64, 1}}")
        @test name in methods
    end
    # From 1.12 on Julia does not say of a result that is a constant whether a call asked for it.
    @test VERSION >= v"1.12" || "Tuple{typeof(Traced.constant), Int64}" in methods
    # Nothing that only this session had; closures by their owners.
    @test !any(method -> occursin(r"\bMain\b|Mine|Tests|Traced\.var\"#+[^\" ]*#[0-9]+\"", method), methods)
    @test any(method -> occursin(COMPANIONS ? r"getfield\(Traced, Symbol\(\"#" : "#1 of Tuple{typeof(Traced.sorted), Any}", method), methods)
    # Off, nothing is written.
    rm(joinpath(box.depot, "nativecache"); recursive = true)
    for env in (["JULIA_NATIVECACHE_TRACE" => "no"], ["JULIA_NATIVECACHE" => "off", TRACING...])
        julia!(box, session; env = env)
        @test !isdir(joinpath(box.depot, "nativecache"))
    end
    # An end by exit(), and one after an error, count as well; what is compiled twice is counted twice.
    julia!(box, "using NativeCache, Traced\nTraced.g(3)\nexit()"; env = TRACING)
    @test julia(box, "using NativeCache, Traced\nTraced.g(3); error(\"no\")"; env = TRACING).code == 1
    header, methods = profile_of(box, "Traced")
    @test "# sessions: 2" in header && "Tuple{typeof(Traced.g), Int64}" in methods

    # Twenty sessions that end at once lose nothing.
    rm(joinpath(box.depot, "nativecache"); recursive = true)
    go = joinpath(box.root, "go")
    asyncmap(1:20) do i
        julia!(box, """
            using NativeCache, Traced
            Traced.g(Val($i) isa Val ? UInt128($i) : 0)
            Traced.f(fill(1, $(join(fill(1, i), ','))))
            touch($(repr(go)) * "$i")
            while count(i -> isfile($(repr(go)) * string(i)), 1:20) < 20; sleep(0.01); end
            """; env = TRACING)
    end
    text = julia!(box, """
        using NativeCache
        layer = only(NativeCache.profile("Traced"))
        println(layer.header["sessions"])
        println(count(entry -> startswith(entry.statement, "Tuple{typeof(Traced.f), Array"), layer.entries))
        """).out
    @test split(text) == ["20", "20"]
    remove(box)
end

@testset "which package" begin
    box = Box()
    id(name) = name => Sandbox.uuid(name)
    add_package(box, "Low", "module Low\nstruct Point x::Int end\narea(x) = 1\nkind(x) = x\nend")
    add_package(box, "High", "module High\nimport Low\narea(p::Low.Point) = p.x + 1\nall(ps) = sum(area, ps)\nend"; deps = [id("Low")])
    add_package(box, "Aside", "module Aside\nstruct Box{T} x::T end\nopen(b) = b.x\nend")
    # Whose code is another with another package, which nothing in its signature says.
    add_package(box, "Asks", "module Asks\nimport Low\nask(x) = [answer(x)]\nanswer(x) = Low.kind(x)\nend"; deps = [id("Low")])
    add_package(box, "Answers", "module Answers\nimport Low\nLow.kind(x::Int) = (x, x)\nend"; deps = [id("Low")])
    julia!(box, "using High, Aside, Asks, Answers")
    run = julia!(box, """
        using NativeCache, High, Aside, Asks, Answers
        using High: Low
        Asks.ask(1); Asks.ask(1.5)            # the code of the first has a method of Answers in it
        High.all([Low.Point(1)])              # High loads Low
        Low.area(Low.Point(2)); Low.area(1)   # Low's own
        Aside.open(Aside.Box(Low.Point(3)))   # needs two that know nothing of each other
        Aside.open(Aside.Box(1))
        sort(Float16[2, 1])                   # of Base alone: goes to what the session asked for
        trace = NativeCache.trace!()
        show(stdout, MIME("text/plain"), trace)
        """; env = TRACING)
    @test occursin(r"^Trace: \d+ methods compiled here, 0 used from libraries, \d+ kept, in [0-9.]+ ms\n", run.out)
    has(name, method) = method in profile_of(box, name)[2]
    @test has("High", "Tuple{typeof(High.all), Array{Low.Point, 1}}")
    # The engine of 1.10 and later gives to the first package that the session asked for and that loads what is needed.
    low = COMPANIONS ? "High" : "Low"
    # A constant, see above.
    @test VERSION >= v"1.12" || has(low, "Tuple{typeof(Low.area), Low.Point}") || has(low, "Tuple{typeof(Low.area), Int64}")
    @test has("Aside", "Tuple{typeof(Aside.open), Aside.Box{Int64}}")
    @test has("Aside+$low", "Tuple{typeof(Aside.open), Aside.Box{Low.Point}}")
    @test !any(method -> occursin("Low", method), profile_of(box, "Aside")[2])
    @test has("Asks", "Tuple{typeof(Asks.ask), Float64}") && !has("Answers+Asks", "Tuple{typeof(Asks.ask), Float64}")
    sorts = filter(name -> has(name, "Tuple{typeof(Base.sort), Array{Float16, 1}}"), ["High", "Aside", "Asks", "Answers"])
    if COMPANIONS
        # It does not look at what the code has in it (docs/companions.md, what is missing); all that is of Base alone has one place.
        @test has("Asks", "Tuple{typeof(Asks.ask), Int64}") && sorts == ["Answers"]
    else
        @test has("Answers+Asks", "Tuple{typeof(Asks.ask), Int64}") && !has("Asks", "Tuple{typeof(Asks.ask), Int64}")
        @test issubset(["High", "Aside"], sorts)
    end
    remove(box)
end

# On Julia 1.10 and later all that a companion holds counts as used while it is loaded.
COMPANIONS || @testset "what cached code is used, and what fades" begin
    box = Box()
    add_package(box, "Fades", "module Fades\nf(x) = g(x) + 1\n@noinline g(x) = x * 2\nh(x) = x - 1\nend")
    julia!(box, "using Fades")
    result = build(box, repr("Fades"), ["Tuple{typeof(Fades.f), Int64}", "Tuple{typeof(Fades.h), Int64}"])
    @test length(result["compiled"]) == 2
    session(body; env...) = julia!(box, "using NativeCache, Fades\n$body"; env = [TRACING; "JULIA_NATIVECACHE_FADE" => "2"])
    session("Fades.f(1)")
    _, methods = profile_of(box, "Fades")
    # Called by dispatch, and called by what was: not what was only linked.
    @test "Tuple{typeof(Fades.f), Int64}" in methods && !("Tuple{typeof(Fades.h), Int64}" in methods)
    session("Fades.h(1)")
    @test "Tuple{typeof(Fades.f), Int64}" in profile_of(box, "Fades")[2]
    session("Fades.h(1)")
    session("Fades.h(1)")
    header, methods = profile_of(box, "Fades")
    @test "Tuple{typeof(Fades.h), Int64}" in methods && !("Tuple{typeof(Fades.f), Int64}" in methods)
    @test any(startswith("# faded: "), header)
    remove(box)
end
