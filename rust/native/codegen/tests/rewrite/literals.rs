//! Plain integers that may be addresses.

use crate::common::{function, rewrite, Script};

#[test]
fn plain_integers() {
    let number = 140_000_000_001_000;
    let address = 140_000_000_002_000;
    let nobody = 140_000_000_003_000;
    let mut script = Script::slots(&[(0, address)]).number(number);
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
    insta::assert_snapshot!(function(&text, "julia_f_1"), @r"
    define i64 @julia_f_1(i64 %x) {
      %a = add i64 %x, 140000000001000
      %1 = load i8*, i8** @nativecache_slot.0, !tbaa !0, !invariant.load !4, !nonnull !4
      %2 = ptrtoint i8* %1 to i64
      %b = add i64 %a, %2
      %c = add i64 %b, 4294967295
      %d = add i64 %c, -1
      ret i64 %d
    }
    ");
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
