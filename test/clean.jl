# src/store/clean.jl: gc!, clear!.

@testset "what is of no use goes, the rest stays" begin
    box = Box()
    for name in ("Plain", "Second", "Third")
        add_package(box, name, "module $name\nf(x) = x + 1\nend")
    end
    out = julia!(box, raw"""
        using NativeCache, Plain, Second, Third
        for mod in (Plain, Second, Third)
            println(NativeCache.build(mod; quiet = true, statements = [(mod.f, (Int,))]).library)
        end
        """).out
    plain, second, third = split(chomp(out), "\n")
    store = joinpath(box.depot, STORE_FOLDER)
    ask(call) = julia!(box, "using NativeCache\nlist = NativeCache.$call\nfor item in list\nprintln(item.removed, '\\t', item.path, '\\t', item.why, '\\t', item.kept)\nend").out
    @test ask("gc!()") == ""
    @test all(isfile, (plain, second, third))

    # Not ours, or of no use: the package's .ji is gone; damaged; a profile without a package; an old work folder.
    foreign = joinpath(dirname(plain), COMPANIONS ? "$("0123456789abcdef"^2)-0123456789abcdef.so" : "0123456789abcdef.so")
    cp(NativeCache.LIBRARY, foreign)
    note = joinpath(dirname(plain), "notes.txt")
    write(note, "mine")
    compiled = joinpath(box.depot, "compiled", basename(STORE_FOLDER), "Plain")
    foreach(file -> endswith(file, ".ji") && rm(joinpath(compiled, file)), readdir(compiled))
    bytes = read(native_file(second))
    bytes[length(bytes)÷2] ⊻= 0x01
    write(native_file(second), bytes)
    # The first of a library's files stands for it; its others go with it.
    gone = [library_files(plain); library_files(second)]
    profile = joinpath(store, "profiles", "Gone-0123456789abcdef0123456789abcdef", "trace.profile")
    mkpath(dirname(profile))
    write(profile, "# NativeCache profile\n")
    # Where folders had eight digits of a uuid, nobody looks any more; the package is there.
    former = joinpath(store, "profiles", "Second-c0ffee00", "trace.profile")
    mkpath(dirname(former))
    write(former, "# NativeCache profile\n")
    old = joinpath(store, "build-old", "journal")
    mkpath(dirname(old))
    write(old, "")

    said = ask("gc!(dry_run = true)")
    @test occursin("false\t$plain\tno .ji file of Plain has this build any more", said)
    @test occursin("false\t$second\tthe library's content is damaged", said)
    @test occursin("false\t$profile\tpackage Gone-0123456789abcdef0123456789abcdef is not installed", said)
    @test occursin("false\t$former\tit is in a folder where an earlier NativeCache kept profiles", said)
    @test occursin("$old\ta build left it behind", said)
    COMPANIONS || @test occursin("object files for the next build of a package that has no library here", said)
    @test all(file -> occursin("false\t$file\t", said), gone)
    total = length(gone) + (COMPANIONS ? 3 : 5)
    @test count(==('\n'), said) == total
    @test all(ispath, (plain, second, third, profile, former, old))
    said = ask("gc!()")
    @test length(collect(eachmatch(r"^true\t"m, said))) == total
    @test !any(ispath, [gone; profile; dirname(profile); old; dirname(old)])
    @test isfile(foreign) && read(note, String) == "mine" && isfile(third)

    # Over the cap, but a running session has it mapped.
    said = julia!(box, "using NativeCache, Third\nshow(stdout, MIME(\"text/plain\"), NativeCache.gc!(max_size = 0))").out
    @test occursin("kept: a running process uses it", said) && all(isfile, library_files(third))
    @test !COMPANIONS || length(library_files(third)) == (VERSION < v"1.11" ? 6 : 5)
    files = library_files(third)
    @test occursin("true\t$third\tall files together are larger than 0.0 kB", ask("gc!(max_size = 0)"))
    @test !any(ispath, files)
    # All of ours, and nothing else, whatever it is called.
    julia!(box, "using NativeCache\nNativeCache.clear!()")
    @test isfile(foreign) && read(note, String) == "mine" && readdir(dirname(foreign)) == sort(basename.([foreign, note]))
    remove(box)
