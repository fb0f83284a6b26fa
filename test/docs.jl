# docs/: what is written from the code is up to date, links lead somewhere, and every block of the
# README and the tutorial works, in the order of the page, in a copy of an empty depot.

include(joinpath(ROOT, "docs", "generate.jl"))

@testset "$name is what docs/generate.jl writes" for (name, page) in Pages.PAGES
    @test read(joinpath(ROOT, "docs", "reference", name), String) == page()
end

@testset "every public name that has a docstring is on the page" begin
    listed = Set(name for (_, names) in Pages.FUNCTIONS for name in names)
    for name in listed
        isempty(Pages.docstrings(name)) && println("no docstring: ", name)
        @test !isempty(Pages.docstrings(name))
    end
end

"The Markdown files of the project."
documents() = [joinpath(ROOT, "README.md"); [joinpath(folder, file) for (folder, _, files) in walkdir(joinpath(ROOT, "docs"))
    for file in files if endswith(file, ".md") && !occursin("/.venv/", folder)]]

heading_anchor(text) = replace(strip(replace(lowercase(replace(text, '`' => "")), r"[^a-z0-9_\s-]" => "")), r"[\s-]+" => "-")

@testset "links of $(relpath(document, ROOT))" for document in documents()
    text = replace(read(document, String), r"```.*?```"s => "")
    for link in eachmatch(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text)
        (startswith(link[1], "http") || startswith(link[1], "@ref")) && continue
        target = isempty(link[1]) ? document : normpath(joinpath(dirname(document), link[1]))
        @test ispath(target)
        link[2] === nothing || !endswith(target, ".md") && continue
        link[2] === nothing || @test link[2] in [heading_anchor(m[1]) for m in eachmatch(r"^#+ (.*)$"m, read(target, String))]
    end
end

"The fenced blocks of a page: (language, text)."
blocks(path) = [(String(m[1]), String(m[2])) for m in eachmatch(r"^```(\w*)\n(.*?)^```"ms, read(path, String))]

"Run the blocks of a page in one shell, as a reader would who copies them; the output of each, and the exit code."
function run_page(path, folder; load_path = nothing)
    kinds = first.(blocks(path))
    @test all(in(("bash", "text", "julia")), kinds)
    script = joinpath(folder, "page.sh")
    open(script, "w") do io
        println(io, "set -euo pipefail")
        for (language, text) in blocks(path)
            language == "bash" && println(io, "echo '<<<<'\n", text)
            if language == "julia"
                file = tempname(folder; cleanup = false)
                write(file, text)
                println(io, "echo '<<<<'\n\"\$JULIA\" --startup-file=no ", file)
            end
        end
    end
    environment = Dict{String,String}(name => value for (name, value) in ENV if !startswith(name, "JULIA_"))
    environment["JULIA_DEPOT_PATH"] = joinpath(folder, "depot")
    environment["JULIA"] = joinpath(Sys.BINDIR, "julia")
    environment["PATH"] = string(Sys.BINDIR, ':', joinpath(folder, "clone", "bin"), ':', ENV["PATH"])
    load_path === nothing || (environment["JULIA_LOAD_PATH"] = load_path)
    environment["JULIA_NATIVECACHE_AUTO"] = "off"      # nothing in the background of a test
    log = joinpath(folder, "log")
    process = run(pipeline(ignorestatus(setenv(`bash $script`, environment; dir = joinpath(folder, "clone"))); stdout = log, stderr = log, stdin = devnull))
    text = read(log, String)
    success(process) || println(text)
    return split(text, "<<<<\n")[2:end], process.exitcode
end

"A folder that looks like a clone and shares what was built."
function as_clone()
    folder = mktempdir(; prefix = "nativecache-docs-")
    mkdir(joinpath(folder, "clone"))
    for name in readdir(ROOT)
        name in (".git", "target", "site") || symlink(joinpath(ROOT, name), joinpath(folder, "clone", name))
    end
    return folder
end

@testset "the tutorial works" begin
    folder = as_clone()
    # Copied: the tutorial makes a folder in the clone, and it must not land in ours.
    output, code = run_page(joinpath(ROOT, "docs", "tutorial.md"), folder)
    @test code == 0
    if code == 0
        slow = parse(Float64, match(r"the first call took ([0-9.]+) s", output[3])[1])
        fast = parse(Float64, match(r"the first call took ([0-9.]+) s", output[5])[1])
        @test fast < slow / 3
        @test occursin(r"Ledger: \d+ of \d+ methods compiled", output[4])
        @test occursin("a call runs from a library of NativeCache", output[6]) && occursin("NoSuchMethod", output[6]) | occursin("NotRequested", output[6])
        @test isfile(joinpath(folder, "clone", "ledger", "latency.html"))
        @test occursin("precompiled again", output[8]) && occursin(r"2026-02 +610\.00", output[8])
        @test occursin("removed", output[10])
    end
    @test !ispath(joinpath(folder, "depot", "nativecache"))
    rm(folder; recursive = true, force = true)
end

@testset "the README's blocks work" begin
    folder = as_clone()
    box = Box(joinpath(folder, "packages"))
    add_package(box, "MyPackage", "module MyPackage\nf(x) = sum(sqrt(i) for i in 1:x)\nend")
    write(joinpath(folder, "clone", "my_session.jl"), "using MyPackage\nMyPackage.f(10)\n")
    write(joinpath(folder, "clone", "simulation.jl"), "g(x) = x + 1\nfor i in 1:2\n    println(g(i))\nend\n")
    write(joinpath(mkpath(joinpath(box.packages, "MyPackage", "test")), "runtests.jl"), "using Test, MyPackage\n@test MyPackage.f(4) > 6\n")
    _, code = run_page(joinpath(ROOT, "README.md"), folder; load_path = join([box.packages, ROOT, "@stdlib"], ':'))
    @test code == 0
    remove(box)
    rm(folder; recursive = true, force = true)
end
