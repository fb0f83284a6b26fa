# src/session/load.jl and rust/session/src/hook.rs: what happens in a session.

@testset "before or after NativeCache" begin
    t = trained("Dates")
    count = length(t.build["compiled"])
    after = status(t.box, "\"Dates\"", "using Dates")
    @test length(after["installed"]) == count
    before = julia!(t.box, "using Dates\nusing NativeCache\nprint(length(NativeCache.status(\"Dates\").installed))")
    @test before.out == string(count)
    @test after.run.err == "" == before.err
end

@testset "loading costs nothing that need not be" begin
    box = shared_box()
    path = joinpath(box.root, "load.trace")
    add_package(box, "Empty", "module Empty end")
    julia!(box, "using Empty")
    julia!(box, "using Empty"; flags = `--trace-compile=$path`)
    always = traced(path)
    julia!(box, "using NativeCache, Empty")
    run = julia!(box, "using NativeCache, Empty"; flags = `--trace-compile=$path`)
    # `loaded` and `ended` have the code that libnativecache brings for them.
    @test setdiff(traced(path), always) == ["Tuple{typeof(NativeCache.__init__)}"]
    @test run.out == run.err == ""
end

"What a session says about Dates, its results, and what it compiled of the cached methods."
function session_of(t; options...)
    run = julia!(t.box, string("using NativeCache\n", t.body, """
        s = NativeCache.status("$(t.package)")
        println(stderr, "\nstatus ", length(s.installed), " ", join(unique(string(item.reason) for item in s.rejected), ","), " ", s.message)
        """); options...)
    words = match(r"^status (\d+) (\S*) (.*)$"m, run.err)
    return (out = run.out, installed = parse(Int, words[1]), reasons = words[2], message = words[3])
end

@testset "off" begin
    t = trained("Dates")
    on = session_of(t)
    @test on.installed > 0 && on.out == t.without.out
    off = session_of(t; env = ["JULIA_NATIVECACHE" => "off"])
    @test off.installed == 0 && off.out == t.without.out
    @test occursin("switched off", off.message)
    for (flag, wanted) in [`--code-coverage=user` => "coverage", `--track-allocation=user` => "allocations",
                           `--compile=min` => "--compile"]
        box = t.box
        run = julia!(box, "using NativeCache, Dates\nprint(NativeCache.status(\"Dates\").message)"; flags = flag)
        @test occursin(wanted, run.out)
    end
    for (path, _, files) in walkdir(ROOT), file in files
        # Coverage and allocation files that the runs above made beside the sources.
        endswith(file, r"\.jl\.\d+\.(cov|mem)") && rm(joinpath(path, file))
    end
end

@testset "other flags, other code: $flag" for flag in (`-O1`, `-g2`, `--check-bounds=yes`, `--inline=no`, `--math-mode=fast`)
    t = trained("Dates")
    other = session_of(t; flags = flag)
    @test other.installed == 0
    @test occursin("another Julia, sysimage or set of flags", other.message)
    other.out == t.without.out || @test flag == `--math-mode=fast`
end

@testset "a library for other flags stands beside the first" begin
    t = trained("Dates")
    few = filter(statement -> occursin("Dates.format", statement), t.traced)
    @test !isempty(few)
    result = build(t.box, repr("Dates"), few; flags = `-O1`)
    @test result.library !== nothing && result.library != t.build.library
    @test session_of(t; flags = `-O1`).installed == length(result["compiled"]) > 0
    @test session_of(t).installed == length(t.build["compiled"])
    rm(result.library)
end

@testset "a damaged library: $what" for what in ("empty", "truncated", "no trailer", "flipped bits", "one bit of its code", "one bit of its tables", "another file", "a folder", "no permission")
    t = trained("Markdown")
    path = t.build.library
    good = read(path)
    bytes = copy(good)
    rm(path)
    if what == "empty"
        write(path, "")
    elseif what == "truncated"
        write(path, bytes[1:end÷2])
    elseif what == "no trailer"
        write(path, bytes[1:end-64])
    elseif what == "flipped bits"
        for i in 1:max(1, length(bytes) ÷ 50):length(bytes)
            bytes[i] ⊻= 0x10
        end
        write(path, bytes)
    elseif startswith(what, "one bit")
        bytes[what == "one bit of its code" ? end÷8 : 3end÷4] ⊻= 0x10
        write(path, bytes)
    elseif what == "another file"
        cp(joinpath(ROOT, "deps", "lib", "libnativecache.so"), path)
    elseif what == "a folder"
        mkdir(path)
    else
        symlink("/proc/1/nonexistent", path)
    end
    try
        session = session_of(t)
        @test session.installed == 0
        @test session.out == t.without.out
        @test !isempty(session.message)
    finally
        rm(path; recursive = true, force = true)
        write(path, good)
    end
    @test session_of(t).installed == length(t.build["compiled"])
