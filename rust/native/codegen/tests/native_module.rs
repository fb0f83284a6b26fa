//! The order of the stages, and what each refuses.

use std::path::Path;

use nativecache_codegen::{CodegenError, ExportedFunction, NativeModule, OptLevel, Target};

use crate::common::{finish, module, print, rewrite, Script};

const TWO: &str = r"
define internal i64 @julia_first_1(i64 %x) {
  %y = call i64 @julia_second_2(i64 %x)
  ret i64 %y
}
define internal i64 @julia_second_2(i64 %x) {
  ret i64 %x
}";

#[test]
fn null_is_no_module() {
    // SAFETY: null is allowed.
    let null = unsafe { NativeModule::from_raw(std::ptr::null_mut()) };
    assert!(matches!(null, Err(CodegenError::NullModule)));
}

#[test]
fn each_stage_wants_the_one_before() {
    let target = Target::host(OptLevel::O2);
    let nowhere = Path::new("/no such folder/x.o");
    let mut module = module(TWO);
    let error = module.finish(&[], 0, [0; 16]).expect_err("it is not rewritten");
    assert_eq!(error.to_string(), "`finish` was called, but the module is not rewritten yet");
    module.rewrite(&mut Script::default()).expect("it was just emitted");
    assert!(matches!(module.rewrite(&mut Script::default()), Err(CodegenError::Order { .. })));
    assert!(matches!(module.isolate(&[]), Err(CodegenError::Order { .. })));
    assert!(matches!(module.optimise(&target), Err(CodegenError::Order { .. })));
    finish(&mut module, &["julia_first_1"], 0);
    assert!(matches!(module.finish(&[], 0, [0; 16]), Err(CodegenError::Order { .. })));
    assert!(matches!(module.emit_object(&target, nowhere), Err(CodegenError::Order { .. })));
    module.optimise(&target).expect("passes");
    assert!(matches!(module.optimise(&target), Err(CodegenError::Order { .. })));
    let error = module.emit_object(&target, nowhere).expect_err("no folder");
    assert!(matches!(&error, CodegenError::Write { path, .. } if path == nowhere), "{error}");
    assert!(matches!(module.emit_object(&target, nowhere), Err(CodegenError::Order { .. })));
}

#[test]
fn a_machine_that_llvm_does_not_know() {
    let (mut odd, _, _) = rewrite("target triple = \"no-such-machine\"\n", &mut Script::default());
    odd.finish(&[] as &[ExportedFunction], 0, [0; 16]).expect("nothing to do");
    let error = odd.optimise(&Target::host(OptLevel::O2)).expect_err("no such machine");
    assert!(matches!(&error, CodegenError::Target { triple, .. } if triple == "no-such-machine"), "{error}");
}

#[test]
fn isolated_functions_alone_keep_their_body() {
    let (mut module, _, _) = rewrite(TWO, &mut Script::default());
    finish(&mut module, &["julia_first_1"], 0);
    let error = module.isolate(&["nobody"]).expect_err("no such function");
    assert!(matches!(&error, CodegenError::UnknownFunction { name } if name == "nobody"), "{error}");
    module.isolate(&["julia_second_1"]).expect("it is there");
    module.verify().expect("valid");
    assert_eq!(module.function_names(), ["julia_second_1"]);
    let text = print(&module);
    let line = text.lines().find(|line| line.contains("i64 @julia_first_0(i64)"));
    assert!(line.is_some_and(|line| line.starts_with("declare ")), "{text}");
}
