//! Loads from slots.

use crate::common::{function, rewrite, Script};

#[test]
fn loads_are_marked_as_julia_marks_its_own() {
    let mut script = Script::slots(&[(5, 140_000_000_001_000)]);
    let (_, _, text) = rewrite(
        r"
define void @julia_f_1(i64** %out, i64* %number) {
  store i64* inttoptr (i64 140000000001000 to i64*), i64** %out
  store i64 140000000001000, i64* %number
  ret void
}",
        &mut script,
    );
    insta::assert_snapshot!(function(&text, "julia_f_1"), @r"
    define void @julia_f_1(i64** %out, i64* %number) {
      %1 = load i8*, i8** @nativecache_slot.5, !tbaa !0, !invariant.load !4, !nonnull !4
      %2 = bitcast i8* %1 to i64*
      store i64* %2, i64** %out
      %3 = ptrtoint i8* %1 to i64
      store i64 %3, i64* %number
      ret void
    }
    ");
    let metadata: Vec<&str> = text.lines().filter(|line| line.starts_with('!')).collect();
    insta::assert_snapshot!(metadata.join("\n"), @r#"
    !0 = !{!1, !1, i64 0, i64 1}
    !1 = !{!"jtbaa_const", !2, i64 0}
    !2 = !{!"jtbaa", !3, i64 0}
    !3 = !{!"jtbaa"}
    !4 = !{}
    "#);
}
