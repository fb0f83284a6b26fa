# Stack traces of cached code read as those of the same code compiled by the JIT.
#
# Every script below runs in two fresh processes, without and with the cache, and must print the same text.
# Expects from the harness
#     cached_session(package_dir, script_file; cache::Bool, statements::String) -> (stdout, stderr)
# which runs `script_file` by its path in a fresh process that has `package_dir`'s parent on its load path; with
# `cache` after the library for `statements` (lines `precompile(...)`) was built and with NativeCache loaded
# before the script. The process may fail: an uncaught error is one of the cases.

using Test

const FRAMES_PROJECT = """
name = "FramesFixture"
uuid = "6d0c1a52-9c6f-4d0e-9a35-0f3f6a4f7c11"
version = "0.1.0"
"""

const FRAMES_PACKAGE = """
module FramesFixture

@inline checked(x) = x < 0 ? throw(DomainError(x, "negative")) : sqrt(x)
@inline halve(x) = checked(x) / 2
@noinline middle(x::Number) = halve(x) + 1
outer(x) = middle(x) * 2

@noinline function keyed(x; scale = 1)
    scale == 0 && error("scale is zero")
    return middle(x / scale)
end
callkeyed(x) = keyed(x; scale = 2)
zeroscale(x) = keyed(x; scale = 0)

adder(n) = x -> middle(x + n)
mapped(v) = map(adder(-10), v)
callback(@nospecialize(f), x) = f(x) + 1

@noinline deep(n) = n == 0 ? middle(-1) : 1 + deep(n - 1)
@noinline ping(n) = n == 0 ? middle(-1) : 1 + pong(n - 1)
@noinline pong(n) = 1 + ping(n - 1)

function nested(x)
    try
        middle(x)
    catch
        error("while cleaning up")
    end
end
index(v, i) = v[i] + 1
parametric(x::Vector{T}, y::Type{S}) where {T, S} = middle(convert(S, x[1]))
intask(x) = fetch(@async middle(x))
here() = stacktrace()

@noinline function spin(i)
    t = 0.0
    for j in 1:20_000
        t += cos(i + j)
    end
    return t
end
function burn(seconds)
    s, stop = 0.0, time() + seconds
    while time() < stop
        s += spin(s)
    end
    return s
end

struct Held{T}
    value::T
end
(h::Held)(x) = middle(x + h.value)

end
"""

const FRAMES_STATEMENTS = """
precompile(Tuple{typeof(FramesFixture.outer), Int64})
precompile(Tuple{typeof(FramesFixture.middle), Int64})
precompile(Tuple{typeof(FramesFixture.middle), Float64})
precompile(Tuple{typeof(FramesFixture.callkeyed), Int64})
precompile(Tuple{typeof(FramesFixture.zeroscale), Int64})
precompile(Tuple{typeof(FramesFixture.mapped), Array{Int64, 1}})
precompile(Tuple{typeof(FramesFixture.adder), Int64})
precompile(Tuple{typeof(FramesFixture.callback), Any, Int64})
precompile(Tuple{typeof(FramesFixture.deep), Int64})
precompile(Tuple{typeof(FramesFixture.ping), Int64})
precompile(Tuple{typeof(FramesFixture.nested), Int64})
precompile(Tuple{typeof(FramesFixture.index), Array{Int64, 1}, Int64})
precompile(Tuple{typeof(FramesFixture.parametric), Array{Int64, 1}, Type{Float64}})
precompile(Tuple{typeof(FramesFixture.intask), Int64})
precompile(Tuple{typeof(FramesFixture.here)})
precompile(Tuple{typeof(FramesFixture.burn), Float64})
precompile(Tuple{FramesFixture.Held{Int64}, Int64})
"""