end

@testset "without trace" begin
    box = Box()
    for name in ("Plain", "Second")
        add_package(box, name, "module $name\nf(x) = x + 1\nend")
    end
    code = "using NativeCache, Plain, Second\nfor mod in (Plain, Second)\nNativeCache.build(mod; quiet = true, statements = [(mod.f, (Int,))])\nend\n"
    # In a session that has it linked: what runs goes on running.
    out = julia!(box, "$code\nprint(length(NativeCache.clear!(Plain)), length(NativeCache.libraries()), Plain.f(1))").out
    @test occursin(r"^\d+12$", out)
    # What this session has loaded it can still tell of, whoever removes the files.
    out = julia!(box, """
        using NativeCache
        foreach(name -> NativeCache.build(name; quiet = true, statements = ["Tuple{typeof(\$name.f), Int64}"]), ("Plain", "Second"))
        """).out
    out = julia!(box, """
        using NativeCache, Plain, Second
        NativeCache.clear!()
        print(length(NativeCache.status("Plain").installed), sprint(show, MIME("text/plain"), NativeCache.status()), Plain.f(1))
        """).out
    @test startswith(out, "1package") && endswith(out, "2")
    julia!(box, "using NativeCache\nNativeCache.clear!()")
    @test !ispath(joinpath(box.depot, "nativecache"))
    julia!(box, "using NativeCache\nNativeCache.clear!()")
    # What is above a store is not NativeCache's, though it be empty and have its name.
    depot = joinpath(box.root, "nativecache", "nativecache-depot")
    out = julia!(box, """
        using NativeCache
        pushfirst!(DEPOT_PATH, $(repr(depot)))
        mkpath(joinpath($(repr(depot)), NativeCache.STORE))
        touch(joinpath($(repr(depot)), NativeCache.STORE, "background.log"))
        print(length(NativeCache.clear!()), readdir($(repr(depot))))
        """).out
    @test out == "1String[]"
    remove(box)
end

# A build puts the source of a companion into its place first.
COMPANIONS && @testset "files of a build that did not come to its end" begin
    box = Box()
    add_package(box, "Plain", "module Plain\nf(x) = x + 1\nend")
    path = build(box, repr("Plain"), ["Tuple{typeof(Plain.f), Int64}"]).library
    source = only(filter(endswith(".jl"), library_files(path)))
    left = replace(source, r"-[0-9a-f]{16}\.jl$" => "-0123456789abcdef")
    foreach(ending -> cp(replace(source, r"jl$" => ending), "$left.$ending"), ("jl", "txt"))
    cp(source, "$source.tmp-123")
    work = joinpath(box.depot, STORE_FOLDER, "build-now")
    mkpath(work)
    ask = "using NativeCache\nprint(length(NativeCache.gc!()))"
    # While somebody builds they may be that one's.
    holding = """
        using NativeCache
        lock = NativeCache.take_lock($(repr(joinpath(work, "lock"))))
        print(length(NativeCache.gc!()))
        """
    @test julia!(box, holding).out == "0" && isfile("$left.jl")
    @test julia!(box, ask).out == "4"
    @test !any(ispath, ("$left.jl", "$left.txt", "$source.tmp-123", work)) && all(isfile, library_files(path))
    # Another NativeCache's, which no session loads any more: this one makes its own image.
    alone = VERSION < v"1.11" ? box.depot : string(box.depot, ':')
    said = julia!(box, "using NativeCache\nprint(NativeCache.gc!().items[1].why)"; env = ["JULIA_DEPOT_PATH" => alone]).out
    @test occursin("another NativeCache has built it", said) && !ispath(path)
    remove(box)
end
