//! Every form in which an address stands in Julia's IR.

mod findings;
mod literals;
mod materialise;
mod slots;
mod thunks;
mod use_site;
mod variables;

use crate::common::{function, has_literal, rewrite, Script};

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
    // The second use in the block takes what was loaded before.
    insta::assert_snapshot!(function(&text, "julia_f_1"), @r"
    define %jl_value_t addrspace(10)* @julia_f_1(i1) {
      %2 = load i8*, i8** @nativecache_slot.3, !tbaa !0, !invariant.load !4, !nonnull !4
      %3 = bitcast i8* %2 to %jl_value_t*
      %4 = addrspacecast %jl_value_t* %3 to %jl_value_t addrspace(10)*
      %a = select i1 %0, %jl_value_t addrspace(10)* %4, %jl_value_t addrspace(10)* null
      %5 = load i8*, i8** @nativecache_slot.4, !tbaa !0, !invariant.load !4, !nonnull !4
      %6 = bitcast i8* %5 to i64*
      %b = load i64, i64* %6
      %7 = bitcast i8* %5 to i64*
      %8 = getelementptr inbounds i64, i64* %7, i64 1
      %c = load i64, i64* %8
      ret %jl_value_t addrspace(10)* %a
    }
    ");
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
    insta::assert_snapshot!(function(&text, "julia_union_1"), @r"
    define { %jl_value_t addrspace(10)*, i8 } @julia_union_1() {
      %1 = load i8*, i8** @nativecache_slot.0, !tbaa !0, !invariant.load !4, !nonnull !4
      %2 = bitcast i8* %1 to %jl_value_t*
      %3 = addrspacecast %jl_value_t* %2 to %jl_value_t addrspace(10)*
      %4 = insertvalue { %jl_value_t addrspace(10)*, i8 } { %jl_value_t addrspace(10)* undef, i8 -126 }, %jl_value_t addrspace(10)* %3, 0
      ret { %jl_value_t addrspace(10)*, i8 } %4
    }
    ");
    insta::assert_snapshot!(function(&text, "julia_array_2"), @r"
    define void @julia_array_2([2 x i64*]* %out) {
      %1 = load i8*, i8** @nativecache_slot.0, !tbaa !0, !invariant.load !4, !nonnull !4
      %2 = bitcast i8* %1 to i64*
      %3 = insertvalue [2 x i64*] [i64* undef, i64* null], i64* %2, 0
      store [2 x i64*] %3, [2 x i64*]* %out
      ret void
    }
    ");
    insta::assert_snapshot!(function(&text, "julia_vector_3"), @r"
    define void @julia_vector_3(<2 x i64*>* %out) {
      %1 = load i8*, i8** @nativecache_slot.0, !tbaa !0, !invariant.load !4, !nonnull !4
      %2 = bitcast i8* %1 to i64*
      %3 = load i8*, i8** @nativecache_slot.1, !tbaa !0, !invariant.load !4, !nonnull !4
      %4 = bitcast i8* %3 to i64*
      %5 = insertelement <2 x i64*> undef, i64* %2, i32 0
      %6 = insertelement <2 x i64*> %5, i64* %4, i32 1
      store <2 x i64*> %6, <2 x i64*>* %out
      ret void
    }
    ");
    insta::assert_snapshot!(function(&text, "julia_data_4"), @r"
    define i64 @julia_data_4() {
      %1 = load i8*, i8** @nativecache_slot.1, !tbaa !0, !invariant.load !4, !nonnull !4
      %2 = ptrtoint i8* %1 to i64
      %3 = insertvalue [3 x i64] [i64 1, i64 undef, i64 3], i64 %2, 1
      %a = extractvalue [3 x i64] %3, 1
      %4 = load i8*, i8** @nativecache_slot.0, !tbaa !0, !invariant.load !4, !nonnull !4
      %5 = ptrtoint i8* %4 to i64
      %6 = insertelement <2 x i64> <i64 undef, i64 5>, i64 %5, i32 0
      %b = extractelement <2 x i64> %6, i32 0
      %c = add i64 %a, %b
      ret i64 %c
    }
    ");
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
    assert!(!has_literal(&text), "{text}");
    // A block that is listed twice gives the same value twice. What comes from a block is made at its end, and is not
    // taken for loaded in the block of the PHI.
    insta::assert_snapshot!(function(&text, "julia_f_1"), @r"
    define i64* @julia_f_1(i8) {
    top:
      %1 = load i8*, i8** @nativecache_slot.0, !tbaa !0, !invariant.load !4, !nonnull !4
      %2 = bitcast i8* %1 to i64*
      %3 = load i8*, i8** @nativecache_slot.1, !tbaa !0, !invariant.load !4, !nonnull !4
      %4 = bitcast i8* %3 to i64*
      switch i8 %0, label %other [
        i8 1, label %join
        i8 2, label %join
      ]

    other:                                            ; preds = %top
      %5 = load i8*, i8** @nativecache_slot.1, !tbaa !0, !invariant.load !4, !nonnull !4
      %6 = bitcast i8* %5 to i64*
      %used = load i64, i64* %6
      %7 = load i8*, i8** @nativecache_slot.1, !tbaa !0, !invariant.load !4, !nonnull !4
      %8 = bitcast i8* %7 to i64*
      br label %join

    join:                                             ; preds = %other, %top, %top
      %p = phi i64* [ %2, %top ], [ %2, %top ], [ %8, %other ]
      %q = phi i64* [ %4, %top ], [ %4, %top ], [ null, %other ]
      %9 = load i8*, i8** @nativecache_slot.0, !tbaa !0, !invariant.load !4, !nonnull !4
      %10 = bitcast i8* %9 to i64*
      %u = load i64, i64* %10
      ret i64* %p
    }
    ");
}
