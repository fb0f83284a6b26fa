//! Arrays of roots, which Julia's passes would put into the collector's frame in the order of their addresses.

mod common;

use common::{finish, function, print, rewrite, Script};
use nativecache_codegen::{OptLevel, Target};

const CALLEES: &str = r"
declare void @jl_pair([2 x %jl_value_t addrspace(10)*]* noalias nocapture sret, i64)
declare void @jl_mixed({ i64, %jl_value_t addrspace(10)* }* noalias nocapture sret, %jl_value_t addrspace(10)** noalias nocapture, i64)
declare void @jl_use([2 x %jl_value_t addrspace(10)*]*, [2 x %jl_value_t addrspace(10)*]*)
";

/// Without the thread-local state in the function, the passes leave its stack variables alone.
fn optimised(text: &str, name: &str) -> String {
    let (mut module, _, _) = rewrite(&format!("{CALLEES}{text}"), &mut Script::default());
    let finished = finish(&mut module, &[name], 0);
    module.optimise(&Target::host(OptLevel::O0)).expect("passes");
    module.verify().expect("valid after the passes");
    function(&print(&module), &finished.functions[0].after).to_owned()
}

#[test]
fn they_become_parts_of_a_single_one() {
    let body = optimised(
        r"
define void @julia_three_1(i64 %x, %jl_value_t addrspace(10)* %v) {
  %a = alloca [2 x %jl_value_t addrspace(10)*], align 8
  %b = alloca [2 x %jl_value_t addrspace(10)*], align 8
  %roots = alloca [1 x %jl_value_t addrspace(10)*], align 8
  %plain = alloca { i64, %jl_value_t addrspace(10)* }, align 8
  call void @jl_pair([2 x %jl_value_t addrspace(10)*]* noalias nocapture sret %a, i64 1)
  %first = getelementptr inbounds [2 x %jl_value_t addrspace(10)*], [2 x %jl_value_t addrspace(10)*]* %b, i64 0, i64 0
  store %jl_value_t addrspace(10)* %v, %jl_value_t addrspace(10)** %first
  %r = getelementptr inbounds [1 x %jl_value_t addrspace(10)*], [1 x %jl_value_t addrspace(10)*]* %roots, i64 0, i64 0
  call void @jl_mixed({ i64, %jl_value_t addrspace(10)* }* noalias nocapture sret %plain, %jl_value_t addrspace(10)** noalias nocapture %r, i64 2)
  call void @jl_use([2 x %jl_value_t addrspace(10)*]* %a, [2 x %jl_value_t addrspace(10)*]* %b)
  ret void
}",
        "julia_three_1",
    );
    // The pass multiplies the number of elements with the roots of a result: an element has no more than the smallest.
    assert!(body.contains("alloca [1 x %jl_value_t addrspace(10)*], i32 5, align 8"), "{body}");
    assert_eq!(body.matches("alloca").count(), 2, "one, and the one with other things in it: {body}");
    for offset in ["i64 0", "i64 2", "i64 4"] {
        assert!(body.contains(&format!("%jl_value_t addrspace(10)** %2, {offset}\n")), "{offset}: {body}");
    }
}

#[test]
fn equal_ones_waste_nothing_and_alignment_is_kept() {
    let body = optimised(
        r"
define void @julia_equal_1() {
  %a = alloca [2 x %jl_value_t addrspace(10)*], align 8
  %b = alloca [2 x %jl_value_t addrspace(10)*], align 16
  call void @jl_pair([2 x %jl_value_t addrspace(10)*]* noalias nocapture sret %a, i64 1)
  call void @jl_pair([2 x %jl_value_t addrspace(10)*]* noalias nocapture sret %b, i64 2)
  call void @jl_use([2 x %jl_value_t addrspace(10)*]* %a, [2 x %jl_value_t addrspace(10)*]* %b)
  ret void
}",
        "julia_equal_1",
    );
    assert!(body.contains("alloca [2 x %jl_value_t addrspace(10)*], i32 2, align 16"), "{body}");
}

#[test]
fn a_single_one_stays() {
    let body = optimised(
        r"
define void @julia_one_1() {
  %a = alloca [2 x %jl_value_t addrspace(10)*], align 8
  call void @jl_pair([2 x %jl_value_t addrspace(10)*]* noalias nocapture sret %a, i64 1)
  ret void
}",
        "julia_one_1",
    );
    assert!(body.contains("alloca [2 x %jl_value_t addrspace(10)*], align 8"), "{body}");
}

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
    optimised(&text, "julia_reader_1")
}

#[test]
fn what_the_caller_roots_needs_no_place_in_a_frame() {
    let body = reader("%args");
    assert!(!body.contains("%gcframe"), "{body}");
    let body = reader("%other");
    assert!(body.contains("%gcframe"), "nobody roots this one: {body}");
}
