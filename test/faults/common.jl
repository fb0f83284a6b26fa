using Random
# What the fault tests share: a small package whose answers are known, in a box of its own for
# each test that damages something, and processes that are watched from outside.

# `NATIVECACHE_FAULTS=full` (`make faults`) tries more points of each kind.
const FULL = get(ENV, "NATIVECACHE_FAULTS", "") == "full"
points(some, more) = FULL ? more : some

const SMALL = """
    module Small
    struct Item; name::String; value::Float64; end
    const TABLE = Dict("one" => 1.0, "two" => 2.0)
    lookup(name::String) = Item(name, get(TABLE, name, NaN))
    total(items::Vector{Item}) = sum(item.value for item in items)
    show_all(items::Vector{Item}) = join((string(item.name, "=", item.value) for item in items), ", ")
    fail(n::Int) = n > 2 ? error("n is ", n) : n
    spin(n::Int) = (s = 0.0; for i in 1:n; s += sqrt(i); end; s)
    end
    """

const SMALL_STATEMENTS = ["Tuple{typeof(Small.lookup),String}", "Tuple{typeof(Small.show_all),Array{Small.Item,1}}",
    "Tuple{typeof(Small.total),Array{Small.Item,1}}", "Tuple{typeof(Small.fail),Int64}", "Tuple{typeof(Small.spin),Int64}"]

# What a session with it says, with the cache or without.
const SMALL_BODY = """
    using Small
    items = [Small.lookup("one"), Small.lookup("two")]
    println(Small.total(items), " ", Small.show_all(items), " ", Small.spin(1000) > 0, " ", try Small.fail(3) catch e; e.msg end)
    """
const SMALL_OUT = "3.0 one=1.0, two=2.0 true n is 3\n"
const SMALL_SESSION = "using NativeCache\n" * SMALL_BODY
# The same, and then how much of it is installed and why nothing is.
const SMALL_STATUS = SMALL_SESSION * """
    s = NativeCache.status("Small")
    println(length(s.installed), " ", join(unique(string(item.reason) for item in s.rejected), ","))
    print(s.message)
    """

"A box with the package and a library for it; `t.library` is the path, `t.good` its bytes."
function small(packages = nothing)
    box = Box(packages)
    packages === nothing && add_package(box, "Small", SMALL)
    result = build(box, repr("Small"), SMALL_STATEMENTS)
    result.library === nothing && error(result.message)
    return (box = box, library = result.library, good = read(result.library))
end

store_of(box) = joinpath(box.depot, "nativecache", "v1.5")
leftovers(box) = isdir(store_of(box)) ? filter(startswith("build-"), readdir(store_of(box))) : String[]

"The code that builds the library again, for a process that may be killed; `statements` are names of functions."
build_script(statements = SMALL_STATEMENTS; keywords = "") = """
    using NativeCache
    result = NativeCache.build("Small"; statements = $(repr(statements)), quiet = true$(isempty(keywords) ? "" : ", $keywords"))
    print(result.library === nothing ? result.message : "built")
    """

"""
Start a Julia in the box and do not wait for it. `wrapper` goes before the command. Its output
is in `process.out` and `process.err` once `finish` has waited for it.
"""
function start(box, script; flags = ``, env = Pair{String,String}[], wrapper = ``, depot = box.depot, packages = box.packages)
    path = tempname(box.root; cleanup = false)
    write("$path.jl", script)
    environment = Dict{String,String}(name => value for (name, value) in ENV if !startswith(name, "JULIA_"))
    environment["JULIA_LOAD_PATH"] = join([packages, ROOT, "@stdlib"], ':')
    environment["JULIA_DEPOT_PATH"] = depot
    environment["JULIA_NATIVECACHE_AUTO"] = "off"       # else a session leaves a build running, as it is told to
    foreach(pair -> environment[pair.first] = pair.second, env)
    command = setenv(`$wrapper $(Sandbox.julia_program()) --startup-file=no --history-file=no --color=no $flags $path.jl`,
        environment; dir = box.root)
    process = run(pipeline(command; stdin = devnull, stdout = "$path.out", stderr = "$path.err"); wait = false)
    return (process = process, path = path)
end

"Wait for it; killed after `limit` seconds, which is an error: nothing here may hang."
function finish(started; limit = 120)
    watch = Timer(_ -> kill(started.process, Base.SIGKILL), limit)
    wait(started.process)
    hung = !isopen(watch)
    close(watch)
    out, err = read("$(started.path).out", String), read("$(started.path).err", String)
    foreach(ending -> rm(string(started.path, ending); force = true), (".jl", ".out", ".err"))
    return (out = out, err = err, code = started.process.exitcode, signal = started.process.termsignal, hung = hung)
end

run_in(box, script; limit = 120, options...) = finish(start(box, script; options...); limit = limit)

"Wait until `condition()` holds, for `limit` seconds at most; says whether it came to hold."
function wait_until(condition; limit = 60)
    until = time() + limit
    while time() < until
        condition() && return true
        sleep(0.005)
    end
    return false
end

"The processes whose command line has `text` in it: (pid, command line)."
function processes_with(text)
    found = Tuple{Int,String}[]
    for name in readdir("/proc")
        all(isdigit, name) || continue
        line = try
            replace(read("/proc/$name/cmdline", String), '\0' => ' ')
        catch
            continue
        end
        occursin(text, line) && push!(found, (parse(Int, name), line))
    end
    return found
end

"Can this process mount things of its own? Only root can, and not in every container."
const MAY_MOUNT = Ref{Union{Nothing,Bool}}(nothing)
function may_mount()
    if MAY_MOUNT[] === nothing
        MAY_MOUNT[] = Sys.which("unshare") !== nothing &&
            success(pipeline(`unshare -m sh -c "mount -t tmpfs -o size=1m tmpfs /mnt"`; stderr = devnull))
    end
    return MAY_MOUNT[]
end

"A session of its own kind must end as it does without the cache, and say the same."
function unharmed(run)
    @test run.out == SMALL_OUT
    @test run.err == ""
    @test (run.code, run.signal, run.hung) == (0, 0, false)
end

"A session that ran `SMALL_STATUS` and has all of it installed, with nothing else to say."
warm(run) = @test (run.out, run.err) == (string(SMALL_OUT, length(SMALL_STATEMENTS), " \n"), "")
