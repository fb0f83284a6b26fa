# src/store/lines.jl and rust/store/src/fields.rs: one rule, in two languages. Whatever is written is read back.

@testset "fields of lines" begin
    N = NativeCache
    # What matters, often, with anything beside it.
    letters = ['\\', '\\', '\t', '\n', '\r', 't', 'n', 'r', '0', '"', ' ', 'é', '😀', '\u2028', '\ufeff', '\x01']
    seed = UInt64(20201109)
    next(n) = (seed = seed * 0x5851f42d4c957f2d + 0x14057b7ef767814f; Int(seed >> 33) % n + 1)
    texts = [String(Char[letters[next(length(letters))] for _ in 1:next(30)-1]) for _ in 1:2000]
    rust(text) = N.taken(ccall((:nativecache_escape, NativeCache.LIBRARY), Ptr{UInt8}, (Cstring,), text))
    @test all(text -> N.escape_field(text) == rust(text), texts)
    @test all(text -> N.unescape_field(N.escape_field(text)) == text, texts)
    @test !any(text -> occursin(r"[\t\n\r]", N.escape_field(text)), texts)
    lines = [texts[i:i+3] for i in 1:4:1997]
    written = join(string(join(N.escape_field.(line), '\t'), '\n') for line in lines)
    @test N.fields_of.(split(written, '\n')[1:end-1]) == lines
    # What is no text, and what Rust's texts cannot hold in between.
    for text in ("\xff\t\\\xc3", "a\0b", "")
        @test N.unescape_field(N.escape_field(text)) == text
    end
    @test N.escape_field("a\0b") == "a\\0b"
    # What nobody escaped stands for itself.
    @test N.unescape_field("C:\\x\\") == "C:\\x\\"
    @test N.fields_of("a\t\tb\\tc") == ["a", "", "b\tc"]
end

@testset "paths with a tab and a backslash in them" begin
    # The store, the work folder and the statements: all of their paths go through lines. (With a line's end in its depot
    # Julia itself makes no folders.)
    box = Box()
    add_package(box, "Plain", "module Plain\nf(x) = x + 1\ng(x) = string(\"<\", x, \">\")\nend\n")
    depot = joinpath(box.root, "de\tpot\\n\\x")
    mkpath(depot)
    path = joinpath(box.root, "statements\t1.txt")
    write(path, "\ufeff# a comment\nprecompile(Tuple{typeof(Plain.g), Int64})\r\n")
    said = julia!(box, """
        using NativeCache
        result = NativeCache.build("Plain"; statements = $(repr(path)), quiet = true)
        println(result.message, length(result.compiled), " of ", length(result.requested))
        """; depot = depot).out
    @test said == "1 of 1\n"
    said = julia!(box, """
        using NativeCache, Plain
        status = NativeCache.status("Plain")
        println(Plain.g(1), " ", length(status.installed), " ", status.library == only(NativeCache.libraries()).path, " ", isfile(status.library))
        """; depot = depot).out
    @test startswith(said, "<1> 1 ") && occursin("true", said)
    remove(box)
end
