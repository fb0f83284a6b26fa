# Each protection that a mutation takes out, and the test that must then fail: a test file and, behind a slash, which of its
# parts (test/shared.jl, `part`). What the mutation does stands in the code, by this name: `mutation!` in rust, `@mutation`
# in src.
const MUTATIONS = [
    "signatures: a name is trusted" => "signature/reasons",
    "signatures: an address is a number" => "signature/reasons",
    "signatures: a variable of the same name is the same" => "signature/reasons",
    "signatures: a variable hides nothing" => "signature/reasons",
    "signatures: types nest without end" => "signature/reasons",
    "signatures: any float has a literal" => "signature/types",
    "signatures: integers are all alike" => "signature/types",
    "signatures: reserved words are names" => "signature/types",
    "signatures: inline unions are what comes first" => "signature/types",
    "signatures: Type is like any other" => "signature/types",
    "signatures: constructors make values" => "signature/types",
    "lines: carriage returns are left alone" => "lines",
    "lines: paths have no tabs" => "lines",
    "statements: a byte order mark is text" => "profile",
    "edges: any methods will do" => "stale/ambiguity",
    "edges: every table counts as unchanged" => "stale/ambiguity",
    "edges: what a table has more concerns no call" => "stale/ambiguity",
    "edges: every session has the tables of the build" => "stale/ambiguity",
    "edges: callers of what is rejected stay" => "stale/TraitUser, Generator",
    "edges: what invoke calls counts as dispatched" => "stale/a better method for invoke",
    "edges: what inference calls itself needs none" => "stale/pure functions, extended by a package",
    "edges: deleted methods are only counted" => "stale/one of two deleted",
    "origin: a method is known by its signature" => "stale/a method defined anew",
    "origin: what __init__ defines counts as the package's" => "stale/a method that __init__ defines",
    "generated: any body will do" => "stale/TraitUser, Generator",
    "generated: other packages before count as none" => "stale/TraitUser, Generator",
    "backedges: none on method instances" => "stale/all of them",
    "backedges: none on method tables" => "stale/all of them",
    "backedges: none again at a retry" => "stale/what waited",
    "worlds: code is there for older worlds" => "stale/an older world",
    "key: components are not compared" => "key/-O1",
    "off: coverage" => "key/nothing is installed: coverage",
    "off: allocation tracking" => "key/nothing is installed: allocations",
    "off: --compile" => "key/nothing is installed: --compile",
    "addresses: plain integers are data" => "hazards/hazards",
    "addresses: what is computed of one is data" => "hazards/hazards",
    "addresses: callbacks are kept" => "hazards/hazards",
    "init: what __init__ binds is kept" => "hazards/what __init__ binds",
    "init: a name in a constant is none" => "hazards/what __init__ binds",
    "init: what __init__ assigns to a field is kept" => "hazards/what __init__ binds",
    "init: a name in a type is none" => "hazards/what __init__ binds",
    "init: only what asks itself counts" => "hazards/what __init__ binds",
    "init: what it imports was there" => "hazards/types, functions, modules",
    "init: modules that were not there have made nothing" => "hazards/types, functions, modules",
    "init: a type that it makes is known by its name alone" => "hazards/types, functions, modules",
    "init: every session's Main is that of the build" => "hazards/types, functions, modules",
    "init: a name of Base in Main is Base's" => "scripts/variables of Main",
    "state: generators may read it" => "hazards/generators and pure",
    "state: pure functions may read it" => "hazards/generators and pure",
    "state: a closure is called by nobody" => "hazards/generators and pure",
    "state: constructors run nothing" => "hazards/generators and pure",
    "state: nobody catches an error" => "hazards/generators and pure",
    "state: what waits is not reached" => "hazards/generators and pure",
    "order: variables stay where they came up" => "hazards/C symbols",
    "state: mutable constants are constant" => "hazards/generators and pure",
    "constants: they stay what they were" => "hazards/constants bound anew",
    "roots: what slots hold is not kept" => "hazards/hazards",
    "packages: any build of one will do" => "load",
    "installed: over what the session has compiled" => "reasons",
    "key: more CPU features are as good" => "reasons",
    "loader: a signal comes where it is asked for all objects" => "faults/profiled",
    "loader: a signal comes where a library is opened" => "faults/profiled",
    "loader: a signal comes where a library is closed" => "faults/profiled",
    "signals: none is put off" => "faults/profiled",
    "ulimit -f: the signal comes" => "faults/surroundings",
    "ulimit -f: the signal is only put off" => "faults/surroundings",
    "ulimit -f: in a build the signal comes" => "faults/surroundings",
    "report: a run that hangs is waited for" => "report",
    "file: the hash of its code is not compared" => "load",
    "file: anybody may have written it" => "faults/trust",
    "names: those that Julia makes up are taken as they are" => "trace",
    "frames: Julia looks up addresses itself" => "frames",
    "sweeping: a name like ours is ours" => "clean",
    "in use: what a process has mapped goes too" => "clean",
    "inlining: what a .ji has lost is inferred late" => "inference/inlined though",
    "verify mode: what differs is used" => "verify",
    "symbols: what another module defines is left to it" => "hazards/C symbols",
    "symbols: what llvmcall declares is taken as it is" => "hazards/C symbols",
    "names: the body of an llvmcall has the number of its owner" => "hazards/C symbols",
    "folders: eight digits of a uuid are enough" => "layers",
    "sweeping: former folders stay" => "clean",
    "update!: builds of an interrupted one go on" => "fresh",
    "update!: one build after the other" => "fresh",
]

# One in a manifest, where nothing can stand but what is meant: the line, and what it becomes.
const EDITED = "set-up: bindgen reads headers with what clang there is" => "deps"
const EDIT = (file = "Cargo.toml",
    from = "jl-sys = { version = \"=0.10.0\", features = [\"docs-rs\"] }",
    to = "jl-sys = \"=0.10.0\"")

"The names of the mutations that stand in the code."
function points()
    found = String[]
    for (folder, ending, point) in (("rust", ".rs", r"\bmutation!\(\s*\"([^\"]+)\""), ("src", ".jl", r"@mutation\(\"([^\"]+)\""))
        for (path, _, names) in walkdir(joinpath(dirname(dirname(@__DIR__)), folder)), name in names
            endswith(name, ending) || continue
            append!(found, (m[1] for m in eachmatch(point, read(joinpath(path, name), String))))
        end
    end
    return found
end
