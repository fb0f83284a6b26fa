# julia test/scripts/run.jl SEED COUNT [SIZE]: generated scripts, with and without parts, from a seed on.

include("../sandbox.jl")
using .Sandbox
include("differential.jl")

function main(first_seed, count, size)
    failed = 0
    box = Box()
    for seed in first_seed:first_seed+count-1
        script = generate(seed, size)
        found = differs(box, script, edited(script, seed))
        found === nothing && continue
        failed += 1
        println("seed $seed differs when $(found[1]):")
        for name in (:out, :code, :errors)
            a, b = getfield(found[2], name), getfield(found[3], name)
            a == b || println("  plain $name: ", repr(a), "\n  ours  $name: ", repr(b))
        end
        flush(stdout)
    end
    remove(box)
    println("$count scripts, $failed differ")
    return failed == 0 ? 0 : 1
end

exit(main(parse.(Int, [ARGS; ["1", "1", "40"][length(ARGS)+1:end]])...))
