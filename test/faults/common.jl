using Random
# What the fault tests share: a small package whose answers are known, in a box of its own for
# each test that damages something, and processes that are watched from outside.

# `NATIVECACHE_FAULTS=full` (`make faults`) tries more points of each kind.
const FULL = "full" in split(get(ENV, "NATIVECACHE_FAULTS", ""), ',')
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
# That from what the status is made of, which takes a second less to compile.
const SMALL_FOUND = SMALL_SESSION * """
    let lines = split(unsafe_string(ccall((:nativecache_found, NativeCache.LIBRARY), Ptr{UInt8}, ())), '\\n')
        found = [fields for fields in [split(line, '\\t') for line in lines] if length(fields) > 15 && fields[2] == "Small"]
        println(sum(Int[parse(Int, fields[6]) for fields in found]), " ", sum(Int[parse(Int, fields[9]) for fields in found]) == 0 ? "" : "rejected")
        print(join([fields[end] for fields in found], "; "))
    end
    """

# The package, a depot with its image and NativeCache's, and two libraries for it, made once: what is made for
# each test is a copy of the depot.
const FEW = SMALL_STATEMENTS[1:2]       # of another library for the same place
const TEMPLATE = let box = Box()
    add_package(box, "Small", SMALL)
    # Each session needs a method of its own.
    add_package(box, "Taught", "module Taught\n@noinline f(::Val{N}) where {N} = string(\"number \", N)\nend")
    few = build(box, repr("Small"), FEW)
    few.library === nothing && error(few.message)
    bytes = read(few.library)
    all = build(box, repr("Small"), SMALL_STATEMENTS)
    all.library == few.library || error(all.message)
    (box = box, library = all.library, good = read(all.library), few = bytes)
end

"""
A box with the package and a library for it; `t.library` is the path, `t.good` its bytes, `t.few` those of a
library for `FEW`. The folder of packages is the template's.
"""
function small()
    box = Box(TEMPLATE.box.packages)
    copy_depot(box)
    library = joinpath(box.depot, relpath(TEMPLATE.library, TEMPLATE.box.depot))
    return (box = box, library = library, good = TEMPLATE.good, few = TEMPLATE.few)
end

"A depot with the image of NativeCache, so that the box need not make it; and with `Small` and its library."
copy_depot(box::Box; options...) = (copy_depot(box.depot; options...); box)

function copy_depot(depot; images = false)
    for folder in (images ? (joinpath("compiled", "v1.5", "NativeCache"),) : ("compiled", "nativecache"))
        place = joinpath(depot, folder)
        mkpath(dirname(place))
        rm(place; force = true, recursive = true)
        cp(joinpath(TEMPLATE.box.depot, folder), place)
    end
    return nothing
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
    counted!("processes", 1)
    return (process = process, path = path)
end

"Wait for it; killed after `Sandbox.LIMIT` seconds, which is an error: nothing here may hang."
function finish(started)
    watch = Timer(_ -> kill(started.process, Base.SIGKILL), Sandbox.LIMIT)
    wait(started.process)
    hung = !isopen(watch)
    close(watch)
    out, err = read("$(started.path).out", String), read("$(started.path).err", String)
    foreach(ending -> rm(string(started.path, ending); force = true), (".jl", ".out", ".err"))
    return (out = out, err = err, code = started.process.exitcode, signal = started.process.termsignal, hung = hung)
end

run_in(box, script; options...) = finish(start(box, script; options...))

"Wait until `condition()` holds, for `Sandbox.LIMIT` seconds at most; says whether it came to hold."
function wait_until(condition)
    until = time() + Sandbox.LIMIT
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

"A session that ran `SMALL_STATUS` or `SMALL_FOUND` and has all of it installed, with nothing else to say."
warm(run) = @test (run.out, run.err) == (string(SMALL_OUT, length(SMALL_STATEMENTS), " \n"), "")

# ---- profiles that sessions write ----

taught_session(number; before = "") = "using NativeCache, Taught\n$before\nprint(Taught.f(Val($number)))"
taught_profile(box) = joinpath(store_of(box), "profiles", string("Taught-", replace(Sandbox.uuid("Taught"), "-" => "")), "trace.profile")

"The numbers that sessions have taught."
function taught(box)
    isfile(taught_profile(box)) || return Int[]
    text = read(taught_profile(box), String)
    return sort!([parse(Int, found[1]) for found in eachmatch(r"Taught\.f\), (?:Base\.)?Val\{(\d+)\}", text)])
end

"What lies beside profiles that should be merged or gone by now."
unfinished(box) = filter(name -> occursin(r"pending|\.tmp-", name), readdir(dirname(taught_profile(box))))

