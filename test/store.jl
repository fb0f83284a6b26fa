# src/store.jl: where libraries lie.

const STORE_ID = Base.PkgId(Base.UUID("0a0b0c0d-1111-2222-3333-444444444444"), "Some")

@testset "names" begin
    N = NativeCache
    @test N.hex(UInt64(0xab)) == "00000000000000ab"
    @test N.package_folder(STORE_ID) == "Some-0a0b0c0d"
    @test N.package_folder(Base.PkgId("Plain")) == "Plain"
    one = [STORE_ID => UInt64(1)]
    other(build) = [STORE_ID => UInt64(1), Base.PkgId("Plain") => UInt64(build)]
    @test N.library_name(one) == "0000000000000001.so"
    # Another library than the package's own, another for each build of the second package.
    @test occursin(r"^0000000000000001\+[0-9a-f]{16}\.so$", N.library_name(other(2)))
    @test N.library_name(other(2)) == N.library_name(other(2))
    @test N.library_name(other(2)) != N.library_name(other(3))
end

@testset "putting a library in its place" begin
    N = NativeCache
    work = N.work_folder(false)
    @test startswith(work, joinpath(OWN_DEPOT, N.STORE))
    library = joinpath(work, "library.so")
    for content in ("first", "second")
        write(library, content)
        path = N.put_into_store(library, work, "00000000000000ff", [STORE_ID => UInt64(7)])
        @test path == joinpath(OWN_DEPOT, N.STORE, "00000000000000ff", "Some-0a0b0c0d", "0000000000000007.so")
        @test read(path, String) == content
        @test !ispath(library)
    end
    write(joinpath(OWN_DEPOT, N.STORE, "00000000000000ff", "Some-0a0b0c0d", "notes.txt"), "not a library")
    @test [(item.key, item.package, basename(item.path)) for item in N.stored()] ==
        [("00000000000000ff", "Some-0a0b0c0d", "0000000000000007.so")]
    rm(joinpath(OWN_DEPOT, N.STORE); recursive = true)
end

@testset "a depot that cannot be written to" begin
    N = NativeCache
    file = joinpath(OWN_DEPOT, "a file")
    write(file, "")
    depots = copy(DEPOT_PATH)
    try
        copy!(DEPOT_PATH, [file])
        @test_throws ErrorException N.work_folder(false)
        copy!(DEPOT_PATH, [file, OWN_DEPOT])
        @test startswith(N.work_folder(false), OWN_DEPOT)
        copy!(DEPOT_PATH, String[])
        @test_throws ErrorException N.work_folder(false)
    finally
        copy!(DEPOT_PATH, depots)
        rm(joinpath(OWN_DEPOT, N.STORE); recursive = true, force = true)
    end
end
