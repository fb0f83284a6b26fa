# Faults: what can go wrong around the cache costs no more than a compilation. Each file of
# test/faults has one kind; every case runs in processes of its own, all bounded in time.
# `NATIVECACHE_FAULTS=full` (`make faults`) tries more; `NATIVECACHE_FAULTS=libraries,killed` only those.

include("faults/common.jl")

const FAULTS = ["libraries", "trust", "killed", "surroundings", "signals", "many", "life", "stress", "profiles"]
const CHOSEN_FAULTS = filter(in(FAULTS), split(get(ENV, "NATIVECACHE_FAULTS", ""), ','))

for file in (isempty(CHOSEN_FAULTS) ? FAULTS : CHOSEN_FAULTS)
    since = time()
    @testset "$file" begin
        include("faults/$file.jl")
    end
    println("  ", rpad(file, 14), lpad(round(Int, time() - since), 4), " s")
end
