# Builds what a session has asked for: julia <flags of the session> background.jl <uuid> <name> [...]
# queue.jl starts it. What it prints goes to background.log in the store.

let here = Base.PkgId(Base.UUID("1402d8af-b1ee-4baf-ab8c-666e41cddb50"), "NativeCache")
    Base.locate_package(here) === nothing && push!(LOAD_PATH, dirname(@__DIR__))
    Base.require(here)
end

let mod = Base.loaded_modules[Base.PkgId(Base.UUID("1402d8af-b1ee-4baf-ab8c-666e41cddb50"), "NativeCache")]
    ids = Base.PkgId[]
    for i in 1:2:length(ARGS)
        uuid = Base.UUID(ARGS[i])
        push!(ids, uuid.value == 0 ? Base.PkgId(ARGS[i+1]) : Base.PkgId(uuid, ARGS[i+1]))
    end
    exit(Base.invokelatest(mod.build_in_background, ids) ? 0 : 1)
end
