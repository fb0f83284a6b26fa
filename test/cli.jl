# bin/nativecache, src/show/cli.jl: commands, exit codes, JSON.

"Run bin/nativecache as a shell would; (output, error output, exit code)."
function command(box, arguments...; julia = Sandbox.julia_program(), options...)
    run = Sandbox.run_julia(box, `$(collect(arguments))`; program = `$(joinpath(ROOT, "bin", "nativecache"))`, plain = true,
        env = ["JULIA" => string(julia.exec[1])], options...)
    return run.out, run.err, run.code
end

@testset "commands and exit codes" begin
    box = Box()
    add_package(box, "Plain", "module Plain\nf(x) = x + 1\ng(x) = f(x) * 2\nend")
    trace = joinpath(box.root, "trace.jl")
    write(trace, "precompile(Tuple{typeof(Plain.g), Int64})\nprecompile(Tuple{typeof(Plain.none), Int64})\n")

    out, err, code = command(box, "build", "Plain", "--statements", trace)
    @test code == 0 && occursin("Plain: 1 of 2 methods compiled", out) && occursin(COMPANIONS ? "compiling" : "inferring types of 2 methods", err)
    out, err, code = command(box, "build", "Plain", "--statements=$trace", COMPANIONS ? "--timeout=0.01" : "--linker=false", "--quiet")
    @test code == 1 && err == "" && occursin("no library", out)
    out, err, code = command(box, "status", "Plain", "--json", "--check")
    @test code == 0 && startswith(out, "[{\"package\":\"Plain\",\"library\":\"/") && err == ""
    out, _, code = command(box, "-O1", "status", "Plain", "--check")
    @test code == 1 && occursin("another Julia, sysimage or set of flags", out)
    out, _, code = command(box, "status")
    @test code == 0 && occursin(r"^Plain +\d.* yes +/"m, out)
    out, _, code = command(box, "explain", "Plain")
    @test code == 0 && occursin(COMPANIONS ? "NoTypeExpression" : "NoSuchMethod", out)
    out, _, code = command(box, "explain", "Plain", "Plain.g(1)")
    @test code == 0 && occursin("a call runs from a library of NativeCache", out)
    out, _, code = command(box, "gc", "--dry-run")
    @test code == 0 && startswith(out, "0 files")
    out, _, code = command(box, "clear", "Plain", "--json")
    @test code == 0 && occursin("\"removed\":true", out)
    remove(box)
end

@testset "without a process" begin
    N = NativeCache
    run(arguments...) = (out = IOBuffer(); err = IOBuffer(); code = N.main(collect(arguments); out = out, err = err);
        (String(take!(out)), String(take!(err)), code))
    for (arguments, wanted) in [["biuld"] => "there is no command \"biuld\"; there are build, status",
            ["build"] => "build takes at least 1 argument, got 0", ["gc", "now"] => "gc takes 0 arguments, got 1",
            ["gc", "--dryrun"] => "gc has no option --dryrun; it has --max-size, --dry-run",
            ["report", "x.jl", "--runs"] => "--runs needs a value", ["report", "x.jl", "--runs", "many"] => "--runs: expected a positive number",
            ["gc", "--max-size", "much"] => "expected a size such as 500 MB", ["report", "no such.jl"] => "there is no file",
            ["build", "NoSuchPackage", "--statements", "x"] => "\"NoSuchPackage\" is not found"]
        out, err, code = run(arguments...)
        @test code == 2 && out == "" && occursin(wanted, err)
    end
    @test run("--help")[3] == 0 && run()[3] == 2 && run("--version")[1] == "NativeCache 0.1.0, Julia $VERSION\n"
    # The help names every command and option.
    help = run("build", "--help")[1]
    for (name, _, _, valued, plain) in N.COMMANDS
        @test occursin(Regex("\\b$name\\b"), help)
        @test all(option -> option == "keep" || occursin("--$option", help), (valued..., plain...))
    end
    @test startswith(run("settings", "--json")[1], "[{\"name\":\"mode\"")
    @test occursin("\"name\":\"Invalidated\"", run("reasons", "--json")[1])
end

@testset "Ctrl-C: the old library stays, nothing else does" begin
    t = trained("Dates")
    kept = read(t.build.library)
    # The worker has begun: it has written to its journal, or has its log.
    store = joinpath(t.box.depot, STORE_FOLDER)
    building() = any(name -> startswith(name, "build-") && isfile(joinpath(store, name, COMPANIONS ? "log" : "journal")), readdir(store))
    out, err, code = command(t.box, "build", "Dates", "--statements", t.trace; interrupt = building)
    @test code == 130 && occursin("interrupted", err)
    @test read(t.build.library) == kept
    @test all(!startswith("build-"), readdir(joinpath(t.box.depot, STORE_FOLDER)))
end
