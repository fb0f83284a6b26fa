//! What an address is used as.

use crate::common::{has_literal, rewrite, Script};

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
