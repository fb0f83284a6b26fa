# src/show/status.jl: status, libraries.

@testset "a status adds up" begin
    t = trained("Dates")
    now = status(t.box, "\"Dates\"", "using Dates")
    buckets = Sandbox.STATUS_BUCKETS[2:end]
    @test sort(vcat((statements(now[name]) for name in buckets)...)) == sort(statements(now["requested"])) ==
        sort(statements(t.build["requested"]))
    @test sort(now["skipped"]) == sort(t.build["skipped"]) && sort(now["failed"]) == sort(t.build["failed"])
    @test now.library == t.build.library && now.bytes == t.build.bytes
    @test now.seconds > 0
end

@testset "what is shown" begin
    t = trained("Dates")
    out = julia!(t.box, """
        using NativeCache, Dates
        full(x) = (show(stdout, MIME("text/plain"), x); println("\\n===="))
        full(NativeCache.status("Dates"))
        full(NativeCache.status())
        show(stdout, NativeCache.status())
        println("\\n====")
        full(NativeCache.libraries()[1].package)
        full(any(l -> l.linked && l.usable, NativeCache.libraries()))
        print(NativeCache.json(NativeCache.status()))
        """).out
    one, list, compact, package, usable, json = split(out, "\n====\n")
    # On 1.10 and later Julia's image writer may drop one or the other, and the status says which.
    count = string(COMPANIONS ? "\\d+" : length(t.build["compiled"]), " of ", length(t.build["requested"]))
    @test occursin(Regex("Dates: $count methods installed"), one) && occursin(t.build.library, one)
    @test occursin(r"^package +layer +installed +saved +linked in +size +age"m, list)
    @test occursin(Regex("^Dates +.*$count +", "m"), list)
    @test compact == "StatusList(1 libraries)"
    @test package == repr(NativeCache.package_folder(Base.PkgId(Base.UUID(Sandbox.uuid("Dates")), "Dates"))) && usable == "true"
    @test startswith(json, "{\"message\":\"\",\"packages\":[{\"package\":\"Dates\",\"library\":\"") && occursin("\"installed\":[{\"statement\":", json)
end

@testset "nothing to report" begin
    box = Box()
    add_package(box, "Plain", "module Plain\nend")
    out = julia!(box, """
        using NativeCache, Plain
        println(NativeCache.status("Plain").message)
        println(NativeCache.status(Base.PkgId(Base.UUID(1), "NotThere")).message)
        println(length(NativeCache.libraries()), length(NativeCache.status()))
        show(stdout, MIME("text/plain"), NativeCache.status())
        """).out
    lines = split(out, '\n')
    @test occursin("there is no library", lines[1]) && occursin("NativeCache.build(\"Plain\")", lines[1])
    @test startswith(lines[2], "the package is not loaded in this session (NotThere)")
    @test lines[3] == "00"
    @test lines[4] == "NativeCache: no library was found for the packages loaded"
    remove(box)
end

@testset "what is stale, waits or was invalidated is marked, with the way to mend it" begin
    box = Box()
    add_package(box, "Plain", "module Plain\nf(x) = x + 1\ng(x) = f(x) * 2\nh(x) = (x, 1)\nend")
    add_package(box, "Second", "module Second\nstruct Two end\nend")
    julia!(box, """
        using NativeCache, Plain, Second
        NativeCache.build([Plain, Second]; quiet = true, statements = [(Plain.f, (Int,)), (Plain.g, (Int,)),
            (Plain.h, (Second.Two,))])
        """)
    show_it = "show(stdout, MIME(\"text/plain\"), NativeCache.status())\nprintln(\"\\n====\")\n"
    out = julia!(box, """
        using NativeCache, Plain
        $show_it
        Plain.g(1)
        @eval Plain f(x::Int) = x + 2
        print(Plain.g(1))
        $show_it
        """).out
    before, after = split(out, "\n====\n")
    @test occursin(r"^Plain +statements +2 of 2 +\S"m, before)
    # The library of both lies with one of them.
    waits = "it waits for a package that is not loaded (Second); load the package: it is then installed"
    @test all(line -> occursin(waits, line), filter(startswith("Plain: "), split(before, '\n')))
    @test startswith(after, "6") && occursin("1 invalidated", after)
    @test occursin("Plain: 1 invalidated: a definition made in this session after it was installed", after)
    sleep(1.1)      # the time stamps that Julia compares
    write(joinpath(box.packages, "Plain", "src", "Plain.jl"), "module Plain\nf(x) = x + 3\ng(x) = f(x)\nend")
    out = julia!(box, "using NativeCache, Plain\n$show_it").out
    @test occursin(r"^Plain .* stale$"m, out) && occursin("has been precompiled again since; build the library again", out)
    remove(box)
end

@testset "documentation" begin
    for name in (:build, :status, :libraries, :explain, :reason, :reasons, :settings, :json, Symbol("@explain"), :MethodItem,
                 :BuildResult, :Status, :Story)
        @test haskey(Base.Docs.meta(NativeCache), Base.Docs.Binding(NativeCache, name))
    end
end
