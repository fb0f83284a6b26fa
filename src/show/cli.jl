# The commands of bin/nativecache, for shells and CI files.

const USAGE = """
    nativecache [Julia's options] COMMAND [arguments] [options]

    Keeps the native code that Julia compiles, so that the next session starts warm.

      build PACKAGE...         compile a package's methods into a library for later sessions;
                               several packages also get a library for what they need together
          --from WHAT          tests, trace, a script, ...; may be given several times
          --statements FILE    precompile statements, as julia --trace-compile=FILE writes them
          --linker, --timeout  settings; see `nativecache settings`
      run SCRIPT [ARGS]        run a script, with what a build has compiled of it (Julia 1.5.3)
      test [PACKAGE]           run a package's test/runtests.jl in the same way (Julia 1.5.3)
      build SCRIPT             compile what of a script or a test/runtests.jl can be, before it runs
      status [PACKAGE...]      load the packages and show what is installed; without a package,
                               list all libraries
          --check              exit code 1 unless a library is in use for each package
      explain PACKAGE [CALL]   why a library or a method is not used; CALL is Julia source such
                               as 'MyPackage.f(1)', whose arguments are evaluated
      report SCRIPT            where the time of SCRIPT goes, without the cache and with it
          --out FILE           also write an HTML report, for example latency.html
          --runs N             how often to run SCRIPT in each mode (3)
      gc                       remove files that are no longer needed
          --max-size SIZE      how large all libraries together may be, such as 500MB
      clear [PACKAGE]          remove all libraries and profiles of a package, or everything
      settings, reasons        list all settings with their sources; list all reasons with advice

      --json                   print the result as JSON, for programs
      --dry-run                with gc and clear: list the files, remove nothing
      --quiet                  show no progress
      --help, --version

    Options before the command go to Julia: `nativecache --project=. -O1 build MyPackage`.
    A library serves sessions that are started with the same options.

    Exit codes: 0 success; 1 failure (no library, the script failed);
    2 the command line is wrong; 3 Julia is missing, or NativeCache is not built;
    130 interrupted: the old library is still in place.

    Examples:
      nativecache --project=. build MyPackage --from tests
      nativecache --project=. status MyPackage --json
      nativecache explain MyPackage 'MyPackage.f([1.0, 2.0])'
      nativecache report first_session.jl --out latency.html
    """

"The command line is wrong: exit code 2."
struct UsageError <: Exception
    message::String
end

# Command => (minimum and maximum number of arguments, options with a value, options without).
const COMMANDS = (
    ("build", 1, typemax(Int), ("from", "statements", "linker", "timeout"), ("keep",)),
    ("status", 0, typemax(Int), (), ("check",)),
    ("explain", 1, 2, (), ()),
    ("report", 1, 1, ("out", "runs"), ()),
    ("gc", 0, 0, ("max-size",), ("dry-run",)),
    ("clear", 0, 1, (), ("dry-run",)),
    ("settings", 0, 0, (), ()),
    ("reasons", 0, 0, (), ()),
)

"""
    NativeCache.main(arguments; out = stdout, err = stderr) -> Int

Run a command of `bin/nativecache` and return its exit code. `nativecache --help` lists the commands.

# Example

    julia> NativeCache.main(["settings"])
"""
function main(arguments; out::IO = stdout, err::IO = stderr)
    ccall(:jl_exit_on_sigint, Cvoid, (Cint,), 0)
    try
        return run_command(collect(String, arguments), out)
    catch problem
        problem isa InterruptException && (println(err, "\nnativecache: interrupted; nothing was changed"); return 130)
        if problem isa UsageError
            println(err, "nativecache: ", problem.message, "\nsee `nativecache --help`")
            return 2
        end
        problem isa ArgumentError && (println(err, "nativecache: ", problem.msg); return 2)
        println(err, "nativecache: ", sprint(showerror, problem))
        return 1
    end
end

function run_command(arguments::Vector{String}, out::IO)
    if isempty(arguments) || any(in(("-h", "--help")), arguments)
        print(out, USAGE)
        return isempty(arguments) ? 2 : 0
    end
    arguments[1] == "--version" && (println(out, "NativeCache ", package_version(), ", Julia ", VERSION); return 0)
    at = findfirst(command -> command[1] == arguments[1], COMMANDS)
    at === nothing && throw(UsageError("there is no command $(repr(arguments[1])); the commands are $(join(first.(COMMANDS), ", "))"))
    name, least, most, valued, plain = COMMANDS[at]
    given, options = parse_options(name, arguments[2:end], valued, (plain..., "json", "quiet"))
    least <= length(given) <= most || throw(UsageError("$name takes $(count_text(least, most)), got $(length(given))"))
    _, message = session_message()
    if occursin("libnativecache", message)      # not built, or built from another version
        println(stderr, "nativecache: ", message)
        return 3
    end
    return COMMAND_BODIES[at](given, options, out)
end

count_text(least, most) = most == typemax(Int) ? "at least $least argument$(least == 1 ? "" : "s")" :
    least == most ? "$least argument$(least == 1 ? "" : "s")" : "$least to $most arguments"