# `CASES`: one function for each way to throw. They call through `invokelatest`, so that nothing of the package is
# inlined into the script, and have names, since the numbers of anonymous functions depend on what else is loaded.
# `in_library(bt)` counts frames whose code lies in a shared library although their source is the fixture: what
# makes these tests say something.
const FRAMES_PRELUDE = """
using FramesFixture
const F = FramesFixture
const call = Base.invokelatest
from_main(x) = error("from Main")
inlined() = call(F.outer, -1)
direct() = call(F.middle, -1.5)
keyword_body() = call(F.callkeyed, -4)
keyword_sorter() = call(F.zeroscale, 3)
closure_in_map() = call(F.mapped, [1, 2])
callable_struct() = call(F.Held(-10), 1)
callback() = call(F.callback, from_main, 1)
deep() = call(F.deep, 70)
cycle() = call(F.ping, 60)
exception_stack() = call(F.nested, -1)
sysimage_code() = call(F.index, [1, 2], 5)
type_parameters() = call(F.parametric, [-1], Float64)
task() = call(F.intask, -1)
const CASES = [inlined, direct, keyword_body, keyword_sorter, closure_in_map, callable_struct, callback, deep, cycle,
               exception_stack, sysimage_code, type_parameters, task]
struct DlInfo; file::Cstring; base::Ptr{Cvoid}; symbol::Cstring; address::Ptr{Cvoid}; end
function in_library(bt)
    info = Ref(DlInfo(C_NULL, C_NULL, C_NULL, C_NULL))
    count(bt) do ip
        ip isa Ptr || return false
        known = ccall(:dladdr, Cint, (Ptr{Cvoid}, Ptr{DlInfo}), ip, info) != 0
        known && any(f -> endswith(string(f.file), "FramesFixture.jl"), StackTraces.lookup(ip))
    end
end
"""

const FRAMES_SCRIPTS = [
    "StackFrames" => """
    for f in CASES
        println("== ", f)
        try
            f()
        catch
            bt = catch_backtrace()
            println(stderr, in_library(bt))
            for s in stacktrace(bt)
                s.linfo isa Core.CodeInfo ? println(s) :
                    println((s.func, s.file, s.line, s.linfo, s.from_c, s.inlined))
            end
        end
    end
    println("== stacktrace()")
    foreach(println, call(F.here))
    """,
    "showerror, catch_stack, display_error, CapturedException" => """
    for f in CASES
        println("== ", f)
        try
            f()
        catch e
            bt = catch_backtrace()
            println(stderr, in_library(bt))
            showerror(stdout, e, bt)
            println()
            showerror(IOContext(stdout, :color => true, :limit => true), e, bt)
            println()
            Base.show_backtrace(stdout, bt)
            println()
            Base.display_error(stdout, Base.catch_stack())
            showerror(stdout, CapturedException(e, bt))
            println()
        end
    end
    """,
    "logging and Test" => """
    using Logging, Test
    for f in CASES
        try
            f()
        catch e
            bt = catch_backtrace()
            println(stderr, in_library(bt))
            with_logger(ConsoleLogger(stdout)) do
                @error nameof(f) exception = (e, bt)
            end
        end
    end
    try
        @testset "errors" begin
            @test call(F.callkeyed, -4) == 1
            @test_throws ErrorException call(F.deep, 3)
            @testset "outside of @test" begin
                call(F.mapped, [1, 2])
            end
        end
    catch e
        println(typeof(e))
    end
    """,
    # What Revise does, installed after NativeCache.
    "update_stackframes_callback" => """
    Base.update_stackframes_callback[] = function (trace)
        for (i, (s, n)) in enumerate(trace)
            s.linfo isa Core.MethodInstance || continue
            trace[i] = (StackTraces.StackFrame(s.func, s.file, s.line + 1000, s.linfo, s.from_c, s.inlined, s.pointer), n)
        end
    end
    for f in CASES
        try
            f()
        catch e
            bt = catch_backtrace()
            println(stderr, in_library(bt))
            showerror(stdout, e, bt)
            println()
        end
    end
    """,
    "Profile" => """
    using Profile
    try call(F.outer, -1) catch; println(stderr, in_library(catch_backtrace())) end
    Profile.init(delay = 0.001)
    call(F.burn, 0.01)
    @profile call(F.burn, 0.5)
    seen = Set{String}()
    for frames in values(Profile.getdict(Profile.fetch())), s in frames
        endswith(string(s.file), "FramesFixture.jl") && s.func in (:burn, :spin) &&
            push!(seen, string((s.func, s.linfo, s.from_c, s.inlined)))
    end
    foreach(println, sort!(collect(seen)))
    text = sprint(io -> Profile.print(io, format = :flat))
    println(occursin(r"FramesFixture.jl +\\d+ +spin\\(", text), occursin(r"FramesFixture.jl +\\d+ +burn\\(", text))
    """,
    "REPL" => """
    using REPL
    try call(F.outer, -1) catch; println(stderr, in_library(catch_backtrace())) end
    const INPUT = IOBuffer(join([
        "call(F.callkeyed, -4)", "inlined()", "call(F.deep, 70)", "call(F.nested, -1)", "call(F.intask, -1)",
        "err", "try call(F.mapped, [1]) catch e; stacktrace(catch_backtrace()) end"], "\\n") * "\\n")
    const OUTPUT = IOBuffer()
    REPL.run_repl(REPL.BasicREPL(REPL.Terminals.TTYTerminal("dumb", INPUT, OUTPUT, OUTPUT)))
    print(String(take!(OUTPUT)))
    """,
]

