# Julia's sampling profiler stops the main thread by a signal, wherever that is, and unwinds its stack, for which it asks the
# loader: a thread that is stopped with the loader's lock taken is never let go again.

const PROFILED = small()

# What stands before the loader; in a folder without spaces, at which LD_PRELOAD ends a name.
const LOADER = joinpath(mktempdir(), "loader.so")
run(`cc -shared -fPIC -O2 -o $LOADER $(joinpath(ROOT, "test", "faults", "loader.c")) -ldl`)

"How libnativecache has called the loader in a session with this script: (those that a signal could interrupt, all)."
function loader_calls(script; env = Pair{String,String}[])
    log = tempname(PROFILED.box.root; cleanup = false)
    run = run_in(PROFILED.box, script; env = ["LD_PRELOAD" => LOADER, "LOADER_LOG" => log, env...])
    lines = isfile(log) ? unique(readlines(log)) : String[]
    rm(log; force = true)
    return run, [line[6:end] for line in lines if startswith(line, "open ")], sort!(unique([line[6:end] for line in lines]))
end

@testset "no signal interrupts what asks the loader" begin
    # All that asks it: linking, a library of which nothing is used, a trace, and the end of the session.
    t = PROFILED
    few = joinpath(dirname(t.library), "few.so")
    write(few, t.few)
    run, interrupted, all = loader_calls("""
        using NativeCache
        $SMALL_BODY
        ccall((:nativecache_link, NativeCache.LIBRARY), Int64, (Cstring, Any, Ptr{UInt32}),
            $(repr(few)), Base.loaded_modules_array(), zeros(UInt32, 16)) >= 0 || error("not linked")
        NativeCache.trace!()
        """)
    @test (run.out, run.err, run.code, run.hung) == (SMALL_OUT, "", 0, false)
    @test isempty(interrupted)
    @test all == ["dl_iterate_phdr", "dladdr", "dlclose", "dlopen"]
    rm(few)
end

@testset "profiled while a library is linked" begin
    # The lock is held for longer than it takes the profiler to come.
    t = PROFILED
    run, = loader_calls("""
        import Profile
        Profile.init(n = 1_000_000, delay = 0.001)
        Profile.start_timer()
        using NativeCache
        $SMALL_BODY
        Profile.stop_timer()
        print(length(Profile.fetch()) > 0, " ", length(NativeCache.status("Small").installed))
        """; env = ["LOADER_HOLD" => "20000"])
    @test run.out == string(SMALL_OUT, "true ", length(SMALL_STATEMENTS)) && run.err == ""
    @test (run.code, run.hung) == (0, false)
end

# As a writer of libraries would make them, each other than the one before: a number in the text of a statement, which
# nothing reads but the account. All are linked, and of all but the first nothing is used, so they go again.
function many_libraries(count)
    cargo = Sys.which("cargo") === nothing ? joinpath(homedir(), ".cargo", "bin", "cargo") : "cargo"
    run(setenv(`$cargo build --release --locked --quiet --package nativecache-image --example forge`; dir = ROOT))
    forge = joinpath(ROOT, "target", "release", "examples", "forge")
    folder = mktempdir(PROFILED.box.root)
    hex(text) = bytes2hex(collect(codeunits(text)))
    paths = [joinpath(folder, "$number.so") for number in 1:count]
    for (number, path) in enumerate(paths)
        run(`$forge $(PROFILED.library) $path $(hex("typeof(Small.spin)")) $(hex(string("typeof(Small.s", lpad(number, 3, '0'), ")")))`)
    end
    counted!("libraries linked under the profiler", count)
    return folder
end

@testset "hundreds of linkings under the profiler" begin
    count = points(300, 900)
    folder = many_libraries(count)
    run = run_in(PROFILED.box, """
        import Profile
        using NativeCache
        $SMALL_BODY
        const COUNTS = zeros(UInt32, 16)
        link(path) = ccall((:nativecache_link, NativeCache.LIBRARY), Int64, (Cstring, Any, Ptr{UInt32}),
            path, Base.loaded_modules_array(), COUNTS)
        function rounds(folder)
            linked, samples = 0, 0
            for (number, name) in enumerate(readdir(folder; join = true))
                linked += link(name) >= 0
                number % 10 == 0 && NativeCache.trace!()
                samples += Profile.len_data()
                Profile.clear()
            end
            return linked, samples
        end
        Profile.init(n = 1_000_000, delay = 0.0001)
        Profile.start_timer()
        linked, samples = rounds($(repr(folder)))
        Profile.stop_timer()
        println(linked, " ", samples > 0, " ", length(NativeCache.status("Small").installed))
        $SMALL_BODY
        """)
    @test run.out == string(SMALL_OUT, count, " true ", length(SMALL_STATEMENTS), "\n", SMALL_OUT)
    @test run.err == "" && (run.code, run.hung) == (0, false)
    rm(folder; recursive = true)
end

remove(PROFILED.box)
