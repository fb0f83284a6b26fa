# src/report.jl: status, explain, libraries.

@testset "a status adds up" begin
    t = trained("Dates")
    now = status(t.box, "\"Dates\"", "using Dates")
    buckets = Sandbox.STATUS_BUCKETS[2:end]
    @test sort(vcat((statements(now[name]) for name in buckets)...)) == sort(statements(now["requested"])) ==
        sort(statements(t.build["requested"]))
    @test sort(now["skipped"]) == sort(t.build["skipped"]) && sort(now["failed"]) == sort(t.build["failed"])
    @test now.library == t.build.library && now.bytes == t.build.bytes
    @test 0 < now.seconds < 10
end

@testset "what is shown" begin
    t = trained("Dates")
    text(code) = julia!(t.box, "using NativeCache, Dates\nshow(stdout, MIME(\"text/plain\"), $code)").out
    count = string(length(t.build["compiled"]), " of ", length(t.build["requested"]))
    @test occursin("Dates: $count methods installed", text("NativeCache.status(\"Dates\")"))
    @test occursin(t.build.library, text("NativeCache.status(Dates)"))
    explained = text("NativeCache.explain(:Dates)")
    @test all(item -> occursin(item[1], explained) && occursin(item[2], explained), [t.build["skipped"]; t.build["failed"]])
    list = text("NativeCache.status()")
    @test occursin(r"^package +requested +installed +waiting +skipped +rejected +failed +linked in +size$"m, list)
    @test occursin(r"^Dates +\d+ +\d+ "m, list)
    @test text("NativeCache.libraries()[1].package") == "\"Dates-c0ffee00\""
    @test occursin("true", text("any(l -> l.linked && l.usable, NativeCache.libraries())"))
end

@testset "nothing to report" begin
    box = Box()
    add_package(box, "Plain", "module Plain\nend")
    message(code) = julia!(box, "using NativeCache, Plain\nprint(NativeCache.status($code).message)").out
    @test occursin("there is no library", message("\"Plain\"")) && occursin("NativeCache.build(\"Plain\"", message("Plain"))
    @test message("Base.PkgId(Base.UUID(1), \"NotThere\")") == "NotThere is not loaded"
    @test julia!(box, "using NativeCache\nshow(stdout, MIME(\"text/plain\"), NativeCache.status())").out ==
        "NativeCache: no library was found for the packages loaded"
    @test julia!(box, "using NativeCache\nprint(length(NativeCache.libraries()), length(NativeCache.status()))").out == "00"
    remove(box)
end

@testset "reasons" begin
    text, advice = NativeCache.reason(:ModuleSet)
    @test !isempty(text) && !isempty(advice)
    @test NativeCache.reason(:BuildFailed)[1] == "the build as a whole failed"
    @test NativeCache.reason(:NoSuchReason) == ("NoSuchReason", "")
    @test NativeCache.reason_name(201) === :NamesMain
end

@testset "documentation" begin
    for name in (:build, :status, :libraries, :explain, :reason, :MethodItem, :BuildResult, :Status)
        @test occursin(string(name), string(Base.Docs.doc(Base.Docs.Binding(NativeCache, name)))) ||
            haskey(Base.Docs.meta(NativeCache), Base.Docs.Binding(NativeCache, name))
    end
end
