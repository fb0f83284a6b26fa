# A sysimage made the way PackageCompiler makes one: a process of the same Julia loads the packages over
# the sysimage that is there, runs the precompile statements, and writes all of it as an object file
# (`--output-o`), which the C compiler links.

module SysimageMaker

export make_sysimage

const SCRIPT = raw"""
Base.reinit_stdio()
@eval Sys BINDIR = ccall(:jl_get_julia_bindir, Any, ())::String
@eval Sys STDLIB = joinpath(Sys.BINDIR, "..", "share", "julia", "stdlib", string("v", VERSION.major, '.', VERSION.minor))
copy!(LOAD_PATH, split(ENV["SYSIMAGE_LOAD_PATH"], ':'))
copy!(DEPOT_PATH, split(ENV["SYSIMAGE_DEPOT_PATH"], ':'))
let staging = Module(:PrecompileStagingArea)
    for name in split(ENV["SYSIMAGE_PACKAGES"], ',')
        Core.eval(staging, Meta.parse("using $name"))
    end
    for line in eachline(ENV["SYSIMAGE_STATEMENTS"])
        try
            Core.eval(staging, Meta.parse(line))
        catch
            # as PackageCompiler does: a statement that fails is left out
        end
    end
end
empty!(LOAD_PATH)
empty!(DEPOT_PATH)
"""

"""
Make a sysimage at `path` with `packages` and what the file of precompile statements names; returns
(seconds, peak memory in bytes).
"""
function make_sysimage(path, packages, statements; load_path, depot)
    object = string(path, ".o")
    base = unsafe_string(Base.JLOptions().image_file)
    script = string(path, ".jl")
    write(script, SCRIPT)
    environment = copy(ENV)
    filter!(pair -> !startswith(pair.first, "JULIA_"), environment)
    merge!(environment, Dict("SYSIMAGE_LOAD_PATH" => join(load_path, ':'), "SYSIMAGE_DEPOT_PATH" => depot,
        "SYSIMAGE_PACKAGES" => join(packages, ','), "SYSIMAGE_STATEMENTS" => statements,
        "JULIA_LOAD_PATH" => join(load_path, ':'), "JULIA_DEPOT_PATH" => depot))
    julia = joinpath(Sys.BINDIR, Base.julia_exename())
    started = time()
    run(pipeline(setenv(`$julia --startup-file=no --cpu-target=native -J$base --output-o $object $script`, environment);
        stdin = devnull, stdout = devnull, stderr = string(path, ".log")))
    memory = peak_of_children()
    run(`cc -shared -o $path -Wl,--whole-archive $object -Wl,--no-whole-archive`)
    seconds = time() - started
    foreach(rm, (object, script))
    return seconds, memory
end

"The largest peak of any child so far, in bytes; made for processes that start one large child."
function peak_of_children()
    usage = zeros(Int, 18)
    ccall(:getrusage, Cint, (Cint, Ptr{Int}), -1, usage)
    return usage[5] * 1024
end

end
