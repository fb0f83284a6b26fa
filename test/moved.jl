# What lies somewhere else in the next session: a C library in another folder, the depot, sources whose times
# were rounded by a copy.

const FOREIGN_C = """
    int state = STATE;
    int answer(int x) { return x + STATE; }
    """

function make_c_library(folder, state)
    mkpath(folder)
    write(joinpath(folder, "foreign.c"), FOREIGN_C)
    run(`cc -shared -fPIC -DSTATE=$state -o $(joinpath(folder, "libncforeign.so")) $(joinpath(folder, "foreign.c"))`)
end

@testset "a C library that moves" begin
    box = Box()
    add_package(box, "Foreign", """
        module Foreign
        const LIB = "libncforeign"
        literal(x) = ccall((:answer, "libncforeign"), Cint, (Cint,), x)
        constant(x) = ccall((:answer, LIB), Cint, (Cint,), x)
        loaded() = unsafe_load(cglobal((:state, LIB), Cint))
        address() = cglobal((:state, LIB), Cint)
        shifted() = UInt(cglobal((:state, LIB), Cint)) >> 3
        by_pointer(x) = ccall(HANDLE[], Cint, (Cint,), x)
        const HANDLE = Ref{Ptr{Cvoid}}(C_NULL)
        function __init__()
            push!(Base.DL_LOAD_PATH, get(ENV, "FOREIGN", ""))
            HANDLE[] = try cglobal((:answer, LIB)) catch; C_NULL end
        end
        end
        """)
    julia!(box, "using Foreign")
    for (folder, state) in ("here" => 1, "there" => 20)
        make_c_library(joinpath(box.root, folder), state)
    end
    names = ["literal", "constant", "by_pointer"]
    lists = [["Tuple{typeof(Foreign.$f), Int64}" for f in names]; ["Tuple{typeof(Foreign.$f)}" for f in ("loaded", "address", "shifted")]]
    at(folder) = ["FOREIGN" => joinpath(box.root, folder)]
    built = build(box, repr("Foreign"), lists; env = at("here"))
    @test statements(built["skipped"]) == ["Tuple{typeof(Foreign.shifted)}"] && length(built["compiled"]) == 5
    script = """
        using Foreign
        said(f, x...) = try Base.invokelatest(f, x...) catch err; sprint(showerror, err) end
        println(said(Foreign.literal, 1), " ", said(Foreign.constant, 1), " ", said(Foreign.loaded))
        Foreign.HANDLE[] == C_NULL || println(Foreign.by_pointer(1), " ", Foreign.address() == cglobal((:state, "libncforeign")),
            " ", Foreign.shifted() == UInt(cglobal((:state, "libncforeign"))) >> 3)
        """
    for (folder, wanted) in ["here" => "2 2 1\n2 true true\n", "there" => "21 21 20\n21 true true\n", "nowhere" => nothing]
        with, without = julia!(box, "using NativeCache\n" * script; env = at(folder)), julia!(box, script; env = at(folder))
        @test with.out == without.out && with.err == without.err
        @test wanted === nothing ? occursin("libncforeign", with.out) : with.out == wanted
    end
    @test length(status(box, repr("Foreign"), "using Foreign"; env = at("there"))["installed"]) == 5
    # Without it the code that names it is not installed; what takes a pointer is.
    gone = status(box, repr("Foreign"), "using Foreign"; env = at("nowhere"))
    @test statements(gone["installed"]) == ["Tuple{typeof(Foreign.by_pointer), Int64}"]
    remove(box)
end

@testset "a depot that moves, times that are rounded" begin
    box = Box()
    add_package(box, "Moving", "module Moving\nf(x) = [x, x]\nend")
    julia!(box, "using Moving")
    @test length(build(box, repr("Moving"), ["Tuple{typeof(Moving.f), Int64}"])["compiled"]) == 1
    session = "using NativeCache, Moving\nprint(Moving.f(1), length(NativeCache.status(\"Moving\").installed))"
    @test julia!(box, session).out == "[1, 1]1"
    elsewhere = joinpath(box.root, "another depot")
    mv(box.depot, elsewhere)
    @test julia!(box, session; depot = elsewhere).out == "[1, 1]1"
    # As an archive or another file system keeps them; Julia takes the .ji for fresh.
    for (path, _, files) in walkdir(joinpath(box.packages, "Moving")), file in files
        full = joinpath(path, file)
        run(`touch -d @$(floor(Int, mtime(full))) $full`)
    end
    @test julia!(box, session; depot = elsewhere).out == "[1, 1]1"
    # The same as a read-only layer beneath another depot.
    @test julia!(box, session; depot = string(box.depot, ':', elsewhere)).out == "[1, 1]1"
    remove(box)
end
