//! The rules of the garbage collector.

use nativecache_codegen::{CodegenError, OptLevel, Target};

use crate::common::{finish, rewrite, Script};

#[test]
fn what_breaks_a_rule_is_named_instead_of_aborting() {
    // A tracked pointer that is made of an integer: LLVM 9 may do that to valid code, and Julia aborts on it.
    let text = r#"
define internal void @julia_fine_1() {
  ret void
}
define internal %jl_value_t addrspace(10)* @julia_broken_2(i64) {
  %2 = inttoptr i64 %0 to %jl_value_t addrspace(10)*
  ret %jl_value_t addrspace(10)* %2
}
target datalayout = "e-m:e-i64:64-f80:128-n8:16:32:64-S128"
"#; // LLVM's verifier refuses this too, unless the data layout allows it.
    let (mut module, _, _) = rewrite(text, &mut Script::default());
    finish(&mut module, &["julia_fine_1", "julia_broken_2"], 0);
    let error = module.optimise(&Target::host(OptLevel::O2)).expect_err("it is broken");
    let CodegenError::GcInvariant(violations) = &error else { panic!("{error}") };
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].function, "julia_broken_1");
    assert!(error.to_string().contains("`julia_broken_1` (inttoptr"), "{error}");
}
