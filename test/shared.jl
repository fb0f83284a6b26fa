# What several test files use: a box with trained packages, each made once, when first asked for.

using .Sandbox: Sandbox, status, statements, julia!, traced, succeeded

"Is this part of a file to run? NATIVECACHE_TEST_PART chooses those whose name contains it (test/mutations)."
part(name) = occursin(get(ENV, "NATIVECACHE_TEST_PART", ""), name)

# The engine of Julia 1.10 and later.
const COMPANIONS = VERSION >= v"1.10"
const STORE_FOLDER = joinpath("nativecache", "v$(VERSION.major).$(VERSION.minor)")

"The files of a library, the one that is called its path first; and the one with its native code."
library_files(path) = COMPANIONS ? [String(path); filter!(file -> startswith(basename(file), chop(basename(path); tail = 10) * "-"),
    joinpath.(dirname(path), readdir(dirname(path))))] : [String(path)]
native_file(path) = only(filter(file -> endswith(file, ".so"), library_files(path)))

const TRAINED = Dict{String,Any}()
const SHARED_BOX = Ref{Union{Nothing,Box}}(nothing)

function shared_box()
    SHARED_BOX[] === nothing && (SHARED_BOX[] = Box())
    return SHARED_BOX[]
end

function remove_shared()
    SHARED_BOX[] === nothing || remove(SHARED_BOX[])
    SHARED_BOX[] = nothing
    empty!(TRAINED)
    foreach(remove, values(FRAME_BOXES))
    empty!(FRAME_BOXES)
end

"""
A standard library under another uuid, or the package of test/fixtures, with the library that
was built from the trace of its first session.
"""
function trained(package)
    get!(TRAINED, package) do
        box = shared_box()
        fixture = joinpath(@__DIR__, "fixtures", "$package.jl")
        isfile(fixture) ? add_package(box, package, read(fixture, String)) : add_stdlib_copy(box, package)
        body = read(joinpath(SESSIONS, "$package.jl"), String)
        run_session(box, body; cached = false)
        trace, compiled = trace_session(box, body; cached = false)
        result = build(box, repr(package), trace)
        (box = box, package = package, body = body, trace = trace, traced = compiled, build = result,
         without = run_session(box, body; cached = false).run)
    end
end

const FRAME_BOXES = Dict{Tuple{String,String},Box}()

"""
What test/frames.jl needs: run a script by its path, without the cache or with it, after a
library for the package in `package_dir` was built from `statements`. Both runs begin with
a file of one line, so that their traces differ in nothing else.
"""
function cached_session(package_dir, script_file; cache::Bool, statements::String)
    name = basename(package_dir)
    box = get!(FRAME_BOXES, (package_dir, statements)) do
        box = Box(dirname(package_dir))
        julia!(box, "using $name")
        result = build(box, repr(name), String.(split(statements, '\n'; keepempty = false)))
        result.library === nothing && error(result.message)
        box
    end
    before = joinpath(box.root, "before.jl")
    write(before, cache ? "using NativeCache" : "nothing")
    run = Sandbox.run_julia(box, `-L $before $script_file`)
    return run.out, run.err
end
