# src/show/report.jl, src/show/page.jl: where the latency goes. The page is looked at in a browser by hand; here
# is what needs none.

@testset "measured, as a page and in a terminal" begin
    t = trained("Dates")
    script = joinpath(t.box.root, "first session.jl")
    write(script, t.body)
    html = joinpath(t.box.root, "latency.html")
    out = julia!(t.box, """
        using NativeCache
        r = NativeCache.report($(repr(html)); script = $(repr(script)), runs = 1)
        show(stdout, MIME("text/plain"), r)
        println("\\n====")
        println(r.before.compiled, ' ', r.after.compiled, ' ', r.before.inference > r.after.inference, ' ',
            r.before.generation > r.after.generation, ' ', r.before.linking == 0 < r.after.linking, ' ',
            [p.package for p in r.packages])
        print(NativeCache.json(r))
        """).out
    shown, numbers = split(out, "\n====\n")
    line, json = split(numbers, '\n'; limit = 2)
    before, after = parse.(Int, split(line)[1:2])
    # What is left are methods that no `precompile` statement can name: results that are constants, and Main's.
    # On 1.10 and later also what the generated functions of Dates reach.
    @test before > (COMPANIONS ? 2 : 5) * max(after, 1)
    @test endswith(line, "true true true [\"Dates\"]")
    for words in ("without", "type inference", "code generation", "linking cached code", "methods compiled", "still compiled")
        @test occursin(words, shown)
    end
    @test occursin(r"^  without s*l*k*i+g+r*  ?\d"m, shown)
    @test occursin("\"before\":{\"start\":", json)

    page = read(html, String)
    @test startswith(page, "<!doctype html>") && endswith(page, "</html>\n")
    # Complete in itself: no script, nothing from elsewhere.
    @test !occursin(r"<script|https?://|src=|<link|@import|url\("i, page)
    for part in ("prefers-color-scheme: dark", "max-width: 34rem", "role=\"img\" aria-label=\"Without: Julia", "tabindex=\"0\"",
                 "Dates", "<strong>NamesMain</strong>", "class=\"inference\" style=\"width:")
        @test occursin(part, page)
    end
    for tag in ("div", "table", "tr", "td", "th", "span", "p", "ul", "li", "details", "code", "strong")
        @test length(collect(eachmatch(Regex("<$tag[ >]"), page))) == length(collect(eachmatch(Regex("</$tag>"), page)))
    end
    # Each bar fills at most the whole width.
    for bar in eachmatch(r"<div class=\"bar\".*?</div>"s, page)
        @test sum(parse(Float64, width[1]) for width in eachmatch(r"width:([0-9.]+)%", bar.match)) <= 100.1
    end
end

@testset "what the caller got wrong" begin
    message(f) = try f(); "no error" catch err; sprint(showerror, err) end
    @test occursin("there is no file \"no such.jl\"", message(() -> NativeCache.report(script = "no such.jl")))
    @test occursin("there is no folder", message(() -> NativeCache.report("/no such folder/x.html")))
    @test occursin("runs: expected a positive number", message(() -> NativeCache.report(runs = 0)))
    broken = joinpath(OWN_DEPOT, "broken.jl")
    write(broken, "error(\"not today\")")
    @test occursin(r"failed \(run 1 of 1 without the cache\), .*not today",
        message(() -> NativeCache.report(script = broken, runs = 1)))
    # One that does not end in time: it is stopped, and said which.
    endless = joinpath(OWN_DEPOT, "endless.jl")
    write(endless, "println(\"I wait\"); flush(stdout); sleep(120)")
    @test occursin(r"endless.jl had not ended after 10 s and was stopped \(run 1 of 2 without the cache\); its last output: I wait",
        message(() -> NativeCache.report(script = endless, runs = 2, limit = 10)))
    @test occursin("limit: expected a positive number", message(() -> NativeCache.report(limit = 0)))
end
