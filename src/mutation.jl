# Protections that a test takes out, each by a name of its own. rust/mutation is the same for Rust, and says how.

# The name of the mutation to make, in what test/mutations/run.jl builds; nothing everywhere else.
const TAKEN_OUT = let file = joinpath(@__DIR__, "..", "deps", "lib", "mutation")
    isfile(file) ? (include_dependency(file); strip(read(file, String))) : ""
end

"`@mutation(name, code, mutated)` is `code`, unless the name is that of the mutation to make; then it is `mutated`."
macro mutation(name::String, code, mutated)
    return esc(name == TAKEN_OUT ? mutated : code)
end
