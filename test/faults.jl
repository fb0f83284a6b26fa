# Faults: what can go wrong around the cache costs no more than a compilation. Each file of
# test/faults has one kind; every case runs in processes of its own, all bounded in time.
# `NATIVECACHE_FAULTS=full` (`make faults`) tries more; `NATIVECACHE_FAULTS=libraries,killed` only those, and
# `NATIVECACHE_FAULTS=full,killed` that one in full.
# `sanitizer` takes libraries that are built for it: `make sanitize`.

# These tests copy depots, take their files away and count what is in them: each has all of its files in itself.
Sandbox.IMAGES[] = ""

include("faults/common.jl")

const FAULTS = ["libraries", "trust", "killed", "surroundings", "signals", "many", "life", "stress", "profiles", "settings", "profiled"]
const CHOSEN_FAULTS = filter(in([FAULTS; "sanitizer"]), split(get(ENV, "NATIVECACHE_FAULTS", ""), ','))

const FAULT_COUNTS = Dict{String,Int}()     # of what was done to it, for the line at the end
counted!(what, n) = (FAULT_COUNTS[what] = get(FAULT_COUNTS, what, 0) + n)

"Seconds of processor time of this process and of all that it has waited for, which says more than the clock on a busy machine."
function processor_time()
    usage = zeros(Int, 18)
    return sum((0, -1)) do who     # RUSAGE_SELF, RUSAGE_CHILDREN
        ccall(:getrusage, Cint, (Cint, Ptr{Int}), who, usage)
        usage[1] + usage[3] + (usage[2] + usage[4]) / 1e6
    end
end

for file in (isempty(CHOSEN_FAULTS) ? FAULTS : CHOSEN_FAULTS)
    since, used = time(), processor_time()
    @testset "$file" begin
        include("faults/$file.jl")
    end
    println("  ", rpad(file, 14), lpad(round(Int, time() - since), 4), " s, ", lpad(round(Int, processor_time() - used), 4),
        " s of processor time")
end

remove(TEMPLATE.box)
println("  faults: ", join(("$n $what" for (what, n) in sort!(collect(FAULT_COUNTS))), ", "))
