# src/store/statements.jl: statements.

module ProfileFixture
struct Point{T} end
f(x) = x
struct Shown end
Base.show(io::IO, ::Type{Shown}) = error("this is not to be called")
end

@testset "a file of statements" begin
    N = NativeCache
    path = tempname(OWN_DEPOT)
    write(path, """
        # a comment
        precompile(Tuple{typeof(Base.sin), Float64})
        precompile(Tuple{typeof(Base.cos), Float64})  # seen 2, last 9, 4.1 ms
        precompile(Tuple{Base.var"#64#65"{Base.Fix2{typeof(Base.isequal), Char}}, Char})  # seen 1, last 1

        Base.precompile(Tuple{typeof(Base.tan), Float64});
        Tuple{typeof(Base.cos), Float64}
        precompile(Tuple{typeof(Base.:(+)), Int64, Int64})
        """)
    # Each once, in an order that does not depend on the file's.
    @test N.read_statements(path) == ["Tuple{Base.var\"#64#65\"{Base.Fix2{typeof(Base.isequal), Char}}, Char}",
        "Tuple{typeof(Base.:(+)), Int64, Int64}", "Tuple{typeof(Base.cos), Float64}",
        "Tuple{typeof(Base.sin), Float64}", "Tuple{typeof(Base.tan), Float64}"]
    # A byte order mark is no part of the first line, be it a comment or a statement.
    for first in ("# a comment", "Tuple{typeof(Base.tan), Float64}")
        write(path, "\ufeff", first, "\r\nprecompile(Tuple{typeof(Base.tan), Float64})\r\n")
        @test N.read_statements(path) == ["Tuple{typeof(Base.tan), Float64}"]
    end
end

@testset "signatures" begin
    N = NativeCache
    text(x) = only(N.read_statements([x]))
    @test text(Tuple{typeof(sin),Float64}) == "Tuple{typeof(Base.sin), Float64}"
    # Every form of a signature gives the same text, and the text gives the signature back.
    for signature in (Tuple{typeof(sin),Float64}, Tuple{typeof(ProfileFixture.f),ProfileFixture.Point{:a}},
                      Tuple{Type{Vector{Int}},UndefInitializer,Int}, Tuple{typeof(+),Vararg{Int}},
                      Tuple{typeof(ProfileFixture.f),Vector{T}} where T<:Real)
        @test Core.eval(Main, Meta.parse(text(signature))) == signature
    end
    @test text((sin, (Float64,))) == text((sin, Tuple{Float64})) == text(Tuple{typeof(sin),Float64})
    @test N.read_statements(Tuple{typeof(sin),Float64}) == N.read_statements([(sin, (Float64,))])
    @test N.read_statements((sin, (Float64,))) == N.read_statements([(sin, (Float64,))])
    @test text((Vector{Int}, (UndefInitializer, Int))) == text(Tuple{Type{Vector{Int}},UndefInitializer,Int})
    for wrong in (Int, 3, (1, 2, 3), nothing)
        @test_throws ArgumentError N.read_statements(Any[wrong])
    end
    @test_throws ArgumentError N.read_statements(7.5im)
    @test_throws ArgumentError N.read_statements("no such file")
    # What cannot be read back has no text, and what packages show types by is not asked.
    COMPANIONS || @test_throws ArgumentError text(Tuple{typeof(sin),Val{Ptr{Cvoid}(64)}})
    @test text(Tuple{typeof(sin),ProfileFixture.Shown}) == "Tuple{typeof(Base.sin), Main.ProfileFixture.Shown}"
end

@testset "names of Main" begin
    N = NativeCache
    @test N.names_main("Tuple{typeof(Main.f), Int64}")
    @test N.names_main("Tuple{Main.var\"#1#2\", Int64}")
    @test !N.names_main("Tuple{typeof(MyMain.f), Int64}")
    @test !N.names_main("Tuple{typeof(A.Main.f), Int64}")
    @test !N.names_main("Tuple{Type{Main}, Int64}")
end
