# Loaded first (`julia -L runner.jl ...`) in a process that runs a test suite or a script to find out what it compiles.
# sources.jl starts the process. At its end the session is traced into profiles below a folder, one for each given package.
module NativeCacheRunner

take(name) = pop!(ENV, string("NATIVECACHE_RUN_", name))

take("LIBRARY")
const FOLDER = take("FOLDER")
const LAYER = take("LAYER")
const FROM = take("FROM")
const FOCUS = split(take("FOCUS"), ';'; keepempty = false)     # Name<tab>uuid in hex, for each package

const NATIVECACHE = Base.PkgId(Base.UUID("1402d8af-b1ee-4baf-ab8c-666e41cddb50"), "NativeCache")

Base.require(NATIVECACHE)

function ended()
    mod = Base.loaded_modules[NATIVECACHE]
    for (number, focus) in enumerate(FOCUS)
        said = try
            Base.invokelatest(mod.trace_into, joinpath(FOLDER, string(number)), LAYER, String(focus), FROM)
        catch err
            sprint(showerror, err)
        end
        write(joinpath(FOLDER, string(number, ".said")), said)
    end
    return nothing
end

# This hook runs last, so that methods that other hooks compile are traced, too.
push!(Base.atexit_hooks, ended)
write(joinpath(FOLDER, "started"), "")

end
