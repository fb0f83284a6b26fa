# Scripts that start warm: what of them becomes a package of its own, and that they mean the same with it.

include("scripts/differential.jl")

const SCRIPT_EXAMPLE = """
    using Printf

    "A particle."
    struct Particle
        x::Float64
        v::Float64
    end

    const STEPS = 50
    const MEMO = Dict{Int,BigInt}()
    const STARTED = time()

    energy(p::Particle) = 0.5 * p.v^2 + p.x^2
    Base.show(io::IO, p::Particle) = print(io, "P(", round(p.x; digits = 2), ")")

    function fib(n)
        haskey(MEMO, n) && return MEMO[n]
        r = n < 2 ? big(n) : fib(n - 1) + fib(n - 2)
        MEMO[n] = r
        return r
    end

    "One step."
    function advance(p::Particle; dt = width)
        global calls
        calls += 1
        return Particle(p.x + dt * p.v, p.v - 2dt * p.x)
    end

    since() = time() - STARTED >= 0
    calls = 0
    width = 0.01
    p = Particle(1.0, 0.0)
    for i in 1:STEPS
        global p
        p = advance(p)
    end
    println(p, " ", calls, " ", typeof(p), " ", advance, " ", since())
    energies = [energy(Particle(i / 10, 1.0)) for i in 1:10]
    @printf("%.3f\\n", sum(energies))
    println(fib(60), " ", map(q -> energy(q) > 1 ? "high" : "low", [Particle(0.0, 1.0), p]))
    """

"A box with a script in it, run once and built."
function built_script(source; name = "script.jl")
    box = Box()
    path = joinpath(box.root, name)
    write(path, source)
    first = run_script_in(box, path, String[], CACHED; env = TRACED)
    report = Sandbox.julia!(box, """
        using NativeCache
        result = NativeCache.build($(repr(path)); quiet = true)
        foreach(part -> println("part\\t", part.package, "\\t", length(part.compiled)), result.parts)
        foreach(((line, why),) -> println("plain\\t", line, "\\t", why), result.plain)
        println("message\\t", result.message)
        """).out
    return (box = box, path = path, first = first, report = split.(split(report, '\n'; keepempty = false), '\t'))
end

plain_lines(report) = Dict(parse(Int, fields[2]) => fields[3] for fields in report if fields[1] == "plain")

"Statements that a run of the script compiles and that are not NativeCache's, or a macro's own."
function compiled_in(box, path, how = CACHED)
    trace = tempname(box.root; cleanup = false)
    run_script_in(box, path, String[], how; flags = `--trace-compile=$trace`)
    return filter(text -> occursin(r"\bMain\.|\bScript_", text) && !occursin(r"Main\.var\"#", text), Sandbox.traced(trace))
end

if part("a script")
    @testset "a script starts warm, and means the same" begin
        built = built_script(SCRIPT_EXAMPLE)
        box, path = built.box, built.path
        try
            plain = run_script_in(box, path, String[], PLAIN)
            @test plain.code == 0 && built.first.out == plain.out
            @test any(fields -> fields[1] == "part" && parse(Int, fields[3]) > 20, built.report)
            stays = plain_lines(built.report)
            number(text) = findfirst(line -> occursin(text, line), split(SCRIPT_EXAMPLE, '\n'))
            # What its value is, is known when it runs; so what uses it stays as well.
            @test occursin("not known before", stays[number("const STARTED")])
            @test occursin("STARTED", stays[number("since() =")])
            @test !haskey(stays, number("function fib"))
            warm = run_script_in(box, path, String[], CACHED)
            @test (warm.code, warm.out) == (0, plain.out)
            cold = compiled_in(box, path, PLAIN)
            @test length(cold) > 5
            left = compiled_in(box, path)
            @test filter(text -> !occursin("since", text), left) == []
            # At the prompt afterwards the names are Main's: they can be looked at, documented, extended and redefined.
            prompt = raw"""

                println(fib(10), " ", advance(p; dt = 1.0), " ", MEMO[10], " ", isdefined(Main, :energy))
                println(strip(string(@doc advance)), " ", strip(string(@doc Particle)))
                fib(n::Int) = -1
                energy(p::Particle) = 7.0
                advance(x::String) = "longer"
                println(fib(10), " ", energy(p), " ", advance("x"), " ", length(methods(advance)))
                """
            after = run_script_in(box, path, String[], CACHED * prompt)
            @test endswith(after.out, "\nOne step. A particle.\n-1 7.0 longer 2\n")
            @test after.out == run_script_in(box, path, String[], PLAIN * prompt).out
        finally
            remove(box)
        end
    end
end