"The arguments, and the options by name, each with a list of values. An option without a value has one empty value."
function parse_options(command, arguments, valued, plain)
    given, options = String[], Dict{String,Vector{String}}()
    position = 1
    while position <= length(arguments)
        argument = arguments[position]
        position += 1
        if !startswith(argument, "--")
            push!(given, argument)
            continue
        end
        name, value = occursin('=', argument) ? split(argument[3:end], '='; limit = 2) : (argument[3:end], nothing)
        if name in plain
            value === nothing || throw(UsageError("--$name takes no value"))
            value = ""
        elseif name in valued
            if value === nothing
                position <= length(arguments) || throw(UsageError("--$name needs a value"))
                value = arguments[position]
                position += 1
            end
        else
            throw(UsageError("$command has no option --$name; it has $(join(string.("--", (valued..., plain...)), ", "))"))
        end
        push!(get!(Vector{String}, options, name), value)
    end
    return given, options
end

one(options, name) = haskey(options, name) ? options[name][end] : nothing

function tell(out, options, result)
    haskey(options, "json") ? println(out, json(result)) : (show(out, MIME("text/plain"), result); println(out))
    return nothing
end

"Load the package with this name into Main."
function load_named(name)
    id = package_id(name)
    mod = Base.require(id)
    isdefined(Main, nameof(mod)) || Core.eval(Main, Expr(:const, Expr(:(=), nameof(mod), mod)))
    return id
end

function package_version()
    found = match(r"^version\s*=\s*\"([^\"]+)\""m, read(joinpath(dirname(SOURCES), "Project.toml"), String))
    return found === nothing ? "" : found[1]
end

# ---- the commands, in the order of COMMANDS ----

function command_build(given, options, out)
    keywords = Dict{Symbol,Any}(:quiet => haskey(options, "quiet") || haskey(options, "json"))
    for name in ("statements", "linker", "timeout")
        haskey(options, name) && (keywords[Symbol(name)] = one(options, name))
    end
    haskey(options, "keep") && (keywords[:keep] = true)
    if haskey(options, "from")
        sources = Any[occursin(r"[./]", source) ? source : Symbol(source) for source in options["from"]]
        keywords[:from] = length(sources) == 1 ? sources[1] : sources
    end
    result = build(length(given) == 1 ? given[1] : given; keywords...)
    tell(out, options, result)
    return is_built(result) ? 0 : 1
end

is_built(result::BuildResult) = result.library !== nothing
is_built(results) = !isempty(results) && all(is_built, results)

function command_status(given, options, out)
    if isempty(given)
        list = libraries()
        if haskey(options, "json")
            println(out, json(list))
        elseif isempty(list)
            println(out, "no libraries in ", join(joinpath.(DEPOT_PATH, STORE), ", "))
        else
            print_table(out, ["package", "size", "age", "for sessions like this", "path"], [[folder_package(item.package),
                size_text(item.bytes), age_text(item.built), item.usable === true ? "yes" : "no", item.path] for item in list]; left = (1, 5))
            println(out)
        end
        return 0
    end
    foreach(name -> VERSION < v"1.6" && is_script(name) || load_named(name), given)
    list = [Base.invokelatest(status, name) for name in given]
    if haskey(options, "json")
        println(out, json(list))
    else
        foreach(one -> tell(out, options, one), list)
    end
    return haskey(options, "check") && any(one -> one isa Status ? isempty(one.installed) : !isempty(one.message), list) ? 1 : 0
end

function command_explain(given, options, out)
    load_named(given[1])
    if length(given) == 1
        result = Base.invokelatest(explain, given[1])
    else
        call = Meta.parse(given[2]; raise = false)
        Meta.isexpr(call, (:call, :ref, :(.))) || throw(UsageError("explain: expected a call such as 'f(1)', got $(repr(given[2]))"))
        isdefined(Main, :NativeCache) || Core.eval(Main, :(import NativeCache))
        result = Core.eval(Main, :(NativeCache.@explain $call))
    end
    Base.invokelatest(tell, out, options, result)
    return 0
end

function command_report(given, options, out)
    runs = something(tryparse(Int, something(one(options, "runs"), "3")), 0)
    runs >= 1 || throw(UsageError("--runs: expected a positive number, got $(repr(one(options, "runs")))"))
    result = report(one(options, "out"); script = given[1], runs = runs)
    tell(out, options, result)
    return 0
end

command_gc(given, options, out) =
    (tell(out, options, gc!(; dry_run = haskey(options, "dry-run"), max_size = one(options, "max-size"))); 0)

function command_clear(given, options, out)
    dry = haskey(options, "dry-run")
    tell(out, options, isempty(given) ? clear!(; dry_run = dry) : clear!(given[1]; dry_run = dry))
    return 0
end

command_settings(given, options, out) = (tell(out, options, settings()); 0)

function command_reasons(given, options, out)
    list = reasons()
    haskey(options, "json") && (println(out, json(list)); return 0)
    for reason in list
        println(out, reason.code, "  ", reason.name, "\n     ", reason.text, "\n     (", reason.advice, ")")
    end
    return 0
end

const COMMAND_BODIES = (command_build, command_status, command_explain, command_report, command_gc, command_clear,
    command_settings, command_reasons)
