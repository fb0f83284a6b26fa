# One random case: packages, libraries trained by one session, and other sessions of them with
# and without the cache, which must print the same.

using .RandomPackages: RandomPackages, random_case, random_session, training_session

"A session in which the cache made a difference."
struct Mismatch
    seed::Int
    session::Int
    script::String
    without::String
    with::String
end

function Base.show(io::IO, m::Mismatch)
    println(io, "random case ", m.seed, ", session ", m.session, ": not the same with the cache")
    a, b = split(m.without, '\n'), split(m.with, '\n')
    for i in 1:max(length(a), length(b))
        x, y = get(a, i, "(nothing)"), get(b, i, "(nothing)")
        x == y || return print(io, "  line ", i, "\n  without: ", x, "\n  with:    ", y)
    end
end

# `timeout -s KILL` kills itself too: the signal is what there is to see, and a code in a shell only.
timed_out(run) = run.signal == Base.SIGKILL || run.code == 128 + Base.SIGKILL

"Set up the packages of a case in a box and build a library for each."
function prepare_case(case, box)
    for (i, name) in enumerate(case.names)
        add_package(box, name, case.sources[i]; deps = [dep => Sandbox.uuid(dep) for dep in case.names[1:i-1]])
    end
    training = training_session(case, case.seed)
    julia!(box, "using NativeCache, " * join(case.names, ", "))
    trace = joinpath(box.root, "random.trace")
    run = julia(box, RandomPackages.script(training; cached = false); flags = `--trace-compile=$trace`,
        program = `timeout -s KILL 90 $(Sandbox.julia_program())`)
    timed_out(run) && return false
    run.code == 0 || error("the training session failed: $(run.err)")
    texts = sort!(unique!(traced(trace)))
    of(name) = filter(text -> occursin("$name.", text), texts)
    lists = joinpath.(box.root, case.names .* ".statements")
    for (name, list) in zip(case.names, lists)
        write(list, join(of(name), '\n'), '\n')
    end
    julia!(box, """
        using NativeCache
        for (packages, list) in zip((["RandA"], ["RandB", "RandA"], ["RandC", "RandB", "RandA"]), $(repr(lists)))
            filesize(list) > 1 || continue
            result = NativeCache.build(packages; statements = list, quiet = true)
            for one in (result isa NativeCache.BuildResult ? [result] : result)
                println(length(one.compiled), " ", length(one.requested), " ", one.message)
            end
        end
        """)
    return true
end

"""
Run `sessions` sessions of case `seed`; returns the mismatches, and how many methods were
installed in all sessions together.
"""
function run_case(seed; sessions = 6, only = nothing, flags = ``, keep = false)
    case = random_case(seed)
    box = Box()
    mismatches = Mismatch[]
    installed = 0
    try
        prepare_case(case, box) || return mismatches, 0
        for n in (only === nothing ? (1:sessions) : only)
            session = random_session(case, 1000seed + n)
            threads = ["JULIA_NUM_THREADS" => string(n % 3 == 0 ? 3 : 1)]
            # Julia's inference takes minutes over some random code.
            program = `timeout -s KILL 60 $(Sandbox.julia_program())`
            plain = julia(box, RandomPackages.script(session; cached = false); flags = flags, env = threads, program = program)
            timed_out(plain) && continue
            count = "\nlet s = NativeCache.status(); println(stderr, \"installed \", sum(length(x.installed) for x in s.items)); end"
            program = `timeout -s KILL 180 $(Sandbox.julia_program())`
            cached = julia(box, RandomPackages.script(session; cached = true) * count; flags = flags, env = threads, program = program)
            m = match(r"^installed (\d+)$"m, cached.err)
            m === nothing || (installed += parse(Int, m[1]))
            if (plain.out, plain.code, plain.signal) != (cached.out, cached.code, cached.signal)
                push!(mismatches, Mismatch(seed, n, RandomPackages.script(session; cached = true), plain.out * plain.err, cached.out * cached.err))
            elseif plain.code != 0 || plain.signal != 0
                push!(mismatches, Mismatch(seed, n, RandomPackages.script(session; cached = true), "the script itself is wrong: " * plain.err, ""))
            end
        end
    finally
        keep ? println("kept: ", box.root) : remove(box)
    end
    return mismatches, installed
end
