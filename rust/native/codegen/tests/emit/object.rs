//! A library that a loader can use.

use std::path::{Path, PathBuf};
use std::process::Command;

use nativecache_codegen::{symbol, NativeModule, OptLevel, Target};

use crate::common::{finish, optimise, rewrite, Script};

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
    let mut script = Script::slots(&[(0, ANSWER), (1, CALLEE)]);
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
    optimise(module, level);
    module.emit_object(&Target::host(level), path).expect("object");
}

/// An address in a loaded library.
///
/// # Safety
/// `library` was loaded.
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
