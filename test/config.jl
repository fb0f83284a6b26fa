# src/config.jl: keyword > environment > preference file > default.

@testset "precedence" begin
    N = NativeCache
    file = joinpath(OWN_DEPOT, "config", "NativeCache.toml")
    mkpath(dirname(file))
    try
        @test N.setting("linker") == "cc"
        write(file, "# a comment\n\nlinker = \"my cc\"   # another\ntimeout = 12.5\nkeep=yes\n")
        @test N.setting("linker") == "my cc"
        @test N.seconds("timeout") == 12.5
        @test N.switch("keep")
        withenv("JULIA_NATIVECACHE_LINKER" => "clang", "JULIA_NATIVECACHE_KEEP" => "no") do
            @test N.setting("linker") == "clang"
            @test N.setting("linker", "gcc") == "gcc"
            @test !N.switch("keep")
            @test N.switch("keep", true)
        end
        # An empty variable is no setting.
        withenv(() -> (@test N.setting("linker") == "my cc"), "JULIA_NATIVECACHE_LINKER" => "")
    finally
        rm(file; force = true)
    end
end

@testset "what is wrong is named" begin
    N = NativeCache
    message(f) = try f(); "no error" catch err; sprint(showerror, err) end
    file = joinpath(OWN_DEPOT, "config", "NativeCache.toml")
    try
        write(file, "linker cc\n")
        @test occursin("line 1", message(() -> N.setting("linker")))
        write(file, "\nlinkr = cc\n")
        @test occursin("\"linkr\"", message(() -> N.setting("linker")))
        @test occursin("line 2", message(() -> N.setting("linker")))
    finally
        rm(file; force = true)
    end
    @test occursin("expected yes or no, got \"perhaps\"", message(() -> N.switch("keep", "perhaps")))
    @test occursin("positive number of seconds, got \"0\"", message(() -> N.seconds("timeout", 0)))
    @test occursin("positive number of seconds, got \"soon\"", message(() -> N.seconds("timeout", "soon")))
end
