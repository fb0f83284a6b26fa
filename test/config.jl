# src/settings/config.jl: keyword > environment > NativeCache.toml of project, of depots > default.

settings_file(folder...) = joinpath(OWN_DEPOT, folder..., "NativeCache.toml")

function with_settings(body, pairs...)
    old = Base.ACTIVE_PROJECT[]
    try
        for (path, text) in pairs
            mkpath(dirname(path))
            write(path, text)
        end
        Base.ACTIVE_PROJECT[] = joinpath(OWN_DEPOT, "project", "Project.toml")
        mkpath(joinpath(OWN_DEPOT, "project"))
        write(Base.ACTIVE_PROJECT[], "")
        body()
    finally
        Base.ACTIVE_PROJECT[] = old
        foreach(pair -> rm(pair.first; force = true), pairs)
    end
end

const DEPOT_FILE, PROJECT_FILE = settings_file("config"), settings_file("project")

@testset "precedence" begin
    N = NativeCache
    @test N.setting("linker") == "cc"
    with_settings(DEPOT_FILE => "# a comment\n\nlinker = \"my cc\"   # another\ntimeout = 12.5\nkeep=yes\n",
                  PROJECT_FILE => "timeout = 7\n") do
        @test N.setting("linker") == "my cc"
        @test N.setting("timeout") === 7.0
        @test N.setting("keep") === true
        list = N.settings()
        @test [(s.name, s.value, s.source) for s in list if s.source !== :default && s.name != "mode"] ==
            [("linker", "my cc", :depot), ("timeout", 7.0, :project), ("keep", true, :depot)]
        @test occursin("$DEPOT_FILE, line 3", sprint(show, MIME("text/plain"), list))
        withenv("JULIA_NATIVECACHE_LINKER" => "clang", "JULIA_NATIVECACHE_KEEP" => "no") do
            @test N.setting("linker") == "clang"
            @test N.setting("linker", "gcc") == "gcc"
            @test !N.setting("keep")
            @test N.setting("keep", true)
            @test (N.settings()["linker"], N.settings(linker = "gcc")["linker"]) == ("clang", "gcc")
            @test N.settings(linker = "gcc")[2].source === :keyword
        end
        # An empty variable is no setting.
        withenv(() -> (@test N.setting("linker") == "my cc"), "JULIA_NATIVECACHE_LINKER" => "")
    end
    @test N.settings()["linker"] == "cc"
end

@testset "what is wrong is named" begin
    N = NativeCache
    message(f) = try f(); "no error" catch err; sprint(showerror, err) end
    with_settings(PROJECT_FILE => "\nlinkr = cc\ntimeout = soon\nlinker cc\n", DEPOT_FILE => "keep = perhaps\n") do
        text = withenv(() -> message(N.settings), "JULIA_NATIVECACHE_KEPT" => "yes", "JULIA_NATIVECACHE" => "of")
        for part in ("$PROJECT_FILE, line 2: there is no setting \"linkr\"; there are mode, linker,",
                     "$PROJECT_FILE, line 3: expected a positive number of seconds, got \"soon\"",
                     "line 4: expected `name = value`, got \"linker cc\"",
                     "setting keep from $DEPOT_FILE, line 1: expected yes or no, got \"perhaps\"",
                     "JULIA_NATIVECACHE_KEPT in the environment: no setting has this variable",
                     "setting mode from JULIA_NATIVECACHE: expected one of on, off, verify, got \"of\"")
            @test occursin(part, text)
        end
        # A bad line is said once and costs only itself.
        @test (@test_logs (:warn, r"\"linkr\".*linker cc"s) N.setting("linker")) == "cc"
        @test (@test_logs N.setting("linker")) == "cc"
    end
    with_settings(DEPOT_FILE => "linker = \"a\xff\"\ntimeout = 5\n\0\xfe = 3\n") do
        @test (@test_logs (:warn, r"line 1: it is no UTF-8.*line 3"s) N.setting("timeout")) === 5.0
        @test N.setting("linker") == "cc"
    end
    @test occursin("keyword linkr: there is no setting", message(() -> N.settings(linkr = "cc")))
    @test occursin("expected yes or no, got \"perhaps\"", message(() -> N.setting("keep", "perhaps")))
    @test occursin("positive number of seconds, got \"0\"", message(() -> N.setting("timeout", 0)))
    @test occursin("positive number of seconds, got \"soon\"", message(() -> N.setting("timeout", "soon")))
    @test occursin("one of on, off, verify, got \"never\"", message(() -> N.setting("mode", "never")))
end

@testset "every setting's default is one of its values, and has a meaning" begin
    for (name, default, kind, meaning) in NativeCache.SETTINGS
        @test NativeCache.value_of(kind, default) !== nothing
        @test 10 < length(meaning) < 120 && !endswith(meaning, '.')
    end
    @test NativeCache.read_bytes("2 GB") == 2 * 10^9 && NativeCache.read_bytes("1.5k") == 1500
    @test NativeCache.read_bytes("100") == 100 && NativeCache.read_bytes("much") === nothing
end

@testset "a mistake is no error when loading" begin
    box = Box()
    mkpath(joinpath(box.depot, "config"))
    write(joinpath(box.depot, "config", "NativeCache.toml"), "nonsense\nlinkr = 1\n")
    run = julia!(box, "using NativeCache"; env = ["JULIA_NATIVECACHE_TIMEOUT" => "soon", "JULIA_NATIVECACHE_X" => "1"])
    @test run.out == run.err == ""
    remove(box)
end

@testset "set!" begin
    N = NativeCache
    with_settings(DEPOT_FILE => "# mine\nauto = off\nlinker = \"my cc\"\n") do
        @test N.set!(auto = "background", keep = true) == DEPOT_FILE
        @test readlines(DEPOT_FILE) == ["# mine", "linker = \"my cc\"", "auto = \"background\"", "keep = \"yes\""]
        withenv("CI" => nothing) do
            @test (N.setting("auto"), N.setting("keep"), N.settings()["auto"]) == ("background", true, "background")
        end
        # What a machine's owner has chosen starts nothing under CI; what the environment says does.
        withenv("CI" => "true") do
            @test N.setting("auto") == N.settings()["auto"] == "ask"
            @test withenv(() -> N.setting("auto"), "JULIA_NATIVECACHE_AUTO" => "now") == "now"
        end
        N.set!(keep = nothing)
        @test !N.setting("keep")
        before = read(DEPOT_FILE)
        for wrong in ((auto = "sometimes",), (no_such = 1,), (linker = "a\"b",), (linker = "cc", fade = "soon"))
            @test_throws ArgumentError N.set!(; wrong...)
        end
        @test read(DEPOT_FILE) == before
    end
end
