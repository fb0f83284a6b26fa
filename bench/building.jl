# Build: seconds and peak memory against the number of functions, on one core and on two, and of what has changed only.

"""
`(seconds, peak memory of the largest process in bytes)` of a build of the first `count` statements. From nothing,
unless the object files of an earlier build are to be used.
"""
function build_once(box, count, cores; again = false)
    again || forget_objects(box)
    report = tempname(box.root; cleanup = false)
    statements = string(report, ".statements")
    write(statements, join(package_statements("Generated", count), '\n'), '\n')
    script = """
        using NativeCache
        result = NativeCache.build("Generated"; statements = $(repr(statements)), quiet = true)
        result.library === nothing && error(result.message)
        usage = zeros(Int, 18)
        ccall(:getrusage, Cint, (Cint, Ptr{Int}), -1, usage)
        write($(repr(report)), string(result.seconds, ' ', usage[5] * 1024))
        """
    program = `taskset -c $(cores == 1 ? "0" : "0,1") $(Sandbox.julia_program())`
    julia!(box, script; program = program)
    seconds, memory = parse.(Float64, split(read(report, String)))
    return (seconds = seconds, memory = memory)
end

"Take away what the next build would take over."
function forget_objects(box)
    for (folder, _, names) in walkdir(box.depot), name in names
        startswith(name, "objects") && rm(joinpath(folder, name))
    end
end

# What changes little is built again only up to this many statements: above, each build takes minutes.
const LARGEST_AGAIN = 5000

function building(settings)
    rows = Row[]
    for count in settings.sizes
        settings.say("build: $count statements")
        box = generated_box(count)
        try
            runs = count > 1000 ? 1 : settings.runs
            one, two = in_turn(runs, () -> build_once(box, count, 1), () -> build_once(box, count, 2))
            column(list, name) = [getfield(item, name) for item in list]
            seconds = column(one, :seconds)
            push!(rows, row("build", "$count statements", "s", "one core" => "two cores", seconds, column(two, :seconds)))
            push!(rows, row("build", "$count statements, from nothing", "s", "" => "one core", [], seconds))
            push!(rows, row("build", "$count statements, peak memory", "B", "" => "one core", [], column(one, :memory)))
            count > LARGEST_AGAIN && continue
            same, fewer, more = in_turn(runs, () -> build_once(box, count, 1; again = true),
                () -> build_once(box, count - 8, 1; again = true), () -> build_once(box, count, 1; again = true))
            push!(rows, row("build", "$count statements, nothing changed", "s", "from nothing" => "again", seconds, column(same, :seconds)))
            push!(rows, row("build", "$count statements, eight statements more", "s", "from nothing" => "again", seconds, column(more, :seconds)))
        finally
            remove(box)
        end
    end
    return rows
end
