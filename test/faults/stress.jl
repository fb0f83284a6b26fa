# Stress of the runtime: collections at every moment, the collector off and on, threads that call
# cached code while packages load. No object of a slot is ever freed.

const LETTERS = points('A':'C', 'A':'E')

const STRESSED = let box = copy_depot(Box(); images = true)
    for letter in LETTERS
        add_package(box, "Part$letter", """
            module Part$letter
            const NAMES = Dict("x" => [1, 2, 3])
            mutable struct Box; value::Any; end
            work(n::Int) = (b = Box(string("n", n)); push!(get!(NAMES, string(n % 7), Int[]), n); string(b.value, length(NAMES["x"]), :symbol$letter, (1, "t", 2.5)))
            text(n::Int) = join(string.("$letter", 1:n), "-")
            end
            """)
    end
    add_package(box, "Small", SMALL)
    (box = box, library = build(box, repr("Small"), SMALL_STATEMENTS).library)
end
for letter in LETTERS
    result = build(STRESSED.box, repr("Part$letter"), ["Tuple{typeof(Part$letter.$f),Int64}" for f in ("work", "text")])
    @test length(result["compiled"]) == 2
end

@testset "a collection between any two calls" begin
    run = run_in(STRESSED.box, """
        using NativeCache, Small, PartA
        function rounds(n)
            for i in 1:n
                items = [Small.lookup("one"), Small.lookup("two")]
                GC.gc(i % 20 == 0)
                Small.total(items) == 3.0 || error("total")
                GC.gc(false)
                Small.show_all(items) == "one=1.0, two=2.0" || error("show_all")
                GC.gc(false)
                (try Small.fail(3) catch e; e.msg end) == "n is 3" || error("fail")
                GC.gc(false)
                startswith(PartA.work(i), "n") || error("work")
            end
        end
        rounds($(points(60, 2000)))
        # Off and on again, as a program may do; ours counts, and leaves it as it was.
        GC.enable(false)
        rounds(5)
        @eval using PartB
        println(GC.enable(true), " ", PartB.text(3))
        @eval using PartC
        println(GC.enable(true), " ", PartC.text(3))
        print(length(NativeCache.status("PartA").installed), length(NativeCache.status("PartB").installed), length(NativeCache.status("PartC").installed))
        """)
    @test run.out == "false B1-B2-B3\ntrue C1-C2-C3\n222"
    @test run.err == "" && run.code == 0
end

@testset "no object of a slot is freed" begin
    # The collector is asked what lies at each slot's address, before and after collections.
    t = STRESSED
    run = run_in(t.box, """
        ccall(:jl_gc_enable_conservative_gc_support, Cint, ())
        using NativeCache, Small, PartA, PartC, Libdl
        base(p) = ccall(:jl_gc_internal_obj_base_ptr, Ptr{Cvoid}, (Ptr{Cvoid},), p)
        tag(p) = unsafe_load(Ptr{UInt}(p - 8)) & ~UInt(15)
        function objects()
            found = Dict{Ptr{Cvoid},UInt}()
            slots = 0
            for library in NativeCache.found()
                counts = zeros(UInt32, 16)
                id = ccall((:nativecache_link, NativeCache.LIBRARY), Int64, (Cstring, Any, Ptr{UInt32}),
                    library.path, Base.loaded_modules_array(), counts)
                id == library.id || error("linked twice")
                table = Ptr{Ptr{Cvoid}}(dlsym(dlopen(library.path), :nativecache_slots))
                for i in 1:counts[8]
                    p = unsafe_load(table, i)
                    slots += 1
                    p != C_NULL && UInt(p) % 8 == 0 && base(p) == p && (found[p] = tag(p))
                end
            end
            return slots, found
        end
        slots, before = objects()
        for round in 1:10
            GC.gc()
            [string(i) for i in 1:100_000]      # to be put where something was freed
            [Any[i] for i in 1:100_000]
        end
        lost = count(p -> base(p) != p || tag(p) != before[p], keys(before))
        # All of them are held by our roots, or by what holds their like in every session.
        print(slots > 100, " ", length(before) > 10, " ", lost)
        print(stderr, slots, " slots, ", length(before), " objects of the collector's")
        """)
    @test run.out == "true true 0"
    println("  slots: ", run.err, ", none freed")
end

@testset "8 threads call cached code while packages load" begin
    # Julia 1.5 makes no more threads than there are cores; it is told that there are 8.
    folder = mktempdir()
    source, cores = joinpath(folder, "cores.c"), joinpath(folder, "cores.so")
    write(source, """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <unistd.h>
        long sysconf(int name) {
            static long (*real)(int);
            if (name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF) return 8;
            if (!real) real = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
            return real(name);
        }
        """)
    run(`cc -shared -fPIC -o $cores $source -ldl`)
    result = run_in(STRESSED.box, """
        using NativeCache, Small, PartA, Base.Threads
        nthreads() == 8 || error("threads")
        const STOP = Atomic{Bool}(false)
        const CALLS = Atomic{Int}(0)
        function caller()
            while !STOP[]
                items = [Small.lookup("one"), Small.lookup("two")]
                Small.total(items) == 3.0 || error("total")
                Small.show_all(items) == "one=1.0, two=2.0" || error("show_all")
                PartA.text(3) == "A1-A2-A3" || error("text")
                # A look at the cache from another thread: it waits for no one and holds no one up.
                ccall((:nativecache_owns, NativeCache.LIBRARY), Cint, (Ptr{Cvoid},), C_NULL)
                atomic_add!(CALLS, 1)
                GC.safepoint()
            end
        end
        STOP[] = true; caller(); STOP[] = false
        tasks = [Threads.@spawn caller() for _ in 1:7]
        for name in $([Symbol("Part", letter) for letter in LETTERS[2:end]])
            @eval using \$name
            GC.gc()
        end
        sleep(0.2)
        STOP[] = true
        foreach(wait, tasks)
        print(CALLS[] > 1000, " ", Part$(LETTERS[end]).text(2), " ", unique([length(NativeCache.status("Part\$letter").installed) for letter in $LETTERS]))
        """; env = ["JULIA_NUM_THREADS" => "8", "LD_PRELOAD" => cores])
    rm(folder; recursive = true)
    @test result.out == "true $(LETTERS[end])1-$(LETTERS[end])2 [2]"
    @test result.err == "" && result.code == 0 && !result.hung
end

remove(STRESSED.box)
