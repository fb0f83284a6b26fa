# src/build/build.jl: from statements to a library in the store.

@testset "$package" for package in ("Dates", "Markdown")
    t = trained(package)
    result = t.build
    @test result.library !== nothing && isfile(result.library)
    @test startswith(result.library, joinpath(t.box.depot, "nativecache"))
    @test result.bytes == filesize(result.library) > 0
    # Every statement once, each in exactly one bucket.
    @test sort(statements(result["requested"])) == sort(unique(t.traced))
    @test sort(vcat(statements.(getindex.(Ref(result), ["compiled", "skipped", "failed"]))...)) ==
        sort(statements(result["requested"]))
    @test length(result["compiled"]) >= 0.9 * length(result["requested"])
    @test all(item -> isempty(item[2]), result["compiled"])
    @test all(item -> !isempty(item[2]), [result["skipped"]; result["failed"]])

    # The same session with the cache: the same results, and nothing compiled that is said to be cached.
    path, after = trace_session(t.box, t.body; cached = true)
    @test isempty(intersect(after, statements(result["compiled"])))
    @test length(after) < length(t.traced) / 5
    @test run_session(t.box, t.body; cached = true).run.out == t.without.out
    @test !isempty(t.without.out)
    # No work folder is left.
    @test all(!startswith("build-"), readdir(joinpath(t.box.depot, "nativecache", "v1.5")))
end

@testset "signatures, and several packages" begin
    box = Box()
    add_package(box, "First", "module First\nf(x) = x + 1\nabstract type Thing end\ng(::Thing) = 1\nend")
    add_package(box, "Second", "module Second\nstruct Two end\nh(x) = x * 3\nend")
    run = julia!(box, """
        using NativeCache, First, Second
        one = NativeCache.build(First; statements = [(First.f, (Int,)), Tuple{typeof(First.f), Float64}], quiet = true)
        println(length(one.compiled), " ", one.library)
        both = NativeCache.build([First, :Second]; statements = [Tuple{typeof(First.f), Int8}, Tuple{typeof(Second.h), Int},
            Tuple{typeof(First.f), Int16}], quiet = true)
        println(length.(getfield.(both, :compiled)), " ", both[1].library)
        show(stdout, MIME("text/plain"), both[1])
        println()
        show(stdout, both[1])
        """)
    lines = split(run.out, '\n')
    # Each has a library of its own: see test/layers.jl.
    @test startswith(lines[1], "2 ") && startswith(lines[2], "[2, 1] ")
    @test startswith(lines[3], "First: 2 of 2 methods compiled in ")
    @test lines[end] == "BuildResult(First: 2 of 2 compiled)"
    now = status(box, "\"First\"", "using First")
    @test length(now["installed"]) == length(now["requested"]) == 2
    later = status(box, "\"Second\"", "using First, Second")
    @test "Tuple{typeof(Second.h), Int64}" in statements(later["installed"])
    remove(box)
end

@testset "nothing to compile is no failure: $what" for (what, methods, compiled) in [
        ("constants", ["Tuple{typeof(Fixed.f), Int64}", "Tuple{typeof(Fixed.g), Int64}"], 2), ("in the sysimage", ["Tuple{typeof(Base.require), Base.PkgId}"], 0)]
    box = Box()
    add_package(box, "Fixed", "module Fixed\nf(x) = 1\ng(x) = :a\nend")
    julia!(box, "using Fixed")
    result = build(box, repr("Fixed"), methods)
    @test result.message == "" && result.library !== nothing
    @test length(result["compiled"]) == compiled && isempty(result["failed"])
    now = status(box, repr("Fixed"), "using Fixed\nFixed.f(1) == 1 && Fixed.g(1) === :a || error()")
    @test length(now["installed"]) == compiled && length(now["skipped"]) == length(methods) - compiled
    remove(box)
end

"The error message of a call that the user got wrong."
build_error(box, code) = julia!(box, """
    using NativeCache
    try
        $code
        println("no error")
    catch err
        println(nameof(typeof(err)), ": ", sprint(showerror, err))
    end
    """).out

@testset "what the caller got wrong" begin
    box = shared_box()
    statement = "statements = [\"Tuple{typeof(sin), Float64}\"]"
    for (code, wanted) in [
            "NativeCache.build(\"NoSuchPackage\"; $statement)" => "\"NoSuchPackage\" is not found",
            "NativeCache.build(Main; $statement)" => "Main is not part of a package",
            "NativeCache.build(3; $statement)" => "got 3 of type Int64",
            "NativeCache.build(String[]; $statement)" => "no package",
            "NativeCache.build(\"CRC32c\")" => "no statements",
            "NativeCache.build(\"Dates\"; statements = \"no such file\")" => "there is no file \"no such file\"",
            "NativeCache.build(\"Dates\"; statements = [1])" => "1 is not a signature",
            "NativeCache.build(\"Dates\"; statements = String[])" => "names no method",
            "NativeCache.build(\"Dates\"; $statement, timeout = -1)" => "positive number of seconds"]
        said = build_error(box, code)
        @test startswith(said, "ArgumentError: ") && occursin(wanted, said)
    end
    @test isempty(filter(startswith("build-"), readdir(joinpath(box.depot, "nativecache", "v1.5"))))
end

