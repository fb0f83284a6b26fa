# A build compiles only what no earlier one has compiled, and the library is the one that a build from nothing makes.

include(joinpath(ROOT, "bench", "generated.jl"))
using .GeneratedPackage

"Build a library of `package`: its path, and how many parts it has and were compiled."
function build_parts(box, package, statements; options...)
    file = tempname(box.root; cleanup = false)
    write(file, join(statements, '\n'), '\n')
    run = julia!(box, """
        using NativeCache
        result = NativeCache.build($(repr(package)); statements = $(repr(file)), quiet = true)
        results = result isa NativeCache.BuildResult ? [result] : collect(result)
        foreach(result -> result.library === nothing && error(result.message), results)
        count(name) = Int(sum(result.statistics[name] for result in results))
        println(results[1].library, '\\n', count("parts"), '\\n', count("parts_compiled"))
        """; options...)
    library, parts, compiled = split(run.out, '\n')
    return (library = String(library), parts = parse(Int, parts), compiled = parse(Int, compiled))
end

"Where the object files of the package's last build lie."
object_files(library) = joinpath(dirname(library), "objects")

"Is what lies there what is made of nothing?"
function is_from_nothing(box, package, statements, library)
    found = read(library)
    rm(object_files(library))
    again = build_parts(box, package, statements)
    return again.compiled == again.parts && read(again.library) == found
end

@testset "a statement more, a function changed" begin
    box = Box()
    source = package_source("Generated", 64)
    add_package(box, "Generated", source)
    session = "using Generated\nprintln([getfield(Generated, Symbol(:f, i))(3) for i in 1:64 if i % 8 != 0])"
    julia!(box, session)
    statements = package_statements("Generated", 64)

    first = build_parts(box, "Generated", statements[1:56])
    @test first.compiled == first.parts > 4
    same = build_parts(box, "Generated", statements[1:56])
    @test (same.parts, same.compiled) == (first.parts, 0)
    more = build_parts(box, "Generated", statements)
    @test 0 < more.compiled < more.parts / 2
    @test is_from_nothing(box, "Generated", statements, more.library)

    changed = replace(source, "x > 63 ?" => "x > 2 ?")
    @test changed != source
    write(joinpath(box.packages, "Generated", "src", "Generated.jl"), changed)
    expected = julia!(box, session).out
    edited = build_parts(box, "Generated", statements)
    @test edited.library != more.library
    @test 0 < edited.compiled < edited.parts / 2
    cached = string("using NativeCache\n", session, "\nprint(stderr, length(NativeCache.status(\"Generated\").installed))")
    run = julia!(box, cached)
    @test run.out == expected
    @test parse(Int, run.err) > 50
    @test is_from_nothing(box, "Generated", statements, edited.library)
    remove(box)
end

@testset "object files that are damaged or that others could have written" begin
    box = Box()
    add_package(box, "Generated", package_source("Generated", 24))
    julia!(box, "using Generated")
    statements = package_statements("Generated", 24)
    first = build_parts(box, "Generated", statements)
    expected, path = read(first.library), object_files(first.library)
    good = read(path)
    for (what, bytes, mode) in (("a byte changed", [good[1:end÷2]; xor(good[end÷2+1], 0x01); good[end÷2+2:end]], 0o644),
                                ("cut short", good[1:end÷2], 0o644), ("for all to write", good, 0o666))
        write(path, bytes)
        chmod(path, mode)
        again = build_parts(box, "Generated", statements)
        @test (what, again.compiled) == (what, again.parts)
        @test read(again.library) == expected
        @test read(path) == good
    end
    remove(box)
end

@testset "one package of two changes" begin
    box = Box()
    add_package(box, "Left", package_source("Left", 48))
    right = "module Right\nusing Left\nheavy(x::Int) = Left.f2(x) + 1\nlight(x::Int) = x + 1\nend"
    add_package(box, "Right", right; deps = ["Left" => Sandbox.uuid("Left")])
    julia!(box, "using Right")
    statements = [package_statements("Left", 48); "Tuple{typeof(Right.heavy), Int}"; "Tuple{typeof(Right.light), Int}"]
    both = build_parts(box, ["Right", "Left"], statements)
    write(joinpath(box.packages, "Right", "src", "Right.jl"), replace(right, "x + 1\nend" => "x + 2\nend"))
    julia!(box, "using Right")
    again = build_parts(box, ["Right", "Left"], statements)
    @test again.compiled < again.parts / 2
    run = julia!(box, "using NativeCache, Right, Left\nprint(Right.light(1), ' ', Right.heavy(1) == Left.f2(1) + 1)")
    @test run.out == "3 true"
    remove(box)
end
