# rust/store/src/reason.rs: each reason is provoked, here or in the file named, and its words are those
# of the table. A reason that cannot be provoked in a test says why.

using Libdl: Libdl

"Where a reason is tested, if not here."
const TESTED_ELSEWHERE = Dict(:NoImages => "companion.jl", :NoTypeExpression => "companion.jl", :NotUsedHere => "companion.jl",
    :Truncated => "faults/libraries.jl", :BadMagic => "faults/libraries.jl", :FormatVersion => "faults/libraries.jl",
    :HashMismatch => "faults/libraries.jl", :Untrusted => "faults/trust.jl",
    :CompilerAborted => "build.jl", :CompilerThrew => "build.jl", :EdgeChanged => "load.jl",
    :MadeAtInit => "hazards.jl", :PureFunction => "hazards.jl", :ConstantChanged => "hazards.jl", :DependsOnRejected => "verify.jl", :Different => "verify.jl", :Redefined => "stale.jl",
    :Invalidated => "explain.jl", :KeyDiffers => "explain.jl", :BuiltLater => "explain.jl")

"Reasons that only a bug, or a Julia that nobody has seen yet, brings about; and what covers their code instead."
const NOT_PROVOKED = Dict(:NotCompiled => "Julia 1.10: no statement was found for which precompile says no", :AlreadyNative => "Julia 1.10: it is no failure",
    :NotInImage => "Julia 1.10: of what its image writer drops no small package is known",
    :UnknownAddress => "an address that no map knows is met when Julia's code generator does something new; rust/native/codegen/tests",
    :EdgesUnknown => "Julia's backedges contradict themselves, or name what cannot be described",
    :InferredCode => "inferred code that holds what cannot be described; the method itself is compiled")

const WHY = """
    module Why
    using Other
    f(x) = x + 1
    three() = 3
    g(x) = f(x) * 2
    waits(x) = Other.h(x)
    callback(x) = ccall(:abs, Cint, (Cint,), x) + (@cfunction(f, Int, (Int,)) == C_NULL)
    # Generators put things into code that a precompiled package cannot hold itself.
    @generated pointer(x) = :(ccall(\$(cglobal(:abs)), Cint, (Cint,), x))
    @generated nameless(x) = :(ccall(\$(cglobal(:abs) + 1), Cint, (Cint,), x))
    @generated interpolated(x) = :(\$(Ref(5))[] + x)
    @generated broken(x) = error("no body for that")
    @generated idle(x) = :(isa(\$(Ref(5)), Int); x)
    struct Unset
        field
        Unset() = new()
    end
    @generated unset(x) = :((x, \$(Unset())))
    # A module of its own in each session.
    __init__() = ccall(:jl_generating_output, Cint, ()) == 0 && (global First = Core.eval(Module(:Loose), :(struct T end; T)))
    struct Peculiar end
    peculiar(x) = isempty(x) ? nothing : Peculiar()
    end
    """

const PROVOKED = Set{Symbol}()

"The reason is there, and what is shown is what the table says."
function provoked(name::Symbol, shown)
    text, advice = NativeCache.reason(name)
    found = occursin(string(name), shown) || occursin(text, shown)
    found || println("not ", name, ":\n", shown)
    @test found
    push!(PROVOKED, name)
end

"Put other bytes into a library, with right hashes."
function forge(library, old, new)
    # Not `Sys.which`: it follows the link to rustup, which goes by the name that it is called by.
    own = joinpath(homedir(), ".cargo", "bin", "cargo")
    cargo = isfile(own) ? own : "cargo"
    # Built already by the tests of the Rust side.
    run(setenv(`$cargo build --release --locked --quiet --package nativecache-image --example forge`; dir = ROOT))
    run(`$(joinpath(ROOT, "target", "release", "examples", "forge")) $library $library $(bytes2hex(old)) $(bytes2hex(new))`)
end

# Julia in another program: what it is given is evaluated.
const EMBEDDING = """
    #include <julia.h>
    #ifdef FAST_TLS
    JULIA_DEFINE_FAST_TLS()
    #endif
    int main(int argc, char **argv) {
        jl_init_with_image(BINDIR, SYSIMAGE);
        int code = jl_eval_string(argv[1]) ? 0 : 1;
        jl_atexit_hook(code);
        return code;
    }
    """

