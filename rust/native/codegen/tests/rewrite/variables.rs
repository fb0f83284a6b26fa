//! Addresses in the data of global variables.

use crate::common::{function, has_literal, rewrite, Script};

#[test]
fn a_load_of_a_constant_variable_becomes_a_slot() {
    let mut script = Script::slots(&[(0, 140_000_000_001_000), (1, 140_000_000_002_000)]);
    let (_, found, text) = rewrite(
        r"
@0 = private unnamed_addr constant %jl_value_t* inttoptr (i64 140000000001000 to %jl_value_t*)
@1 = private unnamed_addr constant { i64*, i8 } { i64* inttoptr (i64 140000000002000 to i64*), i8 7 }
define %jl_value_t* @julia_f_1() {
  %v = load %jl_value_t*, %jl_value_t** @0
  ret %jl_value_t* %v
}
define { i64*, i8 } @julia_g_2() {
  %v = load { i64*, i8 }, { i64*, i8 }* @1
  ret { i64*, i8 } %v
}",
        &mut script,
    );
    let bodies = format!("{}{}", function(&text, "julia_f_1"), function(&text, "julia_g_2"));
    assert!(!has_literal(&bodies), "{bodies}");
    insta::assert_snapshot!(function(&text, "julia_g_2"), @r"
    define { i64*, i8 } @julia_g_2() {
      %1 = load i8*, i8** @nativecache_slot.1, !tbaa !0, !invariant.load !4, !nonnull !4
      %2 = bitcast i8* %1 to i64*
      %3 = insertvalue { i64*, i8 } { i64* undef, i8 7 }, i64* %2, 0
      ret { i64*, i8 } %3
    }
    ");
    assert_eq!(found.get("julia_f_1").expect("found").slots, [0]);
    assert_eq!(found.get("julia_g_2").expect("found").slots, [1]);
    assert!(found.functions().iter().all(|function| function.unknown.is_empty()), "{found:?}");
}

#[test]
fn any_other_use_is_unknown() {
    let mut script = Script::slots(&[(0, 140_000_000_001_000), (1, 140_000_000_002_000)]);
    let (_, found, _) = rewrite(
        r"
@table = private unnamed_addr constant [2 x i64*] [i64* inttoptr (i64 140000000001000 to i64*), i64* null]
@indirect = private unnamed_addr constant [2 x i64*]* @table
@cache = internal global i64* inttoptr (i64 140000000002000 to i64*)
@numbers = private unnamed_addr constant [2 x i64] [i64 1, i64 140000000003000]
define i64* @julia_element_1(i64 %i) {
  %p = getelementptr [2 x i64*], [2 x i64*]* @table, i64 0, i64 %i
  %v = load i64*, i64** %p
  ret i64* %v
}
define [2 x i64*]* @julia_indirect_2() {
  %v = load [2 x i64*]*, [2 x i64*]** @indirect
  ret [2 x i64*]* %v
}
define i64* @julia_variable_3() {
  %v = load i64*, i64** @cache
  ret i64* %v
}
define i64 @julia_number_4(i64 %i) {
  %p = getelementptr [2 x i64], [2 x i64]* @numbers, i64 0, i64 %i
  %v = load i64, i64* %p
  ret i64 %v
}",
        &mut script,
    );
    for name in ["julia_element_1", "julia_indirect_2", "julia_variable_3", "julia_number_4"] {
        assert!(!found.get(name).expect("found").unknown.is_empty(), "{name}: {found:?}");
    }
    assert_eq!(found.get("julia_variable_3").expect("found").unknown[0].address, 140_000_000_002_000);
}

#[test]
fn numbers_in_data_stay() {
    let mut script = Script::default().number(140_000_000_003_000);
    let (_, found, text) = rewrite(
        r"
@numbers = private unnamed_addr constant [2 x i64] [i64 1, i64 140000000003000]
define i64 @julia_number_1(i64 %i) {
  %p = getelementptr [2 x i64], [2 x i64]* @numbers, i64 0, i64 %i
  %v = load i64, i64* %p
  ret i64 %v
}",
        &mut script,
    );
    assert!(text.contains("140000000003000"), "{text}");
    assert!(script.asked.is_empty(), "{:?}", script.asked);
    assert!(found.get("julia_number_1").expect("found").unknown.is_empty());
}

#[test]
fn functions_in_data_are_referred_to() {
    let mut script = Script::default();
    let (_, found, _) = rewrite(
        r"
@table = private unnamed_addr constant [1 x void ()*] [void ()* @julia_callee_1]
define void @julia_callee_1() {
  call void @jl_throw(%jl_value_t addrspace(12)* null)
  ret void
}
define void @julia_caller_2(i64 %i) {
  %p = getelementptr [1 x void ()*], [1 x void ()*]* @table, i64 0, i64 %i
  %f = load void ()*, void ()** %p
  call void %f()
  ret void
}",
        &mut script,
    );
    assert_eq!(found.get("julia_caller_2").expect("found").calls, ["julia_callee_1"]);
    assert_eq!(found.closure("julia_caller_2").imports, ["jl_throw"]);
}
