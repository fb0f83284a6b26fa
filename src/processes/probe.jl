# What report.jl runs to measure a session: julia [flags] probe.jl <folder> <cached or not> <script>
#
# The session is sampled (Profile) every 2 ms, and each sample belongs to the innermost thing in its
# stack that is known: LLVM, type inference, loading, libnativecache; the rest is the program itself.
# Inference is also timed method by method. What it found goes into files in the folder:
#
#   times      Unix times of the first line here, begin and end of the script; seconds that linking took;
#              samples by phase
#   inference  nanoseconds<TAB>signature, of each method that inference was asked for
#   status     what is installed, a line per package (cached only)
#   reasons    reason<TAB>text<TAB>advice<TAB>signature, of those that are still compiled (cached only)
module NativeCacheProbe

const FIRST = time()         # Julia has started
import Profile

const FOLDER, CACHED, SCRIPT = ARGS[1], ARGS[2] == "cached", ARGS[3]
const INFERRED = Any[]
const DEPTH = Int[0]

"Stands in for the function that libjulia calls to infer a method; nested calls count for the outermost."
function timed_inference(instance::Core.MethodInstance, world::UInt, modes::UInt8...)    # from 1.12 on, what is wanted of it
    DEPTH[1] += 1
    started = time_ns()
    source = @static VERSION < v"1.6" ? Core.Compiler.typeinf_ext(instance, world) : Core.Compiler.typeinf_ext_toplevel(instance, world, modes...)
    took = time_ns() - started
    DEPTH[1] -= 1
    DEPTH[1] == 0 && (push!(INFERRED, instance); push!(INFERRED, took))
    return source
end

struct DlInfo
    path::Ptr{UInt8}
    base::Ptr{Cvoid}
    symbol::Ptr{UInt8}
    address::Ptr{Cvoid}
end

const LOADING = (:require, :_require, :_require_from_serialized, :_require_search_from_serialized, :_include_from_serialized,
    :_tryrequire_from_serialized, :compilecache, :run_package_callbacks)

"The phase that an address stands for, or `:run`."
function phase_of(address::UInt)
    info = Ref(DlInfo(C_NULL, C_NULL, C_NULL, C_NULL))
    if ccall(:dladdr, Cint, (Ptr{Cvoid}, Ref{DlInfo}), Ptr{Cvoid}(address), info) != 0 && info[].path != C_NULL
        name = basename(unsafe_string(info[].path))
        startswith(name, "libLLVM") && return :generation
        startswith(name, "libnativecache") && return :linking
        startswith(name, "sys.") || return :run
    end
    for frame in Base.StackTraces.lookup(Ptr{Cvoid}(address))
        file = string(frame.file)
        (occursin("ompiler/", file) || frame.func === :timed_inference) && return :inference
        frame.func in LOADING && return :loading
    end
    return :run
end

"Samples by phase."
function phases(data)
    counts = Dict(phase => 0 for phase in (:generation, :linking, :inference, :loading, :run))
    known = Dict{UInt,Symbol}()
    found = :run
    depth = 0
    for address in data
        if address == 0
            depth > 0 && (counts[found] += 1)
            found, depth = :run, 0
        elseif found === :run
            depth += 1
            found = get!(() -> phase_of(UInt(address)), known, UInt(address))
        else
            depth += 1
        end
    end
    return counts
end

include("../store/lines.jl")     # how texts become fields of lines

"A field of a line. Types are not shown by `show`, to which packages add methods of their own."
field(text) = escape_field(string(text))

const LIBRARY = joinpath(@__DIR__, "..", "..", "deps", "lib", "libnativecache.so")

function field(type::Type)
    # Who has no cache is not asked for signatures.
    VERSION < v"1.6" || return CACHED ? escape_field(Base.invokelatest(nativecache().signature_text, type)) : ""
    handle = ccall(:jl_load_dynamic_library, Ptr{Cvoid}, (Cstring, UInt32, Cint), LIBRARY, 1, 1)
    address = Ref(C_NULL)
    ccall(:jl_dlsym, Cint, (Ptr{Cvoid}, Cstring, Ptr{Ptr{Cvoid}}, Cint), handle, "nativecache_signature", address, 1)
    text = ccall(address[], Ptr{UInt8}, (Any,), type)
    return text == C_NULL ? "a signature that has no text" : escape_field(unsafe_string(text))
end

# The module NativeCache, where it is loaded: looked up, since this file does without it otherwise.
nativecache() = first(mod for (id, mod) in Base.loaded_modules if id.name == "NativeCache")

"`inferred`: what INFERRED had when the script ended; this function's own code comes after it."
function report(begun::Float64, finished::Float64, inferred::Vector{Any})
    counts = phases(Profile.fetch())
    linked = CACHED ? sum(Float64[library.seconds for library in Base.invokelatest(nativecache().found)]) : 0.0
    open(joinpath(FOLDER, "times"), "w") do io
        println(io, FIRST, '\t', begun, '\t', finished, '\t', linked)
        foreach(pair -> println(io, pair.first, '\t', pair.second), collect(counts))
    end
    open(joinpath(FOLDER, "inference"), "w") do io
        for i in 1:2:length(inferred)
            inferred[i].def isa Method && inferred[i].def.module !== NativeCacheProbe &&
                println(io, inferred[i+1], '\t', field(inferred[i].specTypes))
        end
    end
    if CACHED
        # NativeCache is younger than the world in which this runs.
        open(io -> Base.invokelatest(reasons, io, inferred), joinpath(FOLDER, "reasons"), "w")
        open(io -> Base.invokelatest(gains, io), joinpath(FOLDER, "status"), "w")
    end
    return nothing
end

function reasons(io, inferred)
    cache = nativecache()
    slow = sort!([(inferred[i+1], inferred[i]) for i in 1:2:length(inferred)]; by = first, rev = true)
    for (_, instance) in slow[1:min(end, 60)]
        (instance.def isa Method && instance.def.module !== NativeCacheProbe) || continue
        try
            story = Base.invokelatest(cache.explain, instance.specTypes)
            text, advice = story.reason === nothing ? ("", "") : Base.invokelatest(cache.reason, story.reason)
            println(io, something(story.reason, ""), '\t', field(text), '\t', field(advice), '\t', field(instance.specTypes))
        catch
            # a signature that cannot be explained has no reason in the report
        end
    end
end

function gains(io)
    for status in Base.invokelatest(nativecache().status)
        status.library === nothing || println(io, field(status.package), '\t', length(status.installed), '\t', length(status.requested), '\t',
            status.saved, '\t', status.seconds, '\t', status.bytes)
    end
end

precompile(timed_inference, VERSION < v"1.12" ? (Core.MethodInstance, UInt) : (Core.MethodInstance, UInt, UInt8, UInt8))
precompile(phases, (Vector{UInt},))
Profile.init(n = 20_000_000, delay = 0.002)

end

ccall(:jl_set_typeinf_func, Cvoid, (Any,), NativeCacheProbe.timed_inference)
const nativecache_probe_begun = time()
NativeCacheProbe.Profile.start_timer()
empty!(NativeCacheProbe.INFERRED)
try
    NativeCacheProbe.CACHED && Base.require(Main, :NativeCache)
    Base.include(Main, NativeCacheProbe.SCRIPT)
finally
    let finished = time(), inferred = copy(NativeCacheProbe.INFERRED)
        NativeCacheProbe.Profile.stop_timer()
        NativeCacheProbe.report(nativecache_probe_begun, finished, inferred)
    end
end
