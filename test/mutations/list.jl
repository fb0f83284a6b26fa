# Each protection: what takes it out, and the test files that must then fail.

struct Mutation
    name::String
    file::String
    from::String
    to::String
    tests::Vector{String}
end

const RUNTIME = "rust/runtime/src/"

const MUTATIONS = [
    Mutation("edges: any methods will do", RUNTIME * "verify.rs",
        "Some(found) if same_set(&found, &expected) => Ok(()),", "Some(_) => Ok(()),", ["stale"]),
    Mutation("edges: every table counts as unchanged", RUNTIME * "verify.rs",
        "table_digest(methods, sysimage, self.resolver.origins()) == (table.live, table.digest)",
        "table_digest(methods, sysimage, self.resolver.origins()) == (table.live, table.digest) || true", ["stale"]),
    Mutation("edges: callers of what is rejected stay", RUNTIME * "verify.rs",
        "                if verdict.is_ok() {\n                    *verdict = Err(because.clone());",
        "                if verdict.is_ok() && false {\n                    *verdict = Err(because.clone());", ["stale"]),
    Mutation("edges: what invoke calls counts as dispatched", "rust/worker/src/dependencies.rs",
        "targets.push(Target::Signature((*method).sig));", "let _ = method;", ["stale"]),
    Mutation("origin: a method is known by its signature", RUNTIME * "resolve.rs",
        "self.origins.of(method.cast()) != Some(origin)", "self.origins.of(method.cast()) != Some(origin) && false", ["stale"]),
    Mutation("origin: what __init__ defines counts as the package's", RUNTIME * "origin.rs",
        "if !self.is_restored(method) {\n                digest_source", "if false {\n                digest_source", ["stale"]),
    Mutation("generated: any body will do", RUNTIME * "verify.rs",
        "if same || body_digest(mi) == Some(body) {", "if same || body != 0 {", ["stale"]),
    Mutation("generated: other packages before count as none", RUNTIME * "generator.rs",
        "        before.sort_unstable();", "        before.clear();", ["stale"]),
    Mutation("backedges: none on method instances", RUNTIME * "verify.rs",
        "jl_method_instance_add_backedge(callee, caller);", "let _ = (callee, caller);", ["stale"]),
    Mutation("backedges: none on method tables", RUNTIME * "verify.rs",
        "jl_method_table_add_backedge(table, signature, caller.cast());", "let _ = (table, signature, caller);", ["stale"]),
    Mutation("backedges: none again at a retry", RUNTIME * "link.rs",
        "if matches!(verdicts.get(index), Some(Ok(()))) {", "if false && matches!(verdicts.get(index), Some(Ok(()))) {", ["stale"]),
    Mutation("worlds: code is there for older worlds", RUNTIME * "install.rs",
        "                flags,\n                world,\n", "                flags,\n                1,\n", ["stale"]),
    Mutation("key: components are not compared", RUNTIME * "key.rs",
        "} else if now != then {", "} else if now != then && false {", ["key"]),
    Mutation("off: coverage", "rust/session/src/hook.rs",
        "if options.code_coverage != 0 {", "if options.code_coverage != 0 && false {", ["key"]),
    Mutation("off: allocation tracking", "rust/session/src/hook.rs",
        "if options.malloc_log != 0 {", "if options.malloc_log != 0 && false {", ["key"]),
    Mutation("off: --compile", "rust/session/src/hook.rs",
        "(options.compile_enabled != 1).then_some", "(options.compile_enabled != 1 && false).then_some", ["key"]),
    Mutation("addresses: plain integers are data", "rust/worker/src/known.rs",
        "after > 0 && self.mappings[after - 1].contains(&value)", "after > 0 && self.mappings[after - 1].contains(&value) && false", ["hazards"]),
]
