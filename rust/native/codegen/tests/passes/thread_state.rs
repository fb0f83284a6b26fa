//! How the state of a thread is found.

use nativecache_codegen::OptLevel;

use crate::common::{finish, function, optimise, rewrite, Script};

#[test]
fn the_state_of_a_thread_is_found_by_an_addition() {
    let text = r"
define internal %jl_value_t** @julia_state_1() {
  %state = call %jl_value_t*** @julia.ptls_states()
  %frame = load %jl_value_t**, %jl_value_t*** %state
  ret %jl_value_t** %frame
}";
    let text = [OptLevel::O0, OptLevel::O2].map(|level| {
        let (mut module, _, _) = rewrite(text, &mut Script::default());
        finish(&mut module, &["julia_state_1"], 0);
        optimise(&mut module, level)
    });
    // Without optimisation a branch is left, which is always taken.
    let plain = function(&text[0], "julia_state_0");
    assert!(plain.contains("fs:0") && plain.contains("jl_tls_offset"), "{plain}");
    assert!(!plain.contains("br i1 %"), "{plain}");
    insta::assert_snapshot!(function(&text[1], "julia_state_0"), @r#"
    define internal %jl_value_t** @julia_state_0() align 64 {
      %1 = load i64, i64* @jl_tls_offset.real, !tbaa !0, !invariant.load !4
      %2 = icmp ne i64 %1, 0
      %thread_ptr = call i8* asm "movq %fs:0, $0", "=r"()
      %ptls_i8 = getelementptr i8, i8* %thread_ptr, i64 %1
      %ptls = bitcast i8* %ptls_i8 to %jl_value_t***
      %frame = load %jl_value_t**, %jl_value_t*** %ptls, align 8
      ret %jl_value_t** %frame
    }
    "#);
    assert!(!text[1].contains("jl_get_ptls_states_slot"), "{}", text[1]);
}