if part("edit")
    @testset "an edit takes effect at once" begin
        source = "f(x) = x + 1\ng(x) = 2f(x)\nprintln(g(1))\nfor i in 1:2\n    println(g(i))\nend\n"
        built = built_script(source)
        box, path = built.box, built.path
        try
            for edit in (replace(source, "x + 1" => "x + 5"), "# above\n" * source, source * "println(f(0))\n", replace(source, "1:2" => "1:3"),
                         replace(source, "println(g(1))" => "f = 3"))
                write(path, edit)
                @test shown(run_script_in(box, path, String[], CACHED)) == shown(run_script_in(box, path, String[], PLAIN))
            end
            # Statements that no part holds may change, and the parts stay.
            write(path, replace(source, "println(g(1))" => "println(g(2))"))
            @test isempty(compiled_in(box, path))
        finally
            remove(box)
        end
    end
end

if part("plain")
    @testset "what could tell the difference stays as it is" begin
        built = built_script("""
            f(x) = x
            println(parentmodule(f))
            """)
        try
            @test any(fields -> fields[1] == "message" && occursin("nothing", fields[2]), built.report)
            @test occursin("parentmodule", first(values(plain_lines(built.report))))
            @test run_script_in(built.box, built.path, String[], CACHED).out == "Main\n"
        finally
            remove(built.box)
        end
        built = built_script("""
            macro impure()
                return rand()
            end
            f(x) = x + (@impure() > 2)
            step = 5
            g(x) = x + step
            h(x) = x
            println(f(1), g(2), h(3))
            h(x::Int) = -x
            println(h(3))
            eval(:(k(x) = x))
            println(k(4))
            """)
        try
            stays = plain_lines(built.report)
            @test occursin("@impure", stays[4])
            @test occursin("step", stays[6]) && !haskey(stays, 7)
            warm = run_script_in(built.box, built.path, String[], CACHED)
            @test warm.out == "173\n-3\n4\n"
            # A session that has such a name already runs the script as it is.
            taken = run_script_in(built.box, built.path, String[], "h(x) = \"mine\"\n" * CACHED)
            @test taken.out == "173\n-3\n4\n"
        finally
            remove(built.box)
        end
    end
end

if part("variables of Main")
    @testset "variables of Main" begin
        box = Box()
        try
            add_package(box, "Asks", """
                module Asks
                const MAIN = getfield(parentmodule(Base), :Main)
                @eval f(x) = x + \$(GlobalRef(MAIN, :there))
                @eval g(x) = x + \$(GlobalRef(MAIN, :step))
                @eval h(x) = (\$(GlobalRef(MAIN, :made)) = x; 2x)
                end
                """)
            lines = ["Tuple{typeof(Asks.$f),Int64}" for f in "fgh"]
            built = build(box, repr("Asks"), lines)
            @test Sandbox.statements(built["skipped"]) == ["Tuple{typeof(Asks.g),Int64}"]
            @test built["skipped"][1][2] == "NamesMain"
            run = Sandbox.julia!(box, """
                using NativeCache, Asks
                there, step = 5, 7
                println(Asks.f(1), " ", Asks.g(1), " ", Asks.h(3), " ", made)
                there = 1.5
                println(Asks.f(1), " ", length(NativeCache.status(Asks).installed))
                """)
            @test run.out == "6 8 6 3\n2.5 2\n"
        finally
            remove(box)
        end
    end
end

if part("errors")
    @testset "errors have the script's lines, and its exit code" begin
        source = "f(x) = x > 2 ? error(\"too much\") : x\n\nfor i in 1:5\n    println(f(i))\nend\n"
        built = built_script(source)
        try
            warm, plain = (run_script_in(built.box, built.path, String[], how) for how in (CACHED, PLAIN))
            @test plain.code == 1 && shown(warm) == shown(plain)
            @test occursin("script.jl:4", warm.err) && occursin("in expression starting at $(built.path):3", warm.err)
        finally
            remove(built.box)
        end
    end
end

if part("command line")
    @testset "nativecache run" begin
        built = built_script("f(x) = \"<\$x>\"\nprintln(basename(PROGRAM_FILE), f.(ARGS), @__LINE__, basename(@__FILE__))\n")
        try
            run = Sandbox.run_julia(built.box, `run $(built.path) a b`; plain = true, program = joinpath(Sandbox.ROOT, "bin", "nativecache"),
                env = ["JULIA" => joinpath(Sys.BINDIR, Base.julia_exename())])
            @test (run.code, run.out) == (0, "script.jl[\"<a>\", \"<b>\"]2script.jl\n") || run.err
            none = Sandbox.run_julia(built.box, `run`; plain = true, program = joinpath(Sandbox.ROOT, "bin", "nativecache"),
                env = ["JULIA" => joinpath(Sys.BINDIR, Base.julia_exename())])
            @test none.code == 2 && occursin("takes the path of a script", none.err)
        finally
            remove(built.box)
        end
    end
end

if part("generated")
    @testset "generated scripts, seed $seed" for seed in (1, 2)
        box = Box()
        try
            script = generate(seed, 60)
            @test differs(box, script, edited(script, seed)) === nothing
        finally
            remove(box)
        end
    end
end
