# Long life: what comes and goes in one process leaves neither memory nor mappings behind.

@testset "10,000 loads and retirements in one process" begin
    t = small()
    run = run_in(t.box, """
        using NativeCache, Small
        const GOOD = read($(repr(t.library)))
        const FOLDER = $(repr(dirname(t.library)))
        const COUNTS = zeros(UInt8, 64)
        link(path) = ccall((:nativecache_link, NativeCache.LIBRARY), Int64, (Cstring, Any, Ptr{UInt8}),
            path, Base.loaded_modules_array(), COUNTS)
        rss() = parse(Int, split(read("/proc/self/statm", String))[2]) * 4096
        mappings() = countlines("/proc/self/maps")
        handles() = length(readdir("/proc/self/fd"))
        function one(round)
            # A library comes, is linked, is retired; one in three is damaged, one in three is not for this session.
            path = joinpath(FOLDER, string(round, ".so"))
            bytes = GOOD
            if round % 3 == 1
                bytes = copy(GOOD)
                bytes[1 + round % length(bytes)] ⊻= 0x40
            elseif round % 3 == 2
                bytes = GOOD[1:end - 1 - round % 1000]
            end
            write(path, bytes)
            id = link(path)
            ccall((:nativecache_loaded, NativeCache.LIBRARY), Cvoid, ())
            rm(path)
            return id >= 0
        end
        linked = sum(one(round) for round in 1:1000)
        GC.gc()
        before = (rss(), mappings(), handles())
        linked += sum(one(round) for round in 1001:10_000)
        GC.gc()
        after = (rss(), mappings(), handles())
        println(linked, " ", (after[1] - before[1]) / 1e6 < 20, " ", after[2] - before[2] < 20, " ", after[3] - before[3])
        print(stderr, (after[1] - before[1]) / 1e6, " MB, ", after[2] - before[2], " mappings")
        $SMALL_BODY
        """)
    @test run.out == "3333 true true 0\n$SMALL_OUT"
    @test run.code == 0
    println("  10,000 libraries in one process: ", run.err, " more")
    remove(t.box)
end

@testset "a library of which nothing is used" begin
    # All that it has, the session has from another library: its code does not stay mapped.
    t = small()
    few = joinpath(dirname(t.library), "few.so")
    write(few, t.few)
    run = run_in(t.box, """
        using NativeCache
        $SMALL_BODY
        const COUNTS = zeros(UInt32, 16)
        link(path) = ccall((:nativecache_link, NativeCache.LIBRARY), Int64, (Cstring, Any, Ptr{UInt32}),
            path, Base.loaded_modules_array(), COUNTS)
        mapped() = length(unique(split(line)[end] for line in eachline("/proc/self/maps") if occursin("nativecache/v1.5", line)))
        roots = length(NativeCache.ROOTS)
        for path in ($(repr(few)), $(repr(t.library)), $(repr(few)))
            link(path) >= 0 || error("not linked")
            GC.gc()
        end
        println(mapped(), " ", length(NativeCache.ROOTS) - roots, " ", length(NativeCache.status("Small").installed))
        $SMALL_BODY
        """)
    @test run.out == string(SMALL_OUT, "1 0 ", length(SMALL_STATEMENTS), "\n", SMALL_OUT)
    @test run.err == "" && run.code == 0
    remove(t.box)
end

if FULL
    @testset "a week of sessions" begin
        # Packages change, sessions learn and update; the store stays within its cap all the time, and ends small.
        box = copy_depot(Box(); images = true)
        names = ["Week$letter" for letter in 'A':'H']
        source(name, day) = "module $name\n@noinline f(::Val{N}) where {N} = (N, $day)\nend"
        cap = 4 * length(TEMPLATE.good)
        env = ["JULIA_NATIVECACHE_MAX_SIZE" => string(cap)]
        total() = sum([filesize(joinpath(folder, name)) for (folder, _, names) in walkdir(store_of(box)) for name in names if endswith(name, ".so")])
        most, sessions = 0, 0
        for day in 1:7
            for name in names[1:(day == 1 ? 8 : 4)]
                add_package(box, name, source(name, day))
            end
            for hour in 1:30
                name = names[mod1(hour, 8)]
                run = run_in(box, "using NativeCache, $name\nprint($name.f(Val($hour))[1])"; env = env)
                @test run.out == string(hour) && run.err == ""
                sessions += 1
            end
            run = run_in(box, "using NativeCache; print(all(r -> r.library !== nothing, NativeCache.update!(quiet = true)))"; env = env)
            @test run.out == "true" && run.err == ""
            @test 0 < total() <= cap
            most = max(most, total())
        end
        println("  a week: ", sessions, " sessions, at most ", most, " of ", cap, " bytes")
        @test isempty(leftovers(box)) && isempty(processes_with(box.root))
        remove(box)
    end
end

@testset "hundreds of libraries" begin
    # As weeks of updates of many packages leave them: all of them whole, of builds that are there, one built last.
    t = small()
    for other in 1:300
        path = joinpath(dirname(dirname(t.library)), "Small$other-c0ffee00000040008000000000000000", basename(t.library))
        mkpath(dirname(path))
        cp(t.library, path)
        ccall(:utimes, Cint, (Cstring, Ptr{Int}), path, Int[1_000_000_000 + other, 0, 1_000_000_000 + other, 0])
    end
    cap = 10 * length(t.good)
    run = run_in(t.box, build_script(); env = ["JULIA_NATIVECACHE_MAX_SIZE" => string(cap)])
    @test run.out == "built" && run.err == ""
    left = [joinpath(folder, name) for (folder, _, names) in walkdir(store_of(t.box)) for name in names if endswith(name, ".so")]
    @test t.library in left && sum(filesize, left) <= cap
    unharmed(run_in(t.box, SMALL_SESSION))
    remove(t.box)
end
