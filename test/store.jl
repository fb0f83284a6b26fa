# src/store/store.jl: where libraries lie.

const STORE_ID = Base.PkgId(Base.UUID("0a0b0c0d-1111-2222-3333-444444444444"), "Some")

@testset "names" begin
    N = NativeCache
    @test N.hex(UInt64(0xab)) == "00000000000000ab"
    @test N.package_folder(STORE_ID) == "Some-0a0b0c0d111122223333444444444444"
    @test N.package_folder(Base.PkgId("Plain")) == "Plain"
    # Another uuid is another folder, however alike the two are.
    @test N.package_folder(Base.PkgId(Base.UUID("0a0b0c0d-1111-2222-3333-444444444445"), "Some")) != N.package_folder(STORE_ID)
    @test N.folder_package(N.package_folder(STORE_ID)) == "Some"
    # A set of packages whose name would be too long for a folder; rust/session/src/tracing.rs has the same.
    many = [Base.PkgId(Base.UUID(repeat(UInt128[i], 16) |> bytes -> foldl((sum, byte) -> sum << 8 | byte, bytes)), "Package") for i in 1:9]
    @test N.profile_folder(many) == "set-4f7c47af64891d97b782f33e8931b66a"
    one = [STORE_ID => N.BuildId(1)]
    other(build) = [STORE_ID => N.BuildId(1), Base.PkgId("Plain") => N.BuildId(build)]
    number, ending = N.hex(N.BuildId(1)), COMPANIONS ? "companion" : "so"
    @test N.library_name(one) == "$number.$ending"
    # Another library than the package's own, another for each build of the second package.
    @test occursin(Regex("^$number\\+[0-9a-f]{16}\\.$ending\$"), N.library_name(other(2)))
    @test N.library_name(other(2)) == N.library_name(other(2))
    @test N.library_name(other(2)) != N.library_name(other(3))
end

COMPANIONS || @testset "putting a library in its place" begin
    N = NativeCache
    folder = N.work_folder(false)
    work = folder.path
    @test startswith(work, joinpath(OWN_DEPOT, N.STORE))
    library = joinpath(work, "library.so")
    for content in ("first", "second")
        write(library, content)
        path = N.put_into_store(library, work, "00000000000000ff", [STORE_ID => UInt64(7)])
        @test path == joinpath(OWN_DEPOT, N.STORE, "00000000000000ff", "Some-0a0b0c0d111122223333444444444444", "0000000000000007.so")
        @test read(path, String) == content
        @test !ispath(library)
    end
    N.leave(folder)
    @test !ispath(work)
    write(joinpath(OWN_DEPOT, N.STORE, "00000000000000ff", "Some-0a0b0c0d111122223333444444444444", "notes.txt"), "not a library")
    @test [(item.key, item.package, basename(item.path)) for item in N.stored()] ==
        [("00000000000000ff", "Some-0a0b0c0d111122223333444444444444", "0000000000000007.so")]
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
        folder = N.work_folder(false)
        @test startswith(folder.path, OWN_DEPOT)
        N.leave(folder)
        copy!(DEPOT_PATH, String[])
        @test_throws ErrorException N.work_folder(false)
    finally
        copy!(DEPOT_PATH, depots)
        rm(joinpath(OWN_DEPOT, N.STORE); recursive = true, force = true)
    end
end

@testset "leftovers of builds that are no more" begin
    N = NativeCache
    store = joinpath(OWN_DEPOT, N.STORE)
    mkpath(joinpath(store, "build-abc", "inner"))       # killed: nobody has its lock
    write(joinpath(store, "build-abc", "library.so"), "half")
    mkpath(joinpath(store, "kept-abc"))
    symlink(OWN_DEPOT, joinpath(store, "build-link"))
    first = N.work_folder(false)
    @test !ispath(joinpath(store, "build-abc"))
    @test isdir(joinpath(store, "kept-abc")) && islink(joinpath(store, "build-link"))
    second = N.work_folder(false)
    @test isdir(first.path) && isdir(second.path) && first.path != second.path
    foreach(N.leave, (first, second))
    kept = N.work_folder(true)
    N.leave(kept; keep = true)
    N.leave(N.work_folder(false))
    @test isdir(kept.path)
    rm(store; recursive = true)
end

@testset "locks" begin
    N = NativeCache
    path = joinpath(OWN_DEPOT, "some lock")
    lock = N.take_lock(path)
    @test lock isa N.FileLock
    @test N.take_lock(path) === nothing
    @test N.locked(() -> 7, path; seconds = 0.05) == 7      # goes on when another hangs
    N.release(lock)
    again = N.take_lock(path)
    @test again isa N.FileLock
    N.release(again)
    @test N.take_lock(joinpath(OWN_DEPOT, "no folder", "lock")) === nothing
    rm(path)
end

@testset "folders that others can write to" begin
    N = NativeCache
    store = joinpath(OWN_DEPOT, N.STORE)
    mask = ccall(:umask, Cuint, (Cuint,), 0)
    try
        N.leave(N.work_folder(false))
        @test filemode(store) & 0o022 == 0 == filemode(dirname(store)) & 0o022
    finally
        ccall(:umask, Cuint, (Cuint,), mask)
    end
    chmod(store, 0o777)
    said = try N.work_folder(false); "" catch err; sprint(showerror, err) end
    @test occursin("everybody can write to it", said) && occursin(store, said)
    @test !isempty(N.distrust(store)) && isempty(N.distrust(OWN_DEPOT))
    rm(store; recursive = true)
end
