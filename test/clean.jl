# src/clean.jl: gc!, clear!.

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
    store = joinpath(box.depot, "nativecache", "v1.5")
    ask(call) = julia!(box, "using NativeCache\nlist = NativeCache.$call\nfor item in list\nprintln(item.removed, '\\t', item.path, '\\t', item.why, '\\t', item.kept)\nend").out
    @test ask("gc!()") == ""
    @test all(isfile, (plain, second, third))

    # Not ours, or of no use: the package's .ji is gone; damaged; a profile without a package; an old work folder.
    foreign = joinpath(dirname(plain), "0123456789abcdef.so")
    cp(joinpath(ROOT, "deps", "lib", "libnativecache.so"), foreign)
    note = joinpath(dirname(plain), "notes.txt")
    write(note, "mine")
    foreach(file -> endswith(file, ".ji") && rm(joinpath(box.depot, "compiled", "v1.5", "Plain", file)),
        readdir(joinpath(box.depot, "compiled", "v1.5", "Plain")))
    bytes = read(second)
    bytes[length(bytes)÷2] ⊻= 0x01
    write(second, bytes)
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
    @test occursin("false\t$former\tit lies where an earlier NativeCache kept profiles", said)
    @test occursin("$old\ta build left it behind", said)
    @test occursin("object files for the next build of a package that has no library here", said)
    @test count(==('\n'), said) == 7
    @test all(ispath, (plain, second, third, profile, former, old))
    said = ask("gc!()")
    @test length(collect(eachmatch(r"^true\t"m, said))) == 7
    @test !any(ispath, (plain, second, profile, dirname(profile), old, dirname(old)))
    @test isfile(foreign) && read(note, String) == "mine" && isfile(third)

    # Over the cap, but a running session has it mapped.
    said = julia!(box, "using NativeCache, Third\nshow(stdout, MIME(\"text/plain\"), NativeCache.gc!(max_size = 0))").out
    @test occursin("kept: a running process uses it", said) && isfile(third)
    @test occursin("true\t$third\tall together is larger than 0.0 kB", ask("gc!(max_size = 0)"))
    @test !isfile(third)
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
