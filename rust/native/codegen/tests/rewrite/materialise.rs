//! Constant expressions with an address in them.

use crate::common::{function, rewrite, Script};

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
    // LLVM itself has turned the first comparison around when it made the constant.
    insta::assert_snapshot!(function(&text, "julia_f_1"), @r"
    define i64 @julia_f_1() {
      %1 = load i8*, i8** @nativecache_slot.0, !tbaa !0, !invariant.load !4, !nonnull !4
      %2 = ptrtoint i8* %1 to i64
      %3 = add i64 ptrtoint (i64* @somewhere to i64), %2
      %a = add i64 1, %3
      %4 = ptrtoint i8* %1 to i64
      %5 = xor i64 ptrtoint (i64* @somewhere to i64), %4
      %b = xor i64 %a, %5
      %6 = bitcast i8* %1 to i64*
      %7 = icmp ugt i64* %6, @somewhere
      %c = select i1 %7, i64 %a, i64 %b
      %8 = bitcast i8* %1 to i64*
      %9 = icmp eq i64* %8, @somewhere
      %10 = select i1 %9, i64 5, i64 6
      %d = add i64 %c, %10
      %11 = ptrtoint i8* %1 to i64
      %12 = sub i64 ptrtoint (i64* @somewhere to i64), %11
      %13 = sitofp i64 %12 to double
      %e = fptosi double %13 to i64
      %f = add i64 %d, %e
      ret i64 %f
    }
    ");
}
