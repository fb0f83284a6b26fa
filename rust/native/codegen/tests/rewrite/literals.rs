//! Every form in which an address stands in Julia's IR.

mod common;

use common::{function, has_literal, rewrite, Script};
use nativecache_codegen::{Answer, SlotUse};

#[test]
fn bare_and_cast() {
    let mut script = Script::slots(&[(3, 140_000_000_001_000), (4, 140_000_000_002_000)]);
    let (_, found, text) = rewrite(
        r"
define %jl_value_t addrspace(10)* @julia_f_1(i1) {
  %a = select i1 %0, %jl_value_t addrspace(10)* addrspacecast (%jl_value_t* inttoptr (i64 140000000001000 to %jl_value_t*) to %jl_value_t addrspace(10)*), %jl_value_t addrspace(10)* null
  %b = load i64, i64* inttoptr (i64 140000000002000 to i64*)
  %c = load i64, i64* getelementptr inbounds (i64, i64* bitcast (%jl_value_t* inttoptr (i64 140000000002000 to %jl_value_t*) to i64*), i64 1)
  ret %jl_value_t addrspace(10)* %a
}",
        &mut script,
    );
    assert!(!has_literal(&text), "{text}");
    assert_eq!(
        script.questions(),
        ["140000000001000 value", "140000000002000 value", "140000000002000 value"]
    );
    let emitted = found.get("julia_f_1").expect("found");
    assert_eq!(emitted.slots, [3, 4]);
    assert!(emitted.unknown.is_empty());
    let body = function(&text, "julia_f_1");
    assert!(body.contains("getelementptr inbounds i64"), "{body}");
    // The second use in the block takes what was loaded before.
    assert_eq!(body.matches("load i8*, i8** @nativecache_slot.4").count(), 1, "{body}");
}

