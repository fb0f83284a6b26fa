# rust/image/src/reason.rs: each reason is provoked, here or in the file named, and its words are those
# of the table. A reason that cannot be provoked in a test says why.

"Where a reason is tested, if not here."
const TESTED_ELSEWHERE = Dict(
    :Truncated => "faults/libraries.jl", :BadMagic => "faults/libraries.jl", :FormatVersion => "faults/libraries.jl",
    :HashMismatch => "faults/libraries.jl", :Untrusted => "faults/trust.jl",
    :CompilerAborted => "build.jl", :CompilerThrew => "build.jl", :EdgeChanged => "load.jl",
    :MadeAtInit => "hazards.jl", :DependsOnRejected => "verify.jl", :Different => "verify.jl", :Redefined => "stale.jl",
    :Invalidated => "explain.jl", :KeyDiffers => "explain.jl", :BuiltLater => "explain.jl")

"Reasons that take a machine, a Julia or a bug that a test cannot bring about; and what covers their code instead."
const NOT_PROVOKED = Dict(
    :Malformed => "a library whose hash is right and whose tables are not is a bug of the writer; rust/image/tests/reader.rs",
    :CpuFeatures => "takes a second machine; rust/runtime/src/key.rs",
    :LinkFailed => "a library that is whole and that the loader refuses: out of address space",
    :SymbolMissing => "a library that is whole and lacks a symbol is a bug of the writer",
    :ModuleSet => "kept for libraries that older versions wrote; its place is taken by the checks of edges and build ids",
    :NotStarted => "takes a process whose __init__ could not open libnativecache and a later build of it",
    :StartFailed => "takes a Julia whose Base lacks a function that 1.5.3 has",
    :GeneratedFunction => "its generator is asked again instead, unless that is not possible; rust/runtime/src/generated.rs",
    :UnknownAddress => "an address that no map knows is met when Julia's code generator does something new; rust/codegen/tests",
    :IntegerAddress => "a plain integer inside a mapped range, by chance; rust/codegen/tests/literals.rs",
    :PackageMissing => "a library for several packages is looked for when all are loaded; a method waits only if its code
        refers to one that its signature does not name",
    :UnknownConstant => "most objects have a path: a constant, a field, a root of the method that holds it",
    :UnknownForeignCall => "a ccall whose target is computed is looked up at run time instead",
    :UnknownObject => "an object of a kind that no description has; rust/runtime/src/describe.rs",
    :EdgesUnknown => "Julia's backedges contradict themselves",
    :NotInferred => "type inference returns nothing for a method that it has taken",
    :NotCompileable => "kept: worker.jl takes the more general method instance itself",
    :InlinedOnly => "kept: a method that is only inlined counts as installed",
    :Unresolved => "an object that was described and is not found under the same build ids",
    :ReturnTypeDiffers => "inference of the same code with the same edges gives another type: a bug",
    :ConstantChanged => "kept: a constant's package has another build id then",
    :Unproved => "what verify mode cannot compile anew",
    :Replaced => "a file that changed between check and mapping; faults",
    :InferredCode => "inferred code that holds what cannot be described; the method itself is compiled",
    :OpaqueModule => "a module made at run time inside a package")

const WHY = """
    module Why
    using Other
    f(x) = x + 1
    three() = 3
    g(x) = f(x) * 2
    waits(x) = Other.h(x)
    callback(x) = ccall(:abs, Cint, (Cint,), x) + (@cfunction(f, Int, (Int,)) == C_NULL)
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
        "Tuple{typeof(Base.print), Base.GenericIOBuffer{Array{UInt8, 1}}, String}", "Tuple{Type{Base.Multimedia.TextDisplay}, Base.IOStream}", "Tuple{typeof(Base.identity), Array{Late.L, 1}}", "Tuple{typeof(Late.f), Int64}"]
    out = julia!(box, """
        using NativeCache, Why, Late
        results = NativeCache.build([Why, Late]; statements = $(repr(statements)), quiet = true)
        for one in results
            show(stdout, MIME("text/plain"), one)
            println()
        end
        """).out
    foreach(name -> provoked(name, out), (:NoSuchMethod, :NamesMain, :ForeignCallback, :InSysimage, :CompiledAtStart))

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
    foreach(file -> occursin(r"\.jl\.\d+\.(cov|mem)$", file) && rm(joinpath(ROOT, "src", file)), readdir(joinpath(ROOT, "src")))
    add_package(box, "Inside", "module Inside\nusing NativeCache\nconst SAID = NativeCache.status().message\nend";
        deps = ["NativeCache" => "1402d8af-b1ee-4baf-ab8c-666e41cddb50"])
    provoked(:GeneratingOutput, julia!(box, "using Inside\nprint(Inside.SAID)").out)

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