@testset "what goes wrong on the machine" begin
    box = Box()
    add_package(box, "Plain", "module Plain\nf(x) = x + 1\nend")
    given = ["Tuple{typeof(Plain.f), Int64}", "Tuple{typeof(Plain.f), Float64}"]
    good = build(box, repr("Plain"), given)
    content = read(good.library)
    function failed(result, wanted)
        @test result.library === nothing
        @test statements(result["failed"]) == statements(result["requested"]) && length(result["failed"]) == 2
        @test isempty(result["compiled"]) && isempty(result["skipped"])
        @test all(item -> item[2] == "BuildFailed", result["failed"])
        @test occursin(wanted, result.message)
        # The library that was there stays, and nothing else does.
        @test read(good.library) == content
        @test filter(name -> !(name in ("lock", "profiles")), readdir(joinpath(box.depot, "nativecache", "v1.5"))) == [basename(dirname(dirname(good.library)))]
    end
    failed(build(box, repr("Plain"), given; keywords = "linker = \"no-such-linker\""), "no-such-linker")
    failed(build(box, repr("Plain"), given; keywords = "linker = \"false\""), "false")
    failed(build(box, repr("Plain"), given; env = ["PATH" => "/nonexistent"]), "cc")
    # A depot that cannot be written to: even root cannot make a folder in a file.
    barred = joinpath(box.root, "barred")
    write(barred, "")
    failed(build(box, repr("Plain"), given; env = ["JULIA_DEPOT_PATH" => box.depot],
                 keywords = "timeout = (empty!(DEPOT_PATH); push!(DEPOT_PATH, $(repr(barred))); 60)"), "barred")
    # A package that does not load.
    broken = joinpath(box.packages, "Plain", "src", "Plain.jl")
    write(broken, "module Plain\nf(x) = x + 1\n__init__() = error(\"not today\")\nend")
    failed(build(box, repr("Plain"), given), "not today")
    write(broken, "module Plain\nf(x) = x + 1\n__init__() = ccall(:abort, Cvoid, ())\nend")
    failed(build(box, repr("Plain"), given), "signal 6")
    remove(box)

    warned = julia!(shared_box(), """
        using NativeCache
        NativeCache.build("Dates"; statements = ["Tuple{typeof(Dates.now)}"], linker = "no-such-linker")
        """; env = ["PATH" => "/nonexistent"]).err
    @test occursin("Warning: NativeCache: no library for Dates", warned)
end

@testset "a method that kills Julia's compiler costs only itself" begin
    box = Box()
    add_package(box, "Deadly", read(joinpath(@__DIR__, "fixtures", "Deadly.jl"), String))
    names(letters) = ["Tuple{typeof(Deadly.$letter), Int64}" for letter in letters]
    result = build(box, repr("Deadly"), names(["f", "g", "k"]))
    @test statements(result["compiled"]) == names(["f", "k"])
    @test [item[1:2] for item in result["failed"]] == [(only(names(["g"])), "CompilerAborted")]
    @test occursin("signal 6", result["failed"][1][3])
    result = build(box, repr("Deadly"), names(["f", "h", "k"]))
    @test statements(result["compiled"]) == names(["f", "k"])
    @test statements(result["failed"]) == names(["h"])
    @test result["failed"][1][2] in ("CompilerAborted", "CompilerThrew")
    out = julia!(box, "using NativeCache, Deadly\nprint(Deadly.f(1), Deadly.k(1), length(NativeCache.status(\"Deadly\").installed))").out
    @test out == "252"
    remove(box)
end

part("two address layouts, one library") && @testset "two address layouts, one library" begin
    t = trained("Dates")
    first_bytes = read(t.build.library)
    # Each process lies at other addresses; here one lies where the kernel always puts it.
    setarch = Sys.which("setarch")
    if setarch === nothing
        @test_skip "setarch"
    else
        program = `$setarch $(Sys.ARCH) -R $(joinpath(Sys.BINDIR, "julia"))`
        fixed = build(t.box, repr("Dates"), reverse(t.traced); program = program)
        @test fixed.library == t.build.library
        @test read(fixed.library) == first_bytes
    end
    again = build(t.box, repr("Dates"), t.trace)
    @test read(again.library) == first_bytes
end

@testset "NativeCache itself" begin
    box = Box()
    result = build(box, repr("NativeCache"), ["Tuple{typeof(NativeCache.settings)}"])
    @test statements(result["compiled"]) == ["Tuple{typeof(NativeCache.settings)}"]
    @test statements(status(box, repr("NativeCache"), "nothing")["installed"]) == ["Tuple{typeof(NativeCache.settings)}"]
    remove(box)
end

@testset "a compiler that does not come back" begin
    box = Box()
    add_package(box, "Endless", """
        module Endless
        f(x) = x + 1
        @generated g(x) = (get(ENV, "JULIA_NATIVECACHE", "") == "off" && (while true; end); :(x + 2))
        end
        """)
    # Long enough for every other step of a build, however busy the machine is.
    result = build(box, repr("Endless"), ["Tuple{typeof(Endless.f), Int64}", "Tuple{typeof(Endless.g), Int64}"]; keywords = "timeout = 45")
    @test statements(result["compiled"]) == ["Tuple{typeof(Endless.f), Int64}"]
    @test statements(result["failed"]) == ["Tuple{typeof(Endless.g), Int64}"]
    @test occursin("without progress", result["failed"][1][3])
    remove(box)
end

@testset "an interrupted build leaves nothing" begin
    t = trained("Dates")
    kept = read(t.build.library)
    run = julia!(t.box, """
        using NativeCache
        task = @async NativeCache.build("Dates"; statements = $(repr(t.trace)), quiet = true)
        building() = any(name -> startswith(name, "build-"), readdir(joinpath(DEPOT_PATH[1], "nativecache", "v1.5")))
        while !building() && !istaskdone(task); sleep(0.01); end
        schedule(task, InterruptException(); error = true)
        try wait(task) catch err; print(err.task.exception isa InterruptException) end
        """)
    @test run.out == "true"
    @test read(t.build.library) == kept
    @test all(!startswith("build-"), readdir(joinpath(t.box.depot, "nativecache", "v1.5")))
end