# The uncaught ones end their process; the trace goes to stderr.
const FRAMES_UNCAUGHT = [
    "uncaught error" => "call(F.callkeyed, -4)",
    "uncaught exception stack" => "call(F.nested, -1)",
    "uncaught from a task" => "call(F.intask, -1)",
]

function frames_fixture(dir)
    package = mkpath(joinpath(dir, "FramesFixture"))
    mkpath(joinpath(package, "src"))
    write(joinpath(package, "Project.toml"), FRAMES_PROJECT)
    write(joinpath(package, "src", "FramesFixture.jl"), FRAMES_PACKAGE)
    return package
end

# Both runs take the script from the same path, since traces show it.
function both_ways(package, body)
    script = joinpath(dirname(package), "script.jl")
    write(script, FRAMES_PRELUDE * body)
    run(cache) = cached_session(package, script; cache = cache, statements = FRAMES_STATEMENTS)
    return run(false), run(true)
end

# `nothing`, or the first lines that are not the same.
function first_difference(expected, found)
    a, b = split(expected, '\n'), split(found, '\n')
    length(a) < length(b) && append!(a, fill("(end)", length(b) - length(a)))
    length(b) < length(a) && append!(b, fill("(end)", length(a) - length(b)))
    i = findfirst(k -> a[k] != b[k], 1:length(a))
    return i === nothing ? nothing : (line = i, expected = a[i], found = b[i])
end

counts(text) = parse.(Int, filter(line -> occursin(r"^\d+$", line), split(text, '\n')))

@testset "frames of cached code" begin
    mktempdir() do dir
        package = frames_fixture(dir)
        @testset "$name" for (name, body) in FRAMES_SCRIPTS
            (out, err), (cached_out, cached_err) = both_ways(package, body)
            @test !isempty(counts(err)) && all(iszero, counts(err))
            @test length(counts(cached_err)) == length(counts(err))
            @test all(>(0), counts(cached_err))
            @test occursin("FramesFixture.jl", out) || occursin("truetrue", out)
            @test first_difference(out, cached_out) === nothing
        end
        @testset "$name" for (name, body) in FRAMES_UNCAUGHT
            (out, err), (cached_out, cached_err) = both_ways(package, body)
            @test out == cached_out == ""
            @test occursin("LoadError", err) && occursin("FramesFixture.jl", err)
            @test first_difference(err, cached_err) === nothing
        end
    end
end
