# What this session has compiled goes into the profiles, at its end or when asked. libnativecache looks at the live code
# instances and finds their places (rust/companion/src/learning.rs); what it cannot know without Julia is said here, in plain
# code: what runs at the end of each session is native code of NativeCache's image, and each kind of container and each
# closure would make that larger.

"Called at the end of the session. Never prints or throws."
function ended()
    try
        SESSION.on || return nothing
        text = learn(SESSION.asked, profiles_root(writable_depot()), "trace", "sessions", "end")
        startswith(text, "build\t") && Base.invokelatest(build_learnt, text)
    catch
        # The trace of this session is lost.
    end
    return nothing
end

# Where a module is from, in the words of rust/companion/src/trace.rs.
const EVERYWHERE, NOWHERE, OURS = Int32(-1), Int32(-2), Int32(-3)

"Is it a companion, or NativeCache?"
is_ours(id::PkgId) = id == Base.PkgId(NativeCache) || startswith(id.name, "NativeCache_")

"""
Have libnativecache merge what this process has compiled into profiles below `root`. Returns what it says; see
`nativecache_learn` in rust/companion/src/lib.rs. `mode` is `end` at the end of a session, `add`, `replace`, or `list` for what
there is; statements of `without` are left out.
"""
function learn(asked::Vector{PkgId}, root::String, layer::String, from::String, mode::String, without::Vector{String} = String[],
               also::Vector{String} = String[])
    send_layout()
    facts = IOBuffer()
    modules, homes = Any[Core, Base, Main], Int32[EVERYWHERE, EVERYWHERE, NOWHERE]
    packages = PkgId[]
    for (id, mod) in Base.loaded_modules
        (mod === Core || mod === Base || mod === Main) && continue
        push!(modules, mod)
        if is_ours(id)
            push!(homes, OURS)
        elseif Base.in_sysimage(id)
            push!(homes, EVERYWHERE)
        elseif Base.module_build_id(mod) == 0
            push!(homes, NOWHERE)
        else
            push!(packages, id)
            push!(homes, Int32(length(packages) - 1))
        end
    end
    for id in packages
        fact(facts, "package", string(package_folder(id), '\t', id.name, '\t', uuid_text(id)))
        parent = get(Base.EXT_PRIMED, id, nothing)
        parent === nothing || fact(facts, "extension", Base.invokelatest(extension_line, id, parent)::String)
    end
    some = false
    for id in asked
        fact(facts, "asked", package_folder(id))
        fact_loads(facts, id)
        some = true
    end
    # Where NativeCache came too late to see what was asked for, those that the projects in the load path name.
    for id in packages
        id in SESSION.present && is_direct(id) || continue
        fact(facts, "named", package_folder(id))
        fact_loads(facts, id)
        some = true
    end
    some || foreach(id -> fact_loads(facts, id), packages)
    # What a companion has spared this session counts as needed.
    for found in SESSION.found
        found.state === :loaded || continue
        line = escape_field(found.companion.text)
        for (id, _) in found.companion.packages
            line = string(line, '\t', package_folder(id))
        end
        fact(facts, "loaded", line)
        fact(facts, "used", string(escape_field(basename(found.companion.index)), '\t', escape_field(string(found.companion.base, ".so"))))
    end
    # What its project's sessions do not run, and this one may have missed.
    for found in SESSION.found
        found.reason === :NotUsedHere || continue
        line = string(escape_field(basename(found.companion.index)), '\t', escape_field(found.companion.text))
        for (id, _) in found.companion.packages
            line = string(line, '\t', package_folder(id))
        end
        fact(facts, "skipped", line)
    end
    for statement in without
        fact(facts, "without", escape_field(statement))
    end
    for statement in also
        fact(facts, "also", escape_field(statement))
    end
    for depot in DEPOT_PATH
        fact(facts, "depot", escape_field(depot))
    end
    project = Base.active_project()
    if project isa String
        fact(facts, "project", escape_field(project))
        # Workers are part of the session that has started them.
        TELLS_WHAT_RUNS && mode == "end" && Base.JLOptions().worker == 0 &&
            fact(facts, "record", escape_field(joinpath(dirname(root), "projects", basename(record_of(project)))))
    end
    fact(facts, "root", escape_field(root))
    fact(facts, "layer", layer)
    fact(facts, "from", escape_field(from))
    fact(facts, "when", utc_text())
    fact(facts, "julia", string(VERSION))
    fact(facts, "mode", mode)
    text = learn_lines(modules, homes, String(take!(facts)))
    isempty(text) && mode != "end" && error(last_error())
    return text
end

"A line of what libnativecache has to know."
function fact(io::IOBuffer, name::String, text::String)
    write(io, name)
    write(io, UInt8('\t'))
    write(io, text)
    write(io, UInt8('\n'))
    return nothing
end

"Is the package a direct dependency of a project in the load path, other than NativeCache's own?"
function is_direct(id::PkgId)
    own = joinpath(dirname(SOURCES), "Project.toml")
    for environment in Base.load_path()
        project = Base.env_project_file(environment)
        project isa String && project != own || continue
        entry = get(get(Base.parsed_toml(project), "deps", Dict{String,Any}()), id.name, nothing)
        entry isa String && entry == string(id.uuid) && return true
    end
    return false
end

"What a package has loaded before itself, as its cache file says."
function fact_loads(facts::IOBuffer, id::PkgId)
    origin = get(Base.pkgorigins, id, nothing)
    origin isa Base.PkgOrigin || return nothing
    path = origin.cachepath
    path isa String || return nothing
    try
        line = package_folder(id)
        io = open(path, "r")
        try
            Base.isvalid_cache_header(io) == 0 && return nothing
            for (needed, _) in cache_header(io, path)[3]::Vector{Pair{PkgId,UInt128}}
                line = string(line, '\t', package_folder(needed))
            end
        finally
            close(io)
        end
        fact(facts, "loads", line)
    catch
        # As good as a package that loads nothing.
    end
    return nothing
end

"The packages that bring an extension about, behind it."
extension_line(id::PkgId, parents) = join(map(package_folder, [id; brought_by(id, parents)]), '\t')

"Trace this session into the profiles: what `trace!` calls."
function trace_session()
    return parse_trace(learn(SESSION.asked, profiles_root(writable_depot()), "trace", "sessions", "add"))
end

"""
Write what this process has compiled into profiles below `folder`, for the package `focus` (name and uuid without dashes,
separated by a tab). Statements that need only this package and packages that it loads belong to it, the others to other
packages. Statements in `without` are left out; statements in `also` are added to the package.
"""
function trace_into(folder::String, layer::String, focus::String, from::String; without::Vector{String} = String[], also::Vector{String} = String[])
    name, uuid = split(focus, '\t')
    for id in keys(Base.loaded_modules)
        id.name == name && (isempty(uuid) || replace(string(id.uuid), '-' => "") == uuid) || continue
        learn([id; SESSION.asked], folder, layer, from, "replace", without, also)
        return ""
    end
    return "package $name was not loaded"
end
