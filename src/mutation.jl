# Protections that a test can remove, each with its own name. rust/mutation does this for Rust, and explains how.

# The name of the protection to remove, in builds by test/mutations/run.jl; empty everywhere else.
const TAKEN_OUT = let file = joinpath(@__DIR__, "..", "deps", "lib", "mutation")
    isfile(file) ? (include_dependency(file); strip(read(file, String))) : ""
end

"`@mutation(name, code, mutated)` is `code`, or `mutated` if this is the protection to remove."
macro mutation(name::String, code, mutated)
    return esc(name == TAKEN_OUT ? mutated : code)
end
