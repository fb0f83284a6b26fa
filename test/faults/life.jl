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
        """; limit = 300)
    @test run.out == "3333 true true 0\n$SMALL_OUT"
    @test run.code == 0
    println("  10,000 libraries in one process: ", run.err, " more")
    remove(t.box)
end

@testset "hundreds of libraries" begin
    # As weeks of updates of many packages leave them: all of them whole, of builds that are there, one built last.
    t = small()
    for other in 1:300
        path = joinpath(dirname(dirname(t.library)), "Small$other-c0ffee00", basename(t.library))
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
