//! Arrays of roots, which Julia's passes would put into the collector's frame in the order of their addresses.

use nativecache_codegen::OptLevel;

use crate::common::{finish, function, optimise, rewrite, Script};

const CALLEES: &str = r"
declare void @jl_pair([2 x %jl_value_t addrspace(10)*]* noalias nocapture sret, i64)
declare void @jl_mixed({ i64, %jl_value_t addrspace(10)* }* noalias nocapture sret, %jl_value_t addrspace(10)** noalias nocapture, i64)
declare void @jl_use([2 x %jl_value_t addrspace(10)*]*, [2 x %jl_value_t addrspace(10)*]*)
";

/// Without the thread-local state in the function, the passes leave its stack variables alone.
fn optimised(text: &str, name: &str) -> String {
    let (mut module, _, _) = rewrite(&format!("{CALLEES}{text}"), &mut Script::default());
    let finished = finish(&mut module, &[name], 0);
    function(&optimise(&mut module, OptLevel::O0), &finished.functions[0].after).to_owned()
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
    insta::assert_snapshot!(body, @r"
    define internal void @julia_three_0(i64 %x, %jl_value_t addrspace(10)* %v) {
      %1 = alloca [1 x %jl_value_t addrspace(10)*], i32 5, align 8
      %2 = bitcast [1 x %jl_value_t addrspace(10)*]* %1 to %jl_value_t addrspace(10)**
      %3 = getelementptr inbounds %jl_value_t addrspace(10)*, %jl_value_t addrspace(10)** %2, i64 0
      %4 = bitcast %jl_value_t addrspace(10)** %3 to [2 x %jl_value_t addrspace(10)*]*
      %5 = getelementptr inbounds %jl_value_t addrspace(10)*, %jl_value_t addrspace(10)** %2, i64 2
      %6 = bitcast %jl_value_t addrspace(10)** %5 to [2 x %jl_value_t addrspace(10)*]*
      %7 = getelementptr inbounds %jl_value_t addrspace(10)*, %jl_value_t addrspace(10)** %2, i64 4
      %8 = bitcast %jl_value_t addrspace(10)** %7 to [1 x %jl_value_t addrspace(10)*]*
      %plain = alloca { i64, %jl_value_t addrspace(10)* }, align 8
      call void @jl_pair([2 x %jl_value_t addrspace(10)*]* noalias nocapture sret %4, i64 1)
      %first = getelementptr inbounds [2 x %jl_value_t addrspace(10)*], [2 x %jl_value_t addrspace(10)*]* %6, i64 0, i64 0
      store %jl_value_t addrspace(10)* %v, %jl_value_t addrspace(10)** %first
      %r = getelementptr inbounds [1 x %jl_value_t addrspace(10)*], [1 x %jl_value_t addrspace(10)*]* %8, i64 0, i64 0
      call void @jl_mixed({ i64, %jl_value_t addrspace(10)* }* noalias nocapture sret %plain, %jl_value_t addrspace(10)** noalias nocapture %r, i64 2)
      call void @jl_use([2 x %jl_value_t addrspace(10)*]* %4, [2 x %jl_value_t addrspace(10)*]* %6)
      ret void
    }
    ");
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
