# Trust: nothing is loaded from where somebody else could have put it; what we make, others cannot
# write to; no shell sees a name; the worker's environment is the session's.

const TRUSTED = small()

@testset "who else can write to it" begin
    # Every place on the way to the library, opened to others one at a time, in one session.
    t = TRUSTED
    script = raw"""
        using NativeCache, Small
        function reason(path)
            counts = zeros(UInt8, 64)
            id = ccall((:nativecache_link, NativeCache.LIBRARY), Int64, (Cstring, Any, Ptr{UInt8}),
                path, Base.loaded_modules_array(), counts)
            code = reinterpret(Int32, counts[33:36])[1]
            return code == 0 ? :none : NativeCache.reason_name(code)
        end
        places = String[LIBRARY_PATH]
        while dirname(places[end]) != dirname(BOX_ROOT)
            push!(places, dirname(places[end]))
        end
        for place in places
            mode = filemode(place) & 0o7777
            found = map((mode | 0o002, isdir(place) ? mode | 0o1007 : mode)) do changed
                chmod(place, changed)
                reason(LIBRARY_PATH)
            end
            chmod(place, mode)
            # The sticky bit keeps others from replacing what is in a folder.
            println(relpath(place, BOX_ROOT), "\t", found[1], "\t", found[2], "\t", reason(LIBRARY_PATH))
        end
        if ccall(:geteuid, Cuint, ()) == 0
            for place in places
                chown(place, 4242)
                print(reason(LIBRARY_PATH), " ")
                chown(place, 0)
                mode = filemode(place) & 0o7777
                chown(place, 0, 4242)
                chmod(place, mode | 0o020)
                print(reason(LIBRARY_PATH), " ")
                chown(place, 0, 0)
                chmod(place, mode)
            end
        end
        print(reason(LIBRARY_PATH))
        """
    run = run_in(t.box, "const LIBRARY_PATH, BOX_ROOT = $(repr(t.library)), $(repr(t.box.root))\n$script")
    @test run.err == "" && run.code == 0
    lines = split(run.out, '\n')
    rows = split.(lines[1:end-1], '\t')
    @test length(rows) == 7     # library, package, key, v1.5, nativecache, depot, box
    @test all(row -> row[2:end] == ["Untrusted", "none", "none"], rows)
    @test lines[end] == (ccall(:geteuid, Cuint, ()) == 0 ? "Untrusted "^14 : "") * "none"
end

@testset "a session and a build say so" begin
    t = TRUSTED
    for (place, mode) in ((t.library, 0o646), (joinpath(t.box.depot, "nativecache"), 0o777))
        before = filemode(place) & 0o7777
        chmod(place, mode)
        run = run_in(t.box, SMALL_STATUS)
        @test startswith(run.out, string(SMALL_OUT, "0 "))
        @test occursin("everybody can write to it", run.out) && occursin(place, run.out) && run.err == ""
        chmod(place, before)
    end
    chmod(store_of(t.box), 0o757)
    run = run_in(t.box, build_script())
    @test occursin("everybody can write to it (mode 757)", run.out)
    @test read(t.library) == t.good
    chmod(store_of(t.box), 0o755)
end

@testset "a depot through a link" begin
    t = TRUSTED
    link = joinpath(t.box.root, "linked depot")
    symlink(t.box.depot, link)
    run = run_in(t.box, SMALL_FOUND; depot = link)
    warm(run)
    rm(link)
end

@testset "umask $mask" for mask in ("000", "077")
    # What Julia and we put into the depot is made under this umask.
    box = copy_depot(Box(TEMPLATE.box.packages); images = true)
    wrapper = `sh -c "umask $mask; exec \"\$@\"" sh`
    made = run_in(box, build_script(); wrapper = wrapper)
    @test made.out == "built" && made.err == ""
    for (folder, names, files) in walkdir(joinpath(box.depot, "nativecache")), name in [names; files]
        mode = filemode(joinpath(folder, name))
        @test mode & 0o022 == 0
        mask == "077" && @test mode & 0o077 == 0
    end
    run = run_in(box, SMALL_FOUND; wrapper = wrapper)
    warm(run)
    remove(box)
end

@testset "names that a shell would run" begin
    packages = mktempdir(; prefix = "a \$(touch pwned); `touch pwned` ' \" & ")
    box = Box(packages)
    add_package(box, "Small", SMALL)
    depot = joinpath(box.root, "depot \$(touch pwned) ; touch pwned")
    copy_depot(depot; images = true)
    report = joinpath(box.root, "environment")
    linker = joinpath(box.root, "my linker; touch pwned")
    write(linker, "#!/bin/sh\nenv -0 > '$report'\nexec cc \"\$@\"\n")
    chmod(linker, 0o755)
    env = ["A_VARIABLE" => "of the session", "JULIA_NUM_THREADS" => "2"]
    made = run_in(box, """print(stderr, join(sort!(collect(keys(ENV))), ' '))\n""" *
        build_script(; keywords = "linker = $(repr(linker))"); env = env, depot = depot)
    @test made.out == "built"
    warm(run_in(box, SMALL_STATUS; depot = depot))
    for folder in (box.root, packages, depot, pwd(), ROOT)
        @test !ispath(joinpath(folder, "pwned"))
    end
    # The linker's environment is the worker's, and that one's the session's but for what makes the worker the same.
    seen = Dict(Pair(split(line, '='; limit = 2)...) for line in split(read(report, String), '\0'; keepempty = false))
    @test seen["A_VARIABLE"] == "of the session"
    ours = ["JULIA_LOAD_PATH", "JULIA_DEPOT_PATH", "JULIA_NATIVECACHE", "JULIA_NUM_THREADS", "JULIA_PROJECT", "NATIVECACHE_BUILDS"]
    # PWD, _ and their like are the shell's that the linker here is.
    @test setdiff(keys(seen), split(made.err, ' '), ours, ["_", "SHLVL", "PWD", "OLDPWD"]) |> isempty
    @test setdiff(split(made.err, ' '), keys(seen), ours) |> isempty
    remove(box)
    rm(packages; recursive = true)
end

@testset "a work folder is nobody else's" begin
    t = TRUSTED
    linker = joinpath(t.box.root, "linker.sh")
    write(linker, "#!/bin/sh\nls -ld \"$(store_of(t.box))\"/build-*\nexit 1\n")
    chmod(linker, 0o755)
    listing = joinpath(t.box.root, "listing")
    write(linker, "#!/bin/sh\nstat -c %a \"$(store_of(t.box))\"/build-* > '$listing'\nexit 1\n")
    run = run_in(t.box, build_script(; keywords = "linker = $(repr(linker))"); wrapper = `sh -c "umask 000; exec \"\$@\"" sh`)
    @test read(listing, String) == "700\n"
    @test occursin("linker", run.out) && read(t.library) == t.good
end

remove(TRUSTED.box)
