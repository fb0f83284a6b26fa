//! Calls of what Julia's code generator did not emit.

use nativecache_codegen::Callee;

use crate::common::{function, has_literal, rewrite, Script};

const LITERAL: u64 = 140_000_000_001_000;

/// A thunk with the code instance `LITERAL`.
const THUNK: &str = r"
define internal %jl_value_t addrspace(10)* @tojlinvoke5(%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32) {
top:
  %3 = call nonnull %jl_value_t addrspace(10)* @jsysw_callee_7(%jl_value_t addrspace(10)* %0, %jl_value_t addrspace(10)** %1, i32 %2, %jl_value_t addrspace(10)* addrspacecast (%jl_value_t* inttoptr (i64 140000000001000 to %jl_value_t*) to %jl_value_t addrspace(10)*))
  ret %jl_value_t addrspace(10)* %3
}";

/// A prototype with the thunk in it, and its caller: result by pointer with roots, and nothing returned.
const SPECIALISED: &str = r#"
define internal void @j_callee_4({ i64, %jl_value_t addrspace(10)* }* noalias nocapture sret, %jl_value_t addrspace(10)** noalias nocapture, i64, double) "thunk" {
top:
  %4 = call cc37 nonnull %jl_value_t addrspace(10)* bitcast (%jl_value_t addrspace(10)* (%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32)* @tojlinvoke5 to %jl_value_t addrspace(10)* (%jl_value_t addrspace(10)*)*)(%jl_value_t addrspace(10)* addrspacecast (%jl_value_t* inttoptr (i64 140000000009000 to %jl_value_t*) to %jl_value_t addrspace(10)*))
  ret void
}
define void @julia_caller_1({ i64, %jl_value_t addrspace(10)* }* noalias nocapture sret, %jl_value_t addrspace(10)** noalias nocapture) {
  call void @j_callee_4({ i64, %jl_value_t addrspace(10)* }* noalias nocapture sret %0, %jl_value_t addrspace(10)** noalias nocapture %1, i64 4, double 2.0)
  ret void
}"#;

/// A caller with boxed arguments.
const BOXED: &str = r"
define %jl_value_t addrspace(10)* @julia_caller_1(%jl_value_t addrspace(10)* %f, %jl_value_t addrspace(10)* %x) {
  %r = call cc37 nonnull %jl_value_t addrspace(10)* bitcast (%jl_value_t addrspace(10)* (%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32)* @tojlinvoke5 to %jl_value_t addrspace(10)* (%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)*)*)(%jl_value_t addrspace(10)* %f, %jl_value_t addrspace(10)* %x)
  ret %jl_value_t addrspace(10)* %r
}";

