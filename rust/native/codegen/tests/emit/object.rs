//! Passes, machine code, and a library that a loader can use.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{finish, function, print, rewrite, Script};
use nativecache_codegen::{
    symbol, Answer, CodegenError, ExportedFunction, NativeModule, OptLevel, SlotUse, Target,
};

const ANSWER: u64 = 140_000_000_001_000;
const CALLEE: u64 = 140_000_000_002_000;

/// `answer` loads from an address and calls another function of the library; `call` calls an address.
const LIBRARY: &str = r"
define internal i64 @julia_answer_3(i64 %x) {
  %a = load i64, i64* getelementptr (i64, i64* inttoptr (i64 140000000001000 to i64*), i64 1)
  %b = call i64 @julia_double_4(i64 %a)
  %c = add i64 %b, %x
  ret i64 %c
}
define internal i64 @julia_double_4(i64 %x) #0 {
  %a = mul i64 %x, 2
  ret i64 %a
}
define internal i64 @julia_call_5(i64 %x) {
  %a = call i64 inttoptr (i64 140000000002000 to i64 (i64)*)(i64 %x)
  ret i64 %a
}
attributes #0 = { noinline }
";

fn built(text: &str, names: &[&str]) -> NativeModule {
    let mut script = Script::default()
        .answer(ANSWER, Answer::Slot(SlotUse::new(0)))
        .answer(CALLEE, Answer::Slot(SlotUse::new(1)));
    let (mut module, found, _) = rewrite(text, &mut script);
    assert!(found.functions().iter().all(|function| function.unknown.is_empty()), "{found:?}");
    finish(&mut module, names, 2);
    module
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("nativecache-codegen-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    folder
}

fn object(module: &mut NativeModule, level: OptLevel, path: &Path) {
    let target = Target::host(level);
    module.optimise(&target).expect("passes");
    module.verify().expect("valid after the passes");
    module.emit_object(&target, path).expect("object");
}

/// An address in a loaded library.
unsafe fn address_of(library: *mut core::ffi::c_void, name: &str) -> *mut core::ffi::c_void {
    let name = std::ffi::CString::new(name).expect("no null in it");
    // SAFETY: as our caller promises.
    let address = unsafe { dlsym(library, name.as_ptr()) };
    assert!(!address.is_null(), "{name:?}");
    address
}

extern "C" {
    fn dlopen(path: *const core::ffi::c_char, mode: core::ffi::c_int) -> *mut core::ffi::c_void;
    fn dlsym(library: *mut core::ffi::c_void, name: *const core::ffi::c_char) -> *mut core::ffi::c_void;
}

extern "C" fn triple(x: u64) -> u64 {
    3 * x
}

#[test]
fn a_loader_finds_everything_and_the_code_runs() {
    let folder = folder("run");
    for level in [OptLevel::O0, OptLevel::O1, OptLevel::O2, OptLevel::O3] {
        let mut module = built(LIBRARY, &["julia_call_5", "julia_answer_3"]);
        let (file, library) = (folder.join("x.o"), folder.join(format!("x{}.so", level.number())));
        object(&mut module, level, &file);
        let status = Command::new("cc")
            .args(["-shared", "-nostdlib", "-Wl,-Bsymbolic", "-o"])
            .args([&library, &file])
            .status()
            .expect("a C compiler");
        assert!(status.success());

        let text = std::ffi::CString::new(library.to_str().expect("a plain path")).expect("no null in it");
        let data = [5_u64, 21];
        // SAFETY: the library was just made; its tables have the types that `symbol` states, and its
        // functions those of `LIBRARY`. `data` outlives the calls.
        unsafe {
            let library = dlopen(text.as_ptr(), 2);
            assert!(!library.is_null());
            let slots = address_of(library, symbol::SLOTS).cast::<u64>();
            assert_eq!((slots.read(), slots.add(1).read()), (0, 0));
            slots.write(data.as_ptr() as u64);
            slots.add(1).write(triple as *const () as u64);
            let functions = address_of(library, symbol::FUNCTIONS).cast::<i32>();
            let entry = |index: usize| functions.cast::<u8>().offset(functions.add(index).read() as isize);
            let call: extern "C" fn(u64) -> u64 = std::mem::transmute(entry(0));
            let answer: extern "C" fn(u64) -> u64 = std::mem::transmute(entry(1));
            assert_eq!(call(14), 42);
            assert_eq!(answer(1), 43);
            let id = address_of(library, symbol::BUILD_ID).cast::<[u8; 16]>();
            assert_eq!(id.read(), [7; 16]);
            // No function needs the thread-local state, but the loader stores it all the same.
            assert_eq!(address_of(library, symbol::TLS_OFFSET).cast::<i64>().read(), 0);
        }
    }
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn the_object_does_not_depend_on_the_order_of_the_module() {
    let folder = folder("order");
    let functions: Vec<&str> = LIBRARY.split("\ndefine").collect();
    let turned = format!(
        "\ndefine{}\ndefine{}\ndefine{}",
        functions[3].replace("attributes #0 = { noinline }", ""),
        functions[2],
        functions[1]
    ) + "\nattributes #0 = { noinline }\n";
    let objects: Vec<Vec<u8>> = [LIBRARY, &turned]
        .iter()
        .map(|text| {
            let mut module = built(text, &["julia_call_5", "julia_answer_3"]);
            let file = folder.join("x.o");
            object(&mut module, OptLevel::O2, &file);
            std::fs::read(file).expect("it was just written")
        })
        .collect();
    assert!(objects[0].len() > 500);
    assert!(objects[0] == objects[1], "two orders, two objects");
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn what_breaks_the_collectors_rules_is_named_instead_of_aborting() {
    // A tracked pointer that is made of an integer: LLVM 9 may do that to valid code, and Julia aborts on it.
    let text = r"
define internal void @julia_fine_1() {
  ret void
}
define internal %jl_value_t addrspace(10)* @julia_broken_2(i64) {
  %2 = inttoptr i64 %0 to %jl_value_t addrspace(10)*
  ret %jl_value_t addrspace(10)* %2
}"
    .to_owned();
    // LLVM's verifier refuses this too, as long as the data layout forbids it.
    let text = format!("{text}\ntarget datalayout = \"e-m:e-i64:64-f80:128-n8:16:32:64-S128\"\n");
    let mut module = built(&text, &["julia_fine_1", "julia_broken_2"]);
    let error = module.optimise(&Target::host(OptLevel::O2)).expect_err("it is broken");
    let CodegenError::GcInvariant(violations) = &error else { panic!("{error}") };
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].function, "julia_broken_1");
    assert!(error.to_string().contains("`julia_broken_1` (inttoptr"), "{error}");
}

#[test]
fn a_slot_is_loaded_behind_the_calls_that_come_before_its_use() {
    let text = r"
declare i64 @jl_something(i64)
define internal %jl_value_t addrspace(10)* @julia_late_1(i64 %x) {
  %object = addrspacecast %jl_value_t* inttoptr (i64 140000000001000 to %jl_value_t*) to %jl_value_t addrspace(10)*
  %y = call i64 @jl_something(i64 %x)
  ret %jl_value_t addrspace(10)* %object
}
define internal i64* @julia_changing_2(i64 %x) {
  %p = load i64*, i64** inttoptr (i64 140000000002000 to i64**)
  %y = call i64 @jl_something(i64 %x)
  ret i64* %p
}";
    let changing = SlotUse { invariant: false, ..SlotUse::new(1) };
    let mut script = Script::slots(&[(0, ANSWER)]).answer(CALLEE, Answer::Slot(changing));
    let (mut module, _, _) = rewrite(text, &mut script);
    finish(&mut module, &["julia_late_1", "julia_changing_2"], 2);
    module.optimise(&Target::host(OptLevel::O2)).expect("passes");
    module.verify().expect("valid after the passes");
    let text = print(&module);
    let (before, after) = function(&text, "julia_late_0").split_once("@jl_something").expect("a call");
    assert!(!before.contains("load ") && after.contains("!invariant.load"), "{text}");
    let (before, after) = function(&text, "julia_changing_1").split_once("@jl_something").expect("a call");
    assert!(before.contains("nativecache_slots") && !after.contains("load "), "{text}");
    assert!(!before.contains("!invariant.load"), "{text}");
}

#[test]
fn the_state_of_a_thread_is_found_by_an_addition() {
    let text = r"
define internal %jl_value_t** @julia_state_1() {
  %state = call %jl_value_t*** @julia.ptls_states()
  %frame = load %jl_value_t**, %jl_value_t*** %state
  ret %jl_value_t** %frame
}";
    for level in [OptLevel::O0, OptLevel::O2] {
        let (mut module, _, _) = rewrite(text, &mut Script::default());
        finish(&mut module, &["julia_state_1"], 0);
        module.optimise(&Target::host(level)).expect("passes");
        module.verify().expect("valid after the passes");
        let text = print(&module);
        let body = function(&text, "julia_state_0");
        assert!(body.contains("fs:0") && body.contains("jl_tls_offset"), "{body}");
        assert!(!body.contains("br i1 %"), "{body}");
        if level == OptLevel::O2 {
            assert!(!text.contains("jl_get_ptls_states_slot") && !body.contains("br "), "{text}");
            assert!(body.contains("align 64"), "{body}");
        }
    }
}

#[test]
fn the_target_of_a_session() {
    let host = Target::host(OptLevel::O2);
    assert_eq!(Target::of_session("native", OptLevel::O2), host);
    assert!(host.features.contains("+sse2"), "{host:?}");
    let generic = Target::of_session("generic;haswell,clone_all", OptLevel::O1);
    assert_eq!((generic.cpu.as_str(), generic.level), ("x86-64", OptLevel::O1));
    assert!(generic.features.split(',').all(|feature| feature.starts_with('-')), "{generic:?}");
    let named = Target::of_session("haswell,-avx2,+fma,-clone_all,base(0)", OptLevel::O2);
    assert_eq!(named.cpu, "haswell");
    assert!(named.features.ends_with(",-avx2,+fma"), "{named:?}");
    let native = Target::of_session("native,-avx512f", OptLevel::O2);
    assert_eq!((native.cpu, native.features), (host.cpu, format!("{},-avx512f", host.features)));
}

#[test]
fn steps_out_of_order_and_targets_that_are_none() {
    let folder = folder("steps");
    let mut module = built(LIBRARY, &["julia_call_5"]);
    let target = Target::host(OptLevel::O2);
    assert!(matches!(module.emit_object(&target, &folder.join("x.o")), Err(CodegenError::Order { .. })));
    module.optimise(&target).expect("passes");
    assert!(matches!(module.optimise(&target), Err(CodegenError::Order { .. })));
    let error =
        module.emit_object(&target, &folder.join("no such folder").join("x.o")).expect_err("no folder");
    assert!(matches!(&error, CodegenError::Write { path, .. } if path.ends_with("x.o")), "{error}");

    let (mut odd, _, _) = rewrite("target triple = \"no-such-machine\"\n", &mut Script::default());
    odd.finish(&[] as &[ExportedFunction], 0, [0; 16]).expect("nothing to do");
    let error = odd.optimise(&target).expect_err("no such machine");
    assert!(matches!(&error, CodegenError::Target { triple, .. } if triple == "no-such-machine"), "{error}");
    assert!(OptLevel::try_from(2).is_ok_and(|level| level == OptLevel::O2));
    assert!(matches!(OptLevel::try_from(4), Err(CodegenError::Level(4))));
    std::fs::remove_dir_all(folder).expect("it is ours");
}
