//! Where slots are loaded.

use nativecache_codegen::OptLevel;

use crate::common::{finish, function, optimise, rewrite, Script};

#[test]
fn a_slot_is_loaded_behind_the_calls_that_come_before_its_use() {
    let text = r"
declare i64 @jl_something(i64)
define internal %jl_value_t addrspace(10)* @julia_late_1(i64 %x) {
  %object = addrspacecast %jl_value_t* inttoptr (i64 140000000001000 to %jl_value_t*) to %jl_value_t addrspace(10)*
  %y = call i64 @jl_something(i64 %x)
  ret %jl_value_t addrspace(10)* %object
}";
    let (mut module, _, _) = rewrite(text, &mut Script::slots(&[(0, 140_000_000_001_000)]));
    finish(&mut module, &["julia_late_1"], 1);
    let text = optimise(&mut module, OptLevel::O2);
    insta::assert_snapshot!(function(&text, "julia_late_0"), @r"
    define internal %jl_value_t addrspace(10)* @julia_late_0(i64 %x) align 64 {
      %y = call i64 @jl_something(i64 %x)
      %1 = load %jl_value_t*, %jl_value_t** bitcast ([1 x i8*]* @nativecache_slots.real to %jl_value_t**), align 8, !tbaa !0, !invariant.load !4, !nonnull !4
      %2 = addrspacecast %jl_value_t* %1 to %jl_value_t addrspace(10)*
      ret %jl_value_t addrspace(10)* %2
    }
    ");
}