#[test]
fn loads_are_marked_as_julia_marks_its_own() {
    let mut script = Script::default()
        .answer(140_000_000_001_000, Answer::Slot(SlotUse::new(0).with_dereferenceable(24)))
        .answer(
            140_000_000_002_000,
            Answer::Slot(SlotUse { invariant: false, nonnull: false, ..SlotUse::new(1) }),
        )
        .answer(140_000_000_003_000, Answer::Slot(SlotUse::new(2).with_addend(-16)));
    let (_, _, text) = rewrite(
        r"
define void @julia_f_1(i64** %out) {
  store i64* inttoptr (i64 140000000001000 to i64*), i64** %out
  store i64* inttoptr (i64 140000000002000 to i64*), i64** %out
  store i64* inttoptr (i64 140000000003000 to i64*), i64** %out
  ret void
}",
        &mut script,
    );
    let line =
        |name: &str| text.lines().find(|line| line.contains(&format!("i8** {name}"))).unwrap_or_default();
    let first = line("@nativecache_slot.0");
    assert!(
        first.contains("!tbaa") && first.contains("!invariant.load") && first.contains("!nonnull"),
        "{first}"
    );
    assert!(first.contains("!dereferenceable"), "{first}");
    assert!(text.contains(r#"!{!"jtbaa_const", "#) && text.contains("i64 24}"), "{text}");
    let second = line("@nativecache_slot.1");
    assert!(second.contains("!tbaa"), "{second}");
    assert!(!second.contains("!invariant.load") && !second.contains("!nonnull"), "{second}");
    assert!(text.contains("getelementptr inbounds i8, i8* %"), "{text}");
    assert!(text.contains("i64 -16"), "{text}");
}

#[test]
fn aggregates_and_vectors() {
    let mut script = Script::slots(&[(0, 140_000_000_001_000), (1, 140_000_000_002_000)]);
    let (_, _, text) = rewrite(
        r"
define { %jl_value_t addrspace(10)*, i8 } @julia_union_1() {
  ret { %jl_value_t addrspace(10)*, i8 } { %jl_value_t addrspace(10)* addrspacecast (%jl_value_t* inttoptr (i64 140000000001000 to %jl_value_t*) to %jl_value_t addrspace(10)*), i8 -126 }
}
define void @julia_array_2([2 x i64*]* %out) {
  store [2 x i64*] [i64* inttoptr (i64 140000000001000 to i64*), i64* null], [2 x i64*]* %out
  ret void
}
define void @julia_vector_3(<2 x i64*>* %out) {
  store <2 x i64*> <i64* inttoptr (i64 140000000001000 to i64*), i64* inttoptr (i64 140000000002000 to i64*)>, <2 x i64*>* %out
  ret void
}
define i64 @julia_data_4() {
  %a = extractvalue [3 x i64] [i64 1, i64 140000000002000, i64 3], 1
  %b = extractelement <2 x i64> <i64 140000000001000, i64 5>, i32 0
  %c = add i64 %a, %b
  ret i64 %c
}",
        &mut script,
    );
    assert!(!has_literal(&text), "{text}");
    assert!(!text.contains("140000000"), "{text}");
    let union = function(&text, "julia_union_1");
    assert!(union.contains("{ %jl_value_t addrspace(10)* undef, i8 -126 }"), "{union}");
    assert!(function(&text, "julia_vector_3").contains("insertelement"), "{text}");
    assert!(function(&text, "julia_data_4").contains("ptrtoint"), "{text}");
}

#[test]
fn constant_expressions_of_all_kinds() {
    let mut script = Script::slots(&[(0, 140_000_000_001_000)]);
    let (_, found, text) = rewrite(
        r"
@somewhere = external global i64
define i64 @julia_f_1() {
  %a = add i64 1, add (i64 ptrtoint (i64* @somewhere to i64), i64 140000000001000)
  %b = xor i64 %a, xor (i64 ptrtoint (i64* @somewhere to i64), i64 140000000001000)
  %c = select i1 icmp ult (i64* @somewhere, i64* inttoptr (i64 140000000001000 to i64*)), i64 %a, i64 %b
  %d = add i64 %c, select (i1 icmp eq (i64* @somewhere, i64* inttoptr (i64 140000000001000 to i64*)), i64 5, i64 6)
  %e = fptosi double sitofp (i64 sub (i64 ptrtoint (i64* @somewhere to i64), i64 140000000001000) to double) to i64
  %f = add i64 %d, %e
  ret i64 %f
}",
        &mut script,
    );
    assert!(!text.contains("140000000001000"), "{text}");
    assert!(found.get("julia_f_1").expect("found").unknown.is_empty(), "{found:?}");
    let body = function(&text, "julia_f_1");
    // LLVM itself has turned the first comparison around when it made the constant.
    for opcode in [" xor i64", "icmp ugt", "icmp eq", "select i1", "sitofp", "sub i64"] {
        assert!(body.contains(opcode), "no {opcode} in {body}");
    }
}

#[test]
fn function_pointers_and_strings() {
    let mut script =
        Script::slots(&[(0, 140_000_000_001_000), (1, 140_000_000_002_000), (2, 140_000_000_003_000)]);
    let (_, found, text) = rewrite(
        r#"
@handle = internal global i8* null
define i64 @julia_f_1(i8* %text) {
  %n = call i64 inttoptr (i64 140000000001000 to i64 (i8*)*)(i8* %text) [ "jl_roots"(i64* inttoptr (i64 140000000002000 to i64*)) ]
  call void @jl_error(i8* inttoptr (i64 140000000003000 to i8*))
  %s = call void ()* @jl_load_and_lookup(i8* inttoptr (i64 1 to i8*), i8* inttoptr (i64 140000000003000 to i8*), i8** @handle)
  call void @jl_error(i8* bitcast (%jl_value_t* inttoptr (i64 140000000002000 to %jl_value_t*) to i8*))
  ret i64 %n
}"#,
        &mut script,
    );
    assert!(!has_literal(&text), "{text}");
    assert!(text.contains("inttoptr (i64 1 to i8*)"), "a sentinel is no address: {text}");
    assert_eq!(
        script.questions(),
        [
            "140000000002000 value",
            "140000000001000 function",
            "140000000003000 string jl_error 0",
            "140000000003000 string jl_load_and_lookup 1",
            // LLVM has folded the `bitcast` when it made the constant.
            "140000000002000 string jl_error 0",
        ]
    );
    let emitted = found.get("julia_f_1").expect("found");
    assert_eq!(emitted.imports, ["jl_error", "jl_load_and_lookup"]);
}

#[test]
fn incoming_values_of_a_phi() {
    let mut script = Script::slots(&[(0, 140_000_000_001_000), (1, 140_000_000_002_000)]);
    let (_, _, text) = rewrite(
        r"
define i64* @julia_f_1(i8) {
top:
  switch i8 %0, label %other [ i8 1, label %join
                               i8 2, label %join ]
other:
  %used = load i64, i64* inttoptr (i64 140000000002000 to i64*)
  br label %join
join:
  %p = phi i64* [ inttoptr (i64 140000000001000 to i64*), %top ], [ inttoptr (i64 140000000001000 to i64*), %top ], [ inttoptr (i64 140000000002000 to i64*), %other ]
  %q = phi i64* [ inttoptr (i64 140000000002000 to i64*), %top ], [ inttoptr (i64 140000000002000 to i64*), %top ], [ null, %other ]
  %u = load i64, i64* inttoptr (i64 140000000001000 to i64*)
  ret i64* %p
}",
        &mut script,
    );
    // `rewrite` has verified it: a block that is listed twice gives the same value twice, and every load
    // dominates.
    assert!(!has_literal(&text), "{text}");
    let body = function(&text, "julia_f_1");
    let (before, after) = body.split_once("join:").expect("a block");
    assert!(before.contains("@nativecache_slot.0"), "made in the block from which it comes: {body}");
    assert!(
        after.contains("load i8*, i8** @nativecache_slot.0"),
        "what `top` loads is not loaded in `join`: {body}"
    );
}

#[test]
fn plain_integers() {
    let number = 140_000_000_001_000;
    let address = 140_000_000_002_000;
    let nobody = 140_000_000_003_000;
    let mut script = Script::slots(&[(0, address)]).answer(number, Answer::NotAnAddress);
    let (_, found, text) = rewrite(
        r"
define i64 @julia_f_1(i64 %x) {
  %a = add i64 %x, 140000000001000
  %b = add i64 %a, 140000000002000
  %c = add i64 %b, 4294967295
  %d = add i64 %c, -1
  ret i64 %d
}
define i64 @julia_unknown_2(i64 %x) {
  %a = add i64 %x, 140000000003000
  ret i64 %a
}
define i128 @julia_wide_3(i128 %x) {
  %a = add i128 %x, 2582544170356230714387419103232000
  ret i128 %a
}
define i64 @julia_case_4(i64 %x) {
  switch i64 %x, label %other [ i64 140000000001000, label %yes
                                i64 140000000002000, label %yes ]
yes:
  ret i64 1
other:
  ret i64 2
}",
        &mut script,
    );
    let body = function(&text, "julia_f_1");
    assert!(body.contains("add i64 %x, 140000000001000"), "{body}");
    assert!(!body.contains("140000000002000") && body.contains("ptrtoint"), "{body}");
    assert!(body.contains("4294967295"), "{body}");
    assert!(!script.questions().iter().any(|question| question.starts_with("4294967295")));

    let unknown = &found.get("julia_unknown_2").expect("found").unknown;
    assert_eq!(unknown.len(), 1);
    assert_eq!((unknown[0].address, unknown[0].usage.as_str()), (nobody, "integer of 64 bits"));
    assert_eq!(unknown[0].instruction, "add");
    // 2582544170356230714387419103232000 == 140000000002000 << 64
    let wide = &found.get("julia_wide_3").expect("found").unknown;
    assert_eq!(wide.len(), 1, "an address in a wide integer cannot be replaced: {found:?}");
    let case = &found.get("julia_case_4").expect("found").unknown;
    assert_eq!(case.len(), 1);
    assert_eq!((case[0].address, case[0].reason), (address, "only a constant can stand there"));
}

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
