# Each protection: what takes it out, and the test that must then fail.

struct Mutation
    name::String
    file::String
    from::String
    to::String
    test::String        # a test file and, behind a slash, which of its parts (test/shared.jl, `part`)
end

const RUNTIME = "rust/runtime/src/"

const MUTATIONS = [
    Mutation("edges: any methods will do", RUNTIME * "verify.rs",
        "Some(found) if same_set(&found, &expected) => Ok(()),", "Some(_) => Ok(()),", "stale/ambiguity"),
    Mutation("edges: every table counts as unchanged", RUNTIME * "verify.rs",
        "if scan.live == table.live && scan.digest(origins) == table.digest {",
        "if scan.live == table.live || true {", "stale/ambiguity"),
    Mutation("edges: what a table has more concerns no call", RUNTIME * "verify.rs",
        "if growth::out_of_reach(signature, new) =>", "if growth::out_of_reach(signature, new) || true =>", "stale/ambiguity"),
    Mutation("edges: every session has the tables of the build", RUNTIME * "pristine.rs",
        "worlds.into_iter().eq(base + 1..=now)", "worlds.into_iter().eq(base + 1..=now) || true", "stale/ambiguity"),
    Mutation("edges: callers of what is rejected stay", RUNTIME * "verify.rs",
        "                if verdict.is_ok() {\n                    *verdict = Err(because.clone());",
        "                if verdict.is_ok() && false {\n                    *verdict = Err(because.clone());", "stale/TraitUser, Generator"),
    Mutation("edges: what invoke calls counts as dispatched", "rust/worker/src/dependencies.rs",
        "targets.push(Target::Signature((*method).sig));", "let _ = method;", "stale/a better method for invoke"),
    Mutation("edges: what inference calls itself needs none", "rust/worker/src/dependencies.rs",
        "let pure = of_method.then(", "let pure = (of_method && false).then(", "stale/pure functions, extended by a package"),
    Mutation("edges: deleted methods are only counted", RUNTIME * "tables.rs",
        "sum.wrapping_add(identity(method).wrapping_add(1).", "sum.wrapping_add((identity(method) & 0).wrapping_add(1).", "stale/one of two deleted"),
    Mutation("origin: a method is known by its signature", RUNTIME * "resolve.rs",
        "self.origins.of(method) != Some(origin)", "self.origins.of(method) != Some(origin) && false", "stale/a method defined anew"),
    Mutation("origin: what __init__ defines counts as the package's", RUNTIME * "origin.rs",
        "if !self.is_restored(method) {\n                digest_source", "if false {\n                digest_source", "stale/a method that __init__ defines"),
    Mutation("generated: any body will do", RUNTIME * "verify.rs",
        "if body_digest(mi) == Some(body) {", "if body_digest(mi) == Some(body) || body != 0 {", "stale/TraitUser, Generator"),
    Mutation("generated: other packages before count as none", RUNTIME * "verify.rs",
        "self.roots, Some(first)) == Some(seen);", "self.roots, Some(first)).is_some();", "stale/TraitUser, Generator"),
    Mutation("backedges: none on method instances", RUNTIME * "verify.rs",
        "jl_method_instance_add_backedge(callee, caller);", "let _ = (callee, caller);", "stale/all of them"),
    Mutation("backedges: none on method tables", RUNTIME * "verify.rs",
        "jl_method_table_add_backedge(table, signature, caller.cast());", "let _ = (table, signature, caller);", "stale/all of them"),
    Mutation("backedges: none again at a retry", RUNTIME * "link.rs",
        "if matches!(verdicts.get(index), Some(Ok(()))) {", "if false && matches!(verdicts.get(index), Some(Ok(()))) {", "stale/what waited"),
    Mutation("worlds: code is there for older worlds", RUNTIME * "install.rs",
        "                flags,\n                world,\n", "                flags,\n                1,\n", "stale/an older world"),
    Mutation("key: components are not compared", RUNTIME * "key.rs",
        "} else if now != then {", "} else if now != then && false {", "key/-O1"),
    Mutation("off: coverage", "rust/session/src/hook.rs",
        "if options.code_coverage != 0 {", "if options.code_coverage != 0 && false {", "key/nothing is installed: coverage"),
    Mutation("off: allocation tracking", "rust/session/src/hook.rs",
        "if options.malloc_log != 0 {", "if options.malloc_log != 0 && false {", "key/nothing is installed: allocations"),
    Mutation("off: --compile", "rust/session/src/hook.rs",
        "(options.compile_enabled != 1).then_some", "(options.compile_enabled != 1 && false).then_some", "key/nothing is installed: --compile"),
    Mutation("addresses: plain integers are data", "rust/worker/src/known.rs",
        "after > 0 && self.mappings[after - 1].contains(&value)", "after > 0 && self.mappings[after - 1].contains(&value) && false", "hazards/hazards"),
    Mutation("addresses: what is computed of one is data", "rust/worker/src/emission.rs",
        "computes_with_address(source)", "None::<String>", "hazards/hazards"),
    Mutation("addresses: callbacks are kept", "rust/worker/src/emission.rs",
        "f.starts_with(\"jlcapi_\")", "f.starts_with(\"no such name\")", "hazards/hazards"),
    Mutation("init: what __init__ binds is kept", "rust/worker/src/dependencies.rs",
        "made.mentioned_by(mi, mentions)", "made.mentioned_by(mi, mentions).filter(|_| false)", "hazards/what __init__ binds"),
    Mutation("init: a name in a constant is none", "rust/worker/src/made_at_init.rs",
        "made.add_holders(modules)", "made.add_holders(&[])", "hazards/what __init__ binds"),
    Mutation("init: what __init__ assigns to a field is kept", "rust/worker/src/made_at_init.rs",
        "filter(|index| !still.contains(index))", "filter(|_| false)", "hazards/what __init__ binds"),
    Mutation("init: a name in a type is none", "rust/worker/src/mentions.rs",
        "|| types.contains(name.as_str()))", "|| false)", "hazards/what __init__ binds"),
    Mutation("init: only what asks itself counts", "rust/worker/src/dependencies.rs",
        "|| self.in_sysimage(at) {", "|| at != mi {", "hazards/what __init__ binds"),
    Mutation("verify mode: what differs is used", "rust/runtime/src/verify.rs",
        "match refused.contains(&FunctionId(index)) {", "match refused.contains(&FunctionId(index)) && false {", "verify"),
]
