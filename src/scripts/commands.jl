# What `nativecache run` and `nativecache test` start. On Julia 1.10 and later a script is run as it is: what its packages compile is
# cached, what it defines itself is not yet.

include_script(path::String) = VERSION < v"1.6" ? include(path) : Base.include(Main, abspath(path))

"""
What `nativecache run script.jl [arguments]` does: the first of `ARGS` is run in `Main`, with `PROGRAM_FILE` and
`ARGS` as `julia script.jl [arguments]` has them.
"""
function run_program()
    if isempty(ARGS)
        println(stderr, "nativecache: run takes the path of a script")
        exit(2)
    end
    path = popfirst!(ARGS)
    Core.eval(Base, Expr(:(=), :PROGRAM_FILE, path))
    return include_script(path)
end

"""
What `nativecache test [package]` does: run the package's `test/runtests.jl` in its folder. The
packages that the tests need must be in the session's load path; a project of the tests' own is added to it.
"""
function run_test_suite()
    if length(ARGS) > 1
        println(stderr, "nativecache: test takes one package")
        exit(2)
    end
    id = isempty(ARGS) ? tested_project() : Base.identify_package(ARGS[1])
    entry = id === nothing ? nothing : Base.locate_package(id)
    if entry === nothing
        println(stderr, "nativecache: ", isempty(ARGS) ? "the active project is no package" : "package $(ARGS[1]) is not found in this session's load path")
        exit(2)
    end
    file = joinpath(dirname(dirname(entry)), "test", "runtests.jl")
    if !isfile(file)
        println(stderr, "nativecache: ", id.name, " has no test/runtests.jl")
        exit(2)
    end
    empty!(ARGS)
    Core.eval(Base, Expr(:(=), :PROGRAM_FILE, file))
    isfile(joinpath(dirname(file), "Project.toml")) && pushfirst!(LOAD_PATH, dirname(file))
    cd(dirname(file))
    return include_script(file)
end

"The package that the active project is."
function tested_project()
    project = Base.active_project()
    (project === nothing || !isfile(project)) && return nothing
    name = match(r"^name\s*=\s*\"([^\"]+)\""m, read(project, String))
    return name === nothing ? nothing : Base.identify_package(String(name[1]))
end
