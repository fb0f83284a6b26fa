# Settings: whatever bytes a preference file has, a session is as it would be without the bad lines, and both
# readers, the one of src/settings/config.jl and the one that sessions use (rust/session), find the same.

# What mutations are made of: words of the grammar, bytes that tear it, and the corpus of the fuzzer of rust/session's.
const SETTING_WORDS = ["auto", "trace", "linker", "timeout", "max_size", "fade", "nonsense", " = ", "=", "\"", "\"now\"", "now",
    "off", "no", "# a comment", "#", "\n", "\r\n", " ", "\t", "2 GB", "-1", "1e999", "[section]", "\\", "\u00e9", "\u2028", "é = é"]

const SETTINGS_CORPUS = joinpath(ROOT, "rust", "native", "image", "fuzz", "corpus", "settings")

"A random file: words and bytes, or one of the corpus with some of its bytes changed."
function random_settings(rng, corpus)
    if rand(rng, Bool) && !isempty(corpus)
        bytes = copy(rand(rng, corpus))
        for _ in 1:rand(rng, 1:8)
            isempty(bytes) && break
            at = rand(rng, 1:length(bytes))
            what = rand(rng, 1:3)
            what == 1 ? (bytes[at] = rand(rng, UInt8)) : what == 2 ? deleteat!(bytes, at) :
                splice!(bytes, at:at-1, collect(codeunits(rand(rng, SETTING_WORDS))))
        end
        return bytes
    end
    io = IOBuffer()
    for _ in 1:rand(rng, 0:30)
        rand(rng) < 0.9 ? print(io, rand(rng, SETTING_WORDS)) : write(io, rand(rng, UInt8))
    end
    return take!(io)
end

"What a session reads for a setting; `nothing` if the file has none for it."
function session_preference(path, name)
    text = NativeCache.taken(ccall((:nativecache_preference, NativeCache.LIBRARY), Ptr{UInt8}, (Cstring, Cstring), path, name))
    return isempty(text) ? nothing : String(text[2:end])
end

@testset "any file, read by both" begin
    rng = Random.MersenneTwister(FULL ? rand(UInt32) : 0x7)
    corpus = [read(joinpath(SETTINGS_CORPUS, name)) for name in readdir(SETTINGS_CORPUS)]
    folder = mktempdir()
    path = joinpath(folder, "NativeCache.toml")
    names = NativeCache.setting_names()
    count = points(2000, 200_000)
    bad = UInt8[]
    reported = kept = 0
    for round in 1:count
        bytes = round <= length(corpus) ? corpus[round] : random_settings(rng, corpus)
        write(path, bytes)
        found, problems = NativeCache.read_preferences(path)
        same = all(name -> get(found, name, (nothing,))[1] == session_preference(path, name), names)
        # Every line is a setting, a report, or nothing.
        lines = [line for line in split(String(copy(bytes)), '\n')]
        is_blank(line) = (text = strip(line, [' ', '\t', '\r', '\v', '\f']); isempty(text) || startswith(text, '#'))
        said = filter(line -> !isvalid(line) || '\0' in line || !is_blank(line), lines)
        counts = length(said) == length(found) + length(problems)
        kept += length(found)
        reported += length(problems)
        same && counts || (bad = bytes; break)
    end
    isempty(bad) || println("  settings: the readers differ over ", repr(String(copy(bad))))
    @test isempty(bad)
    @test kept > count ÷ 20 && reported > count
    counted!("files of settings", count)
    rm(folder; recursive = true)
end

@testset "a damaged file, in sessions and builds" begin
    t = small()
    config = joinpath(t.box.depot, "config", "NativeCache.toml")
    mkpath(dirname(config))
    garbage = rand(Random.MersenneTwister(2), UInt8, 3000)
    write(config, [garbage; codeunits("\ntrace = maybe\nlinker = cc gcc\nlinker = \"no-such-linker\"\ntimeout = 60\n"); garbage])
    unharmed(run_in(t.box, SMALL_SESSION))
    # The good lines count; a build says which do not, once.
    run = run_in(t.box, build_script())
    @test occursin("no-such-linker", run.out) && run.code == 0
    @test occursin("passed over in the settings", run.err) && occursin("linker = cc gcc", run.err)
    @test length(collect(eachmatch(r"passed over in the settings", run.err))) == 1
    for put in (path -> mkdir(path), path -> Base.run(`mkfifo $path`), path -> symlink(path, path), path -> symlink("/dev/zero", path))
        rm(config)
        put(config)
        unharmed(run_in(t.box, SMALL_SESSION))
        run = run_in(t.box, build_script())
        @test run.out == "built" && !run.hung
    end
    remove(t.box)
end