#[test]
fn invoke_through_slots() {
    let mut script = Script::default().callee(LITERAL, Callee::Invoke { invoke: 2, code_instance: 1 });
    let (_, found, text) = rewrite(&format!("{THUNK}{BOXED}"), &mut script);
    assert_eq!(script.thunks, [("jsysw_callee_7".to_owned(), LITERAL, false)]);
    assert!(script.asked.is_empty(), "the literal of a thunk is asked about once: {:?}", script.asked);
    let thunk = function(&text, "tojlinvoke5");
    assert!(!has_literal(thunk), "{thunk}");
    insta::assert_snapshot!(thunk, @r"
    define internal %jl_value_t addrspace(10)* @tojlinvoke5(%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32) {
    top:
      %3 = load i8*, i8** @nativecache_slot.2, !tbaa !0, !invariant.load !4, !nonnull !4
      %4 = bitcast i8* %3 to %jl_value_t addrspace(10)* (%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32, %jl_value_t addrspace(10)*)*
      %5 = load i8*, i8** @nativecache_slot.1, !tbaa !0, !invariant.load !4, !nonnull !4
      %6 = bitcast i8* %5 to %jl_value_t*
      %7 = addrspacecast %jl_value_t* %6 to %jl_value_t addrspace(10)*
      %8 = tail call nonnull %jl_value_t addrspace(10)* %4(%jl_value_t addrspace(10)* %0, %jl_value_t addrspace(10)** %1, i32 %2, %jl_value_t addrspace(10)* %7)
      ret %jl_value_t addrspace(10)* %8
    }
    ");
    let closure = found.closure("julia_caller_1");
    assert_eq!(closure.slots, [1, 2]);
    assert!(closure.unknown.is_empty());
    assert!(closure.imports.is_empty(), "{closure:?}");
}

#[test]
fn generic_through_the_method_instance() {
    let mut script = Script::default().callee(LITERAL, Callee::Generic { method_instance: 6 });
    let (_, found, text) = rewrite(&format!("{THUNK}{BOXED}"), &mut script);
    let thunk = function(&text, "tojlinvoke5");
    assert!(!has_literal(thunk), "{thunk}");
    insta::assert_snapshot!(thunk, @r"
    define internal %jl_value_t addrspace(10)* @tojlinvoke5(%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32) {
    top:
      %3 = load i8*, i8** @nativecache_slot.6, !tbaa !0, !invariant.load !4, !nonnull !4
      %4 = bitcast i8* %3 to %jl_value_t*
      %5 = addrspacecast %jl_value_t* %4 to %jl_value_t addrspace(10)*
      %6 = tail call nonnull %jl_value_t addrspace(10)* @jl_invoke(%jl_value_t addrspace(10)* %0, %jl_value_t addrspace(10)** %1, i32 %2, %jl_value_t addrspace(10)* %5)
      ret %jl_value_t addrspace(10)* %6
    }
    ");
    let closure = found.closure("julia_caller_1");
    assert_eq!((closure.slots, closure.imports), (vec![6], vec!["jl_invoke".to_owned()]));
}

#[test]
fn direct_to_the_specialised_function() {
    let mut script = Script::default().callee(LITERAL, Callee::Direct { specptr: 3 });
    let (_, found, text) = rewrite(&format!("{THUNK}{SPECIALISED}"), &mut script);
    assert_eq!(script.thunks, [("jsysw_callee_7".to_owned(), LITERAL, true)]);
    assert!(script.asked.is_empty(), "what the prototype did for boxing is gone: {:?}", script.asked);
    assert!(!text.contains("tojlinvoke5"), "{text}");
    // All parameters are passed on, the hidden ones with their attributes.
    insta::assert_snapshot!(function(&text, "j_callee_4"), @r"
    define internal void @j_callee_4({ i64, %jl_value_t addrspace(10)* }* noalias nocapture sret, %jl_value_t addrspace(10)** noalias nocapture, i64, double) #0 {
      %5 = load i8*, i8** @nativecache_slot.3, !tbaa !0, !invariant.load !4, !nonnull !4
      %6 = bitcast i8* %5 to void ({ i64, %jl_value_t addrspace(10)* }*, %jl_value_t addrspace(10)**, i64, double)*
      tail call void %6({ i64, %jl_value_t addrspace(10)* }* noalias nocapture sret %0, %jl_value_t addrspace(10)** noalias nocapture %1, i64 %2, double %3)
      ret void
    }
    ");
    assert!(text.contains("alwaysinline"), "{text}");
    assert_eq!(found.closure("julia_caller_1").slots, [3]);
    assert!(found.get("tojlinvoke5").is_none());
}

#[test]
fn a_prototype_may_come_behind_its_thunk() {
    let mut script = Script::default().callee(LITERAL, Callee::Direct { specptr: 3 });
    let later = SPECIALISED.replace("j_callee_4", "j_callee_9");
    let (_, found, text) = rewrite(&format!("{THUNK}{later}"), &mut script);
    assert!(!text.contains("tojlinvoke5"), "{text}");
    assert_eq!(found.get("j_callee_9").expect("found").slots, [3]);
}

#[test]
fn direct_with_a_value_and_with_a_union() {
    let mut script = Script::default().callee(LITERAL, Callee::Direct { specptr: 3 });
    let call = r"%r = call cc37 nonnull %jl_value_t addrspace(10)* bitcast (%jl_value_t addrspace(10)* (%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32)* @tojlinvoke5 to %jl_value_t addrspace(10)* (%jl_value_t addrspace(10)*)*)(%jl_value_t addrspace(10)* null)";
    let (_, _, text) = rewrite(
        &format!(
            r"{THUNK}
define internal {{ %jl_value_t addrspace(10)*, i8 }} @j_union_4([8 x i8]* noalias nocapture align 8 dereferenceable(8), i64 signext) {{
  {call}
  ret {{ %jl_value_t addrspace(10)*, i8 }} undef
}}
define internal double @j_real_6(float) {{
  {call}
  ret double 0.0
}}"
        ),
        &mut script,
    );
    insta::assert_snapshot!(function(&text, "j_union_4"), @r"
    define internal { %jl_value_t addrspace(10)*, i8 } @j_union_4([8 x i8]* noalias nocapture align 8 dereferenceable(8), i64 signext) #0 {
      %3 = load i8*, i8** @nativecache_slot.3, !tbaa !0, !invariant.load !4, !nonnull !4
      %4 = bitcast i8* %3 to { %jl_value_t addrspace(10)*, i8 } ([8 x i8]*, i64)*
      %5 = tail call { %jl_value_t addrspace(10)*, i8 } %4([8 x i8]* noalias nocapture align 8 dereferenceable(8) %0, i64 signext %1)
      ret { %jl_value_t addrspace(10)*, i8 } %5
    }
    ");
    insta::assert_snapshot!(function(&text, "j_real_6"), @r"
    define internal double @j_real_6(float) #0 {
      %2 = load i8*, i8** @nativecache_slot.3, !tbaa !0, !invariant.load !4, !nonnull !4
      %3 = bitcast i8* %2 to double (float)*
      %4 = tail call double %3(float %0)
      ret double %4
    }
    ");
}

#[test]
fn direct_with_boxed_arguments() {
    let mut script = Script::default().callee(LITERAL, Callee::DirectArgs { fptr: 8 });
    let (_, found, text) = rewrite(&format!("{THUNK}{BOXED}"), &mut script);
    assert!(!text.contains("tojlinvoke5"), "the callers call the slot themselves: {text}");
    insta::assert_snapshot!(function(&text, "julia_caller_1"), @r"
    define %jl_value_t addrspace(10)* @julia_caller_1(%jl_value_t addrspace(10)* %f, %jl_value_t addrspace(10)* %x) {
      %1 = load i8*, i8** @nativecache_slot.8, !tbaa !0, !invariant.load !4, !nonnull !4
      %2 = bitcast i8* %1 to %jl_value_t addrspace(10)* (%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32)*
      %3 = bitcast %jl_value_t addrspace(10)* (%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32)* %2 to %jl_value_t addrspace(10)* (%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)*)*
      %r = call cc37 nonnull %jl_value_t addrspace(10)* %3(%jl_value_t addrspace(10)* %f, %jl_value_t addrspace(10)* %x)
      ret %jl_value_t addrspace(10)* %r
    }
    ");
    assert_eq!(found.closure("julia_caller_1").slots, [8]);
}

#[test]
fn what_does_not_fit_is_unknown() {
    for (answer, body) in [
        (Callee::Unknown, BOXED),
        (Callee::Direct { specptr: 1 }, BOXED),
        (Callee::DirectArgs { fptr: 1 }, SPECIALISED),
    ] {
        let mut script = Script::slots(&[(0, 140_000_000_009_000)]).callee(LITERAL, answer);
        let (_, found, _) = rewrite(&format!("{THUNK}{body}"), &mut script);
        let closure = found.closure("julia_caller_1");
        assert_eq!(closure.unknown.len(), 1, "{answer:?}: {closure:?}");
        let (name, unknown) = &closure.unknown[0];
        assert_eq!((name.as_str(), unknown.address), ("tojlinvoke5", LITERAL));
        assert_eq!(unknown.instruction, "call of jsysw_callee_7");
        assert_eq!(closure.imports, ["jsysw_callee_7"]);
    }
}

#[test]
fn a_thunk_of_another_form_is_unknown() {
    let mut script = Script::default();
    let (_, found, _) = rewrite(
        r"
define internal %jl_value_t addrspace(10)* @tojlinvoke5(%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32) {
  %a = call %jl_value_t addrspace(10)* @jl_apply_generic(%jl_value_t addrspace(10)* %0, %jl_value_t addrspace(10)** %1, i32 %2)
  ret %jl_value_t addrspace(10)* %a
}",
        &mut script,
    );
    assert!(script.thunks.is_empty());
    assert_eq!(found.get("tojlinvoke5").expect("found").unknown.len(), 1);
}
