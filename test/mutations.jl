# Each protection with a name has a line in test/mutations/list.jl, and each line stands in the code once: `make mutations`
# then shows that its test notices when the protection is taken out.

module Mutations
include(joinpath(@__DIR__, "mutations", "list.jl"))
end

@testset "a line for each" begin
    @test sort(Mutations.points()) == sort(first.(Mutations.MUTATIONS))
    @test allunique(first.(Mutations.MUTATIONS))
    @test length(split(read(joinpath(ROOT, Mutations.EDIT.file), String), Mutations.EDIT.from)) == 2
    # Their tests are there.
    for (_, test) in [Mutations.MUTATIONS; Mutations.EDITED]
        @test isfile(joinpath(@__DIR__, string(first(split(test, '/')), ".jl")))
    end
end
