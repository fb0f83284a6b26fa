# A script is run as it is, traced, warm, and warm after an edit: what it prints, its exit code, where its error was, and the
# values of its globals agree.

include("generator.jl")
using .ScriptGenerator

"What a run showed, but for what must differ: numbers of closures, and frames of blocks."
function shown(run)
    errors = replace(run.err, r"#\d+(#\d+)?" => "#")
    # Frames of a script are its lines; whose frames lie between is Julia's and ours.
    lines = filter(line -> occursin(r"script\.jl:\d+|^ERROR", line), split(errors, '\n'))
    # A block that is called has a frame more, that of its call.
    lines = [line for (at, line) in enumerate(lines) if at == 1 || !occursin("toplevel_", lines[at-1])]
    lines = [replace(line, r"^ *\[\d+\] .* at " => "at ") for line in lines]
    return (out = replace(run.out, r"#\d+(#\d+)?" => "#"), code = run.code, signal = run.signal, errors = unique(lines))
end

const AT_END = raw"""
    for name in NAMES
        isdefined(Main, name) && println(name, " = ", repr(Base.invokelatest(getfield, Main, name)))
    end
    """

"Runs a script in a process: `how` is the code that runs the path in `ARGS[1]`."
function run_script_in(box, path, globals, how; options...)
    names = string("const NAMES = Symbol[", join((":$name" for name in globals), ", "), "]")
    code = "$names\natexit(() -> begin\n$AT_END\nend)\n$how"
    return Sandbox.julia(box, replace(code, "SCRIPT" => repr(path)); options...)
end

const PLAIN = "include(SCRIPT)"
const CACHED = "using NativeCache\nNativeCache.include(SCRIPT)"
const TRACED = ["JULIA_NATIVECACHE_TRACE" => "yes"]

"`nothing`, or how a script differs: (what was run, plain, cached)."
function differs(box, script, edit)
    path = joinpath(box.root, "script.jl")
    write(path, ScriptGenerator.text(script))
    plain = shown(run_script_in(box, path, script.globals, PLAIN))
    traced = shown(run_script_in(box, path, script.globals, CACHED; env = TRACED))
    traced == plain || return ("traced", plain, traced)
    Sandbox.julia!(box, "using NativeCache\nNativeCache.build($(repr(path)); quiet = true)")
    warm = shown(run_script_in(box, path, script.globals, CACHED))
    warm == plain || return ("warm", plain, warm)
    write(path, ScriptGenerator.text(edit))
    plain = shown(run_script_in(box, path, script.globals, PLAIN))
    warm = shown(run_script_in(box, path, script.globals, CACHED))
    warm == plain || return ("warm after an edit", plain, warm)
    return nothing
end