# ---- operations on the store's files, seen and disturbed from outside: shim.c ----

const SHIM = Ref{Union{Nothing,String}}(nothing)

"The compiled shim; it lies outside of the boxes, and goes with this process."
function shim()
    if SHIM[] === nothing
        SHIM[] = joinpath(mktempdir(), "shim.so")
        run(`cc -shared -fPIC -O2 -o $(SHIM[]) $(joinpath(ROOT, "test", "faults", "shim.c")) -ldl`)
    end
    return SHIM[]
end

"The environment of a process with the shim; `counter` is a file that `counted` reads."
function shimmed(counter; options...)
    write(counter, zeros(UInt8, 4096))
    return ["LD_PRELOAD" => shim(), "SHIM_COUNTER" => counter,
        (string("SHIM_", uppercase(string(name))) => string(value) for (name, value) in options)...]
end

"(operations on files of the store, calls of flock) so far."
counted(counter) = Tuple(reinterpret(Int64, read(counter)[1:16]))

"""
Run `session(env)` again and again, and kill what does the n-th operation on the store's files, for `count` of all n
(or every one): before each `prepare()`, after each `check(n)`. Returns how many were killed.
"""
function killed_at_operations(session, box; prepare = () -> nothing, check, count)
    counter = tempname(box.root; cleanup = false)
    prepare()
    session(shimmed(counter))
    operations = counted(counter)[1]
    operations > 0 || error("no operation was seen")
    # The first does more than others, the making of folders for one.
    chosen = operations <= count ? (1:operations) : unique(round.(Int, range(1, 0.6 * operations; length = count)))
    killed = 0
    for n in chosen
        prepare()
        session(shimmed(counter; kill_at = n))
        wait_until(() -> isempty(processes_with(box.root)))
        reached = counted(counter)[1]
        killed += reached >= n
        reached >= n || println("  operation ", n, " of ", operations, " was not reached: ", reached)
        counted!("kills", 1)
        check(n)
    end
    rm(counter)
    return killed
end

# ---- damage ----

# Everything that can be done to the bytes is tried in one session, which must survive all of it;
# what stands in the library's place in the file system, in a session each.
const DAMAGE = raw"""
    using NativeCache, Small
    function outcome(path)
        counts = zeros(UInt8, 64)
        id = ccall((:nativecache_link, NativeCache.LIBRARY), Int64, (Cstring, Any, Ptr{UInt8}),
            path, Base.loaded_modules_array(), counts)
        code = reinterpret(Int32, counts[33:36])[1]
        return id, code == 0 ? :none : NativeCache.reason_name(code)
    end
    good = read(GOOD)
    place = joinpath(dirname(GOOD), "damaged.so")
    seen = Dict{Symbol,Int}()
    function refused(bytes)
        write(place, bytes)
        id, reason = outcome(place)
        id < 0 && reason !== :none || error("not refused: ", length(bytes), " bytes")
        seen[reason] = get(seen, reason, 0) + 1
    end
    # Every length near the ends and near the border of code and tables, and many between.
    lengths = sort!(unique!([0:200; length(good) .- (1:200); 1:max(1, length(good) ÷ TRUNCATIONS):length(good)-1]))
    foreach(n -> refused(good[1:n]), lengths)
    # One bit, in every part.
    flips = sort!(unique!([1:64; length(good) .- (0:95); 1:max(1, length(good) ÷ FLIPS):length(good)]))
    for at in flips
        bytes = copy(good)
        bytes[at] ⊻= 0x01 << (at % 8)
        refused(bytes)
    end
    # Pages of zeros, as a file system leaves them after a crash; a page from elsewhere; more at the end.
    for start in 1:4096:length(good)-4096
        bytes = copy(good)
        bytes[start:start+4095] .= 0
        bytes == good || refused(bytes)
        copyto!(bytes, start, good, length(good) - start > 8192 ? start + 4096 : 1, 4096)
        bytes == good || refused(bytes)
    end
    refused([good; good])
    refused([good; zeros(UInt8, 96)])
    refused([good; 0x0a])
    refused(zeros(UInt8, length(good)))
    refused(good[end:-1:1])
    # Read in pieces too large to read: nothing but its end is looked at.
    open(io -> truncate(io, 1 << 40), place, "w")
    outcome(place)[1] < 0 || error("a hole was accepted")
    rm(place)
    id, reason = outcome(GOOD)
    println(length(lengths), " ", length(flips), " ", id >= 0, " ", reason)
    println(join(sort!([string(k) for k in keys(seen)]), " "))
    print(length(NativeCache.status("Small").installed))
    """
