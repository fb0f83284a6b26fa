# rust/native/runtime/src/load/key.rs: for each component that a command line can change, a library that was put where the
# session looks is refused with the name of that component, with both values; and without the flag it is used.

const KEY_FLAGS = [
    `-O1` => "optimization (-O)", `-O3` => "optimization (-O)", `-g2` => "debug info (-g)", `-g0` => "debug info (-g)",
    `--check-bounds=yes` => "bounds checks (--check-bounds)", `--check-bounds=no` => "bounds checks (--check-bounds)",
    `--inline=no` => "inlining (--inline)", `--math-mode=fast` => "math mode (--math-mode)",
    `--polly=no` => "polly (--polly)", `-Cgeneric` => "cpu target (-C)",
]

@testset "key" begin
    box = Box()
    add_package(box, "Keyed", "module Keyed\nf(x) = x + 1\n@noinline g(x) = sum(f(i) for i in 1:x)\nend")
    result = build(box, repr("Keyed"), ["Tuple{typeof(Keyed.f), Int64}", "Tuple{typeof(Keyed.g), Int64}"])
    @test length(result["compiled"]) == 2
    report = """
        using NativeCache, Keyed
        s = NativeCache.status("Keyed")
        println(length(s.installed), '|', s.message, '|', Keyed.g(3))
        println(string(ccall((:nativecache_key_hash, NativeCache.LIBRARY), UInt64, ()); base = 16, pad = 16))
        """
    session(flags) = split(julia!(box, report; flags = flags).out, '\n')
    hit = session(``)
    @test hit[1] == "2||9"
    key = basename(dirname(dirname(result.library)))
    @test hit[2] == key
    @testset "$flag" for (flag, component) in filter(flag -> part(string(flag.first)), KEY_FLAGS)
        # Nothing there for these flags, and nothing taken that was made for others.
        first_line, other = session(flag)
        @test startswith(first_line, "0|") && endswith(first_line, "|9")
        @test other != key
        place = replace(result.library, key => other)
        mkpath(dirname(place))
        cp(result.library, place)
        refused = session(flag)[1]
        @test startswith(refused, "0|") && endswith(refused, "|9")
        @test occursin(string(component, ": built with "), refused)
        rm(place)
    end
    @test session(``)[1] == "2||9"
    @testset "another NativeCache" begin
        # The same one, but for the stamp that its build has left in it.
        other = joinpath(box.root, "other")
        mkpath(joinpath(other, "deps", "lib"))
        for name in ("Project.toml", "src")
            cp(joinpath(ROOT, name), joinpath(other, name))
        end
        stamp = read(joinpath(ROOT, "deps", "lib", "stamp"), String)
        # Its first half: the compiler may hold the end of so short a text in instructions.
        changed = string(reverse(stamp[1:8]), stamp[9:end])
        for name in ("libnativecache.so", "libnativecache_worker.so")
            bytes = read(joinpath(ROOT, "deps", "lib", name))
            found = findfirst(stamp, String(copy(bytes)))
            @test found !== nothing
            bytes[found] = codeunits(changed)
            write(joinpath(other, "deps", "lib", name), bytes)
        end
        env = ["JULIA_LOAD_PATH" => join([box.packages, other, "@stdlib"], ':')]
        why = "NativeCache: built with 0.1.0 ($stamp), this session has 0.1.0 ($changed)"
        first_line, key = split(julia!(box, report; env = env).out, '\n')
        @test startswith(first_line, "0|") && endswith(first_line, "|9")
        @test occursin(why, first_line)
        # Put where that session looks, it is refused all the same.
        place = replace(result.library, basename(dirname(dirname(result.library))) => key)
        mkpath(dirname(place))
        cp(result.library, place)
        first_line = split(julia!(box, report; env = env).out, '\n')[1]
        @test startswith(first_line, "0|") && endswith(first_line, "|9")
        @test occursin(why, first_line)
        rm(place)
    end
    # The build id of a package is a component too: test/load.jl, "a package that was precompiled again".
    @testset "nothing is installed: $what" for (what, flags, env) in filter(case -> part(string("nothing is installed: ", case[1])), [
            ("switched off", ``, ["JULIA_NATIVECACHE" => "off"]), ("coverage", `--code-coverage=user`, []),
            ("allocations", `--track-allocation=user`, []), ("--compile=min", `--compile=min`, []), ("--compile=all", `--compile=all`, [])])
        run = julia!(box, "using NativeCache, Keyed\nprint(length(NativeCache.status(\"Keyed\").installed), Keyed.g(3))"; flags = flags, env = env)
        @test run.out == "09"
    end
    for (path, _, files) in walkdir(ROOT), file in files
        endswith(file, r"\.jl\.\d+\.(cov|mem)") && rm(joinpath(path, file))
    end
    remove(box)
end
