# Builds what sessions have asked for: julia <flags of the session> background.jl <uuid> <name> [...] + [...] +
# queue.jl starts it. What it prints goes to background.log in the store.

let here = Base.PkgId(Base.UUID("1402d8af-b1ee-4baf-ab8c-666e41cddb50"), "NativeCache")
    Base.locate_package(here) === nothing && push!(LOAD_PATH, dirname(dirname(@__DIR__)))
    Base.require(here)
end

let mod = Base.loaded_modules[Base.PkgId(Base.UUID("1402d8af-b1ee-4baf-ab8c-666e41cddb50"), "NativeCache")]
    good, ids = true, Base.PkgId[]
    while !isempty(ARGS)
        word = popfirst!(ARGS)
        if word == "+"
            good &= Base.invokelatest(mod.build_in_background, ids)
            ids = Base.PkgId[]
        else
            uuid, name = Base.UUID(word), popfirst!(ARGS)
            push!(ids, uuid.value == 0 ? Base.PkgId(name) : Base.PkgId(uuid, name))
        end
    end
    exit(good ? 0 : 1)
end