end

@testset "a package that was precompiled again" begin
    box = Box()
    source(n) = "module Plain\nf(x) = x + $n\nend"
    add_package(box, "Plain", source(1))
    result = build(box, repr("Plain"), ["Tuple{typeof(Plain.f), Int64}"])
    script = "using NativeCache, Plain\ns = NativeCache.status(\"Plain\")\nprint(Plain.f(1), \" \", length(s.installed), \" \", s.message)"
    @test julia!(box, script).out == "2 1 "
    sleep(1.1)      # the time stamps that Julia compares
    write(joinpath(box.packages, "Plain", "src", "Plain.jl"), source(2))
    out = julia!(box, script).out
    @test startswith(out, "3 0 ") && occursin("precompiled again", out)
    @test isfile(result.library)
    old = read(result.library)
    again = build(box, repr("Plain"), ["Tuple{typeof(Plain.f), Int64}"])
    @test julia!(box, script).out == "3 1 "
    # Its name says which build it is for; were it wrong, what it holds would be refused.
    rm(again.library)
    write(again.library, old)
    @test startswith(julia!(box, script).out, "3 0 ")
    @test [item[2] for item in status(box, repr("Plain"), "using Plain")["rejected"]] == ["PackageBuild"]
    remove(box)
end

@testset "other packages loaded" begin
    t = trained("Dates")
    add_package(t.box, "Another", "module Another\ng(x) = x\nend")
    julia!(t.box, "using Another")
    count = length(t.build["compiled"])
    @test length(status(t.box, "\"Dates\"", "using Another\nusing Dates")["installed"]) == count
    @test length(status(t.box, "\"Dates\"", "using Dates\nusing Another")["installed"]) == count
end

occurrences(part, text) = length(split(text, part)) - 1

@testset "a third package extends what a cached method calls" begin
    box = Box()
    ids = ["Base1" => Sandbox.uuid("Base1"), "Caller" => Sandbox.uuid("Caller")]
    add_package(box, "Base1", "module Base1\n@noinline f(x) = x\nsmall(x) = x\n@noinline other(x) = 5x\nend")
    add_package(box, "Caller", """
        module Caller
        using Base1
        called(x) = Base1.f(x) + 10
        inlined(x) = Base1.small(x) + 100
        apart(x) = Base1.other(x) + 1000
        end
        """; deps = ids[1:1])
    add_package(box, "Extender", "module Extender\nusing Base1\nBase1.f(x::Int) = 2x\nBase1.small(x::Int) = 2x\nend"; deps = ids[1:1])
    names = ["Tuple{typeof(Caller.$name), Int64}" for name in ("apart", "called", "inlined")]
    @test statements(build(box, repr("Caller"), names)["compiled"]) == names
    call = """
        print(join((Base.invokelatest(getfield(Caller, name), 1) for name in (:called, :inlined, :apart)), " "))
        s = NativeCache.status("Caller")
        print(" ", [item.statement for item in s.installed], " ", unique(item.reason for item in s.rejected))
        """
    alone = julia!(box, "using NativeCache, Caller\n$call").out
    @test startswith(alone, "11 101 1005 ") && occurrences("Caller.", alone) == 3 && !occursin(":", alone)
    # There before: the two are not what Julia would compile now, and are left to it.
    before = julia!(box, "using NativeCache, Extender, Caller\n$call").out
    @test startswith(before, "12 102 1005 ")
    @test occurrences("Caller.", before) == 1 && occursin("Caller.apart", before) && occursin(":EdgeChanged", before)
    # There after: what was installed is invalidated as what the JIT compiled would be.
    after = julia!(box, "using NativeCache, Caller\nprint(Base.invokelatest(Caller.called, 1), \" \")\nusing Extender\n$call").out
    @test startswith(after, "11 12 102 1005 ")
    remove(box)
end

@testset "NativeCache in a package that is being precompiled" begin
    t = trained("Dates")
    add_package(t.box, "Dependent", "module Dependent\nusing NativeCache\nf() = 1\nconst SEEN = f()\nend";
        deps = ["NativeCache" => "1402d8af-b1ee-4baf-ab8c-666e41cddb50"])
    run = julia!(t.box, "using Dependent\nprint(Dependent.SEEN)")
    @test run.out == "1" && run.err == ""
end
