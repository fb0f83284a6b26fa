//! Arguments that the caller roots.

use nativecache_codegen::OptLevel;

use crate::common::{finish, function, optimise, rewrite, Script};

/// What a function of the generic calling convention makes of its second argument, read as a structure from `array`.
fn reader(array: &str) -> String {
    let text = format!(
        r"
declare void @jl_collects()
declare %jl_value_t addrspace(10)** @jl_elsewhere()
define i64 @julia_reader_1(%jl_value_t addrspace(10)* %f, %jl_value_t addrspace(10)** %args, i32 %n) {{
  %state = call %jl_value_t*** @julia.ptls_states()
  %other = call %jl_value_t addrspace(10)** @jl_elsewhere()
  %place = getelementptr %jl_value_t addrspace(10)*, %jl_value_t addrspace(10)** {array}, i64 1
  %cast = bitcast %jl_value_t addrspace(10)** %place to {{ i64, i64 }} addrspace(10)**
  %object = load {{ i64, i64 }} addrspace(10)*, {{ i64, i64 }} addrspace(10)** %cast
  call void @jl_collects()
  %field = getelementptr {{ i64, i64 }}, {{ i64, i64 }} addrspace(10)* %object, i64 0, i32 1
  %x = load i64, i64 addrspace(10)* %field
  ret i64 %x
}}"
    );
    let (mut module, _, _) = rewrite(&text, &mut Script::default());
    let finished = finish(&mut module, &["julia_reader_1"], 0);
    function(&optimise(&mut module, OptLevel::O0), &finished.functions[0].after).to_owned()
}

#[test]
fn what_the_caller_roots_needs_no_place_in_a_frame() {
    let body = reader("%args");
    assert!(!body.contains("%gcframe"), "{body}");
    let body = reader("%other");
    assert!(body.contains("%gcframe"), "nobody roots this one: {body}");
}
