# First call: a fresh process, `using` and a workload, with nothing, with NativeCache, and with a sysimage
# for which the same statements were compiled.

function first_call(settings)
    rows = Row[]
    for package in settings.sessions
        settings.say("first call: $package")
        box = Box()
        try
            add_stdlib_copy(box, package)
            append!(rows, first_call(settings, box, package, read(joinpath(SESSIONS, "$package.jl"), String)))
        finally
            remove(box)
        end
    end
    for folder in settings.packages
        package = basename(rstrip(folder, '/'))
        session = joinpath(folder, "session.jl")
        isfile(session) || (settings.say("first call: $folder has no session.jl, left out"); continue)
        settings.say("first call: $package")
        box = Box(dirname(rstrip(folder, '/')))
        try
            append!(rows, first_call(settings, box, package, read(session, String)))
        finally
            remove(box)
        end
    end
    return rows
end

function first_call(settings, box, package, body)
    group = "first call"
    julia!(box, "using $package\nusing NativeCache")
    # Each way of tracing names what the other does not: the sysimage and NativeCache get both.
    trace = traced_profile(box, package, Measure.session_script(body; cached = true))
    compiled = joinpath(box.root, "trace.jl")
    julia!(box, Measure.session_script(body; cached = false); flags = `--trace-compile=$compiled`)
    open(io -> write(io, read(compiled)), trace, "a")
    result = build(box, repr(package), trace)
    result.library === nothing && error(result.message)
    sysimage = joinpath(box.root, "sysimage.so")
    if !settings.quick
        settings.say("first call: sysimage for $package")
        seconds, memory = make_sysimage(sysimage, [package], trace;
            load_path = [box.packages, Sandbox.ROOT, "@stdlib"], depot = box.depot)
    end
    plain() = session_figures(box, body; cached = false)
    cache() = session_figures(box, body; cached = true)
    image() = session_figures(box, body; cached = false, flags = `-J$sysimage`)
    kinds = settings.quick ? (plain, cache) : (plain, cache, image)
    foreach(f -> f(), kinds)        # each file once into the page cache
    plains, caches, images = (in_turn(settings.runs, kinds...)..., [])
    column(list, name) = [getfield(item, name) for item in list]
    rows = Row[]
    for name in (:first, :load, :second, :process)
        settings.quick || push!(rows, row(group, "$package, $name", "s", "sysimage" => "NativeCache", column(images, name), column(caches, name)))
        push!(rows, row(group, "$package, $name, no cache", "s", "nothing" => "NativeCache", column(plains, name), column(caches, name)))
    end
    push!(rows, row(group, "$package, first − second call", "s", "" => "NativeCache", [], column(caches, :first) .- column(caches, :second); budget = 0.1))
    push!(rows, row(group, "$package, peak memory, no cache", "B", "nothing" => "NativeCache", column(plains, :peak), column(caches, :peak)))
    settings.quick && return rows
    # That a sysimage has the package loaded, and NativeCache itself, is not part of the contract's ratio.
    push!(rows, row(group, "$package, first call with linking", "s", "sysimage" => "NativeCache", column(images, :first), column(caches, :first) .+ column(caches, :linking); budget = 1.2))
    linked(list) = column(list, :load) .+ column(list, :first)
    push!(rows, row(group, "$package, load and first call", "s", "sysimage" => "NativeCache", linked(images), linked(caches)))
    push!(rows, row(group, "$package, peak memory", "B", "sysimage" => "NativeCache", column(images, :peak), column(caches, :peak)))
    push!(rows, row(group, "$package, build", "s", "sysimage" => "NativeCache", [seconds], [result.seconds]; budget = 1 / 8))
    push!(rows, row(group, "$package, size on disk", "B", "sysimage" => "NativeCache", [filesize(sysimage)], [result.bytes]; budget = 1 / 20))
    push!(rows, row(group, "$package, build memory of the sysimage", "B", "" => "sysimage", [], [memory]))
    rm(sysimage)
    return rows
end
