//! What is said of each function.

use crate::common::{function, has_literal, rewrite, Script};

#[test]
fn what_nobody_knows_is_listed_with_its_function() {
    let mut script = Script::slots(&[(9, 140_000_000_001_000)]);
    let (_, found, text) = rewrite(
        r"
define void @julia_bad_1() {
  call void @jl_throw(%jl_value_t addrspace(12)* addrspacecast (%jl_value_t* inttoptr (i64 140000000005000 to %jl_value_t*) to %jl_value_t addrspace(12)*))
  ret void
}
define void @julia_caller_2() {
  call void @julia_bad_1()
  call void @jl_throw(%jl_value_t addrspace(12)* addrspacecast (%jl_value_t* inttoptr (i64 140000000001000 to %jl_value_t*) to %jl_value_t addrspace(12)*))
  ret void
}
define void @julia_innocent_3() {
  ret void
}",
        &mut script,
    );
    assert!(has_literal(function(&text, "julia_bad_1")));
    let bad = &found.get("julia_bad_1").expect("found").unknown[0];
    assert_eq!((bad.address, bad.instruction.as_str()), (140_000_000_005_000, "call of jl_throw"));
    assert_eq!(found.get("julia_caller_2").expect("found").calls, ["julia_bad_1"]);

    let closure = found.closure("julia_caller_2");
    assert_eq!(closure.functions, ["julia_bad_1", "julia_caller_2"]);
    assert_eq!(closure.slots, [9]);
    assert_eq!(closure.imports, ["jl_throw"]);
    assert_eq!(closure.unknown.len(), 1);
    assert_eq!(closure.unknown[0].0, "julia_bad_1");
    let stopped = found.closure_until("julia_caller_2", |name| name == "julia_bad_1");
    assert!(stopped.unknown.is_empty());
    assert_eq!(stopped.stopped_at, ["julia_bad_1"]);
    assert!(found.closure("julia_innocent_3").unknown.is_empty());
    assert!(found.closure("no such function").functions.is_empty());
}