"Two programs that embed Julia: one with the macro, and one without."
function embedding_programs(box)
    libjulia = first(filter(path -> startswith(basename(path), "libjulia.so"), Libdl.dllist()))
    headers = joinpath(Sys.BINDIR, "..", "include", "julia")
    source = joinpath(box.root, "embedding.c")
    write(source, EMBEDDING)
    text(name, path) = string("-D", name, "=\"", path, '"')
    defines = [text("BINDIR", Sys.BINDIR), text("SYSIMAGE", unsafe_string(Base.JLOptions().image_file))]
    return map((["-DFAST_TLS"], String[])) do how
        program = tempname(box.root; cleanup = false)
        run(`cc -w -I$headers -o $program $source $how $defines $libjulia -Wl,-rpath,$(dirname(libjulia))`)
        program
    end
end

@testset "provoked" begin
    box = Box()
    add_package(box, "Other", "module Other\n@noinline h(x) = 2x\nstruct O end\nend")
    add_package(box, "Why", WHY; deps = ["Other" => Sandbox.uuid("Other")])
    add_package(box, "Late", "module Late\nstruct L end\nf(x) = x\nend")
    show_it(call) = "show(stdout, MIME(\"text/plain\"), NativeCache.$call)\nprintln()\n"

    # Before there is anything.
    out = julia!(box, "using NativeCache, Why\n" * show_it("status(\"Why\")") * show_it("explain(\"Late\")") * show_it("explain(Why.f, (Int,))")).out
    foreach(name -> provoked(name, out), (:NotFound, :NotLoaded, :NotRequested))

    statements = ["Tuple{typeof(Why.f), Int64}", "Tuple{typeof(Why.g), Int64}", "Tuple{typeof(Why.callback), Int32}",
        "Tuple{typeof(Why.none), Int64}", "Tuple{typeof(Main.mine), Int64}",
        "Tuple{typeof(Base.print), Base.GenericIOBuffer{Array{UInt8, 1}}, String}", "Tuple{Type{Base.Multimedia.TextDisplay}, Base.IOStream}", "Tuple{typeof(Base.identity), Array{Late.L, 1}}", "Tuple{typeof(Late.f), Int64}",
        ("Tuple{typeof(Why.$f), Int32}" for f in ("pointer", "nameless", "interpolated", "broken", "idle", "unset"))...,
        "Tuple{typeof(Why.f), Why.First}"]
    out = julia!(box, """
        using NativeCache, Why, Late
        results = NativeCache.build([Why, Late]; statements = $(repr(statements)), quiet = true)
        for one in results
            show(stdout, MIME("text/plain"), one)
            println()
        end
        """).out
    foreach(name -> provoked(name, out), (:NoSuchMethod, :NamesMain, :ForeignCallback, :InSysimage, :CompiledAtStart,
        :IntegerAddress, :UnknownForeignCall, :UnknownConstant, :NotInferred,
        :GeneratedFunction, :UnknownObject, :OpaqueModule))

    out = julia!(box, """
        using NativeCache, Why
        $(show_it("status(\"Why\")"))
        Why.three()
        $(show_it("explain(Why.three, ())"))
        """).out
    provoked(:ConstantResult, out)
    # A profile that came after the library.
    out = julia!(box, "using NativeCache, Why\nWhy.f(1.0f0)\nNativeCache.trace!()\n" * show_it("explain(Why.f, (Float32,))")).out
    provoked(:AskedLater, out)
    out = julia!(box, "using Why, Late\nprint(Why.g(1), Late.f(1))\nusing NativeCache\n" * show_it("explain(Why.g, (Int,))")).out
    provoked(:AlreadyCompiled, out)

    # Sessions in which nothing is installed.
    message = "print(NativeCache.status(\"Why\").message)"
    for (name, flags, env) in ((:Disabled, ``, ["JULIA_NATIVECACHE" => "off"]), (:Coverage, `--code-coverage=user`, []),
                               (:AllocationTracking, `--track-allocation=user`, []), (:CompileMode, `--compile=min`, []))
        provoked(name, julia!(box, "using NativeCache, Why\n$message"; flags = flags, env = env).out)
    end
    # Julia writes these beside the sources.
    for (folder, _, files) in walkdir(joinpath(ROOT, "src")), file in files
        occursin(r"\.jl\.\d+\.(cov|mem)$", file) && rm(joinpath(folder, file))
    end
    add_package(box, "Inside", "module Inside\nusing NativeCache\nconst SAID = NativeCache.status().message\nend";
        deps = ["NativeCache" => "1402d8af-b1ee-4baf-ab8c-666e41cddb50"])
    provoked(:GeneratingOutput, julia!(box, "using Inside\nprint(Inside.SAID)").out)
    # In a program that embeds Julia code is installed, if threads' state is where it must be.
    fast, slow = embedding_programs(box)
    script = "using NativeCache, Why\nprint(Why.f(1.0), ' ', NativeCache.status(\"Why\").functions > 0, ' ', NativeCache.status(\"Why\").message)"
    embedded(program) = Sandbox.run_julia(box, `$script`; program = `$program`, plain = true).out
    @test embedded(fast) == string(julia!(box, "using Why\nprint(Why.f(1.0))").out, " true ")
    provoked(:ThreadState, embedded(slow))

    # Verify mode has to compile anew, and here nothing can be linked.
    provoked(:Unproved, julia!(box, "using NativeCache, Why\n" * show_it("status(\"Why\")");
        env = ["JULIA_NATIVECACHE" => "verify", "PATH" => box.root]).out)

    # Libraries that are whole, but not what this machine, this session or NativeCache can use.
    library = build(box, repr("Why"), [statements[1:2]; "Tuple{typeof(Why.waits), Int64}"; "Tuple{typeof(Why.peculiar), String}"]).library
    original = read(library)
    image = findfirst(at -> original[at:at+7] == b"NCIMAGE\0", 1:length(original)-7)
    other = hex2bytes(replace(Sandbox.uuid("Other"), "-" => ""))
    for (name, old, new) in ((:CpuFeatures, b"sse2", b"sse9"),
                             # Another number of sections (docs/image-format.md).
                             (:Malformed, original[image:image+12], [original[image:image+11]; 0x63]),
                             (:SymbolMissing, b"nativecache_slots\0", b"nativecache_sloth\0"),
                             # For another processor (e_machine of the ELF header).
                             (:LinkFailed, original[9:24], [original[9:18]; 0xf3; original[20:24]]),
                             # The hash of the tables, as the code has it.
                             (:Replaced, original[end-47:end-32], zeros(UInt8, 16)),
                             (:PackageMissing, other, reverse(other)),
                             (:Unresolved, b"Peculiar", b"Peculier"))
        write(library, original)
        forge(library, old, new)
        provoked(name, julia!(box, "using NativeCache, Why\n" * show_it("status(\"Why\")")).out)
    end
    write(library, original)

    # What inference has found in this session is not what the library says.
    provoked(:ReturnTypeDiffers, julia!(box, """
        using Why
        method = which(Why.f, (Int,))
        instance = ccall(:jl_specializations_get_linfo, Ref{Core.MethodInstance}, (Any, Any, Any),
            method, Tuple{typeof(Why.f), Int}, Core.svec())
        ccall(:jl_set_method_inferred, Any, (Any, Any, Any, Any, Int32, UInt, UInt),
            instance, Real, nothing, nothing, 0, ccall(:jl_get_world_counter, UInt, ()), typemax(UInt))
        using NativeCache
        $(show_it("status(\"Why\")"))
        """).out)

    # A NativeCache whose parts are of two versions.
    for (name, old, new) in ((:NotStarted, ":nativecache_start,", ":nativecache_begin,"), (:StartFailed, "const ROOTS", "const ROOT"))
        copy = joinpath(box.root, string(name))
        for part in ("Project.toml", "src", joinpath("deps", "lib"))
            mkpath(dirname(joinpath(copy, part)))
            cp(joinpath(ROOT, part), joinpath(copy, part))
        end
        load = joinpath(copy, "src", "session", "load.jl")
        write(load, replace(read(load, String), old => new))
        provoked(name, julia!(box, "pushfirst!(LOAD_PATH, $(repr(copy)))\nusing NativeCache\nprint(NativeCache.status(\"Why\").message)").out)
    end

    failed = build(box, repr("Why"), statements[1:1]; keywords = "linker = \"false\"")
    provoked(:BuildFailed, join((item[2] for item in failed["failed"]), ' '))

    sleep(1.1)      # the time stamps that Julia compares
    write(joinpath(box.packages, "Why", "src", "Why.jl"), replace(WHY, "x + 1" => "x + 2"))
    provoked(:PackageBuild, julia!(box, "using NativeCache, Why, Late\n" * show_it("explain(\"Why\")")).out)

    loop = joinpath(box.root, "loop.so")
    symlink(loop, loop)
    provoked(:Unreadable, julia!(box, "using NativeCache\nprint(NativeCache.inspect_library($(repr(loop))).problems)").out)
    remove(box)
end

@testset "every reason is provoked, tested elsewhere, or says why not" begin
    names = Set(reason.name for reason in NativeCache.reasons())
    @test isempty(setdiff(names, PROVOKED, keys(TESTED_ELSEWHERE), keys(NOT_PROVOKED)))
    @test isempty(setdiff(union(keys(TESTED_ELSEWHERE), keys(NOT_PROVOKED)), names))
    for (name, file) in TESTED_ELSEWHERE
        source = read(joinpath(@__DIR__, file), String)
        @test occursin(string(name), source) || occursin(NativeCache.reason(name)[1], source)
    end
end
