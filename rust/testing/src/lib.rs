//! A Julia in the process of a test.
//!
//! Julia wants one thread and starts once, and the tests that cargo brings each have a thread of their own. So a file of
//! tests that need Julia has `harness = false`, and its `main` is that of [`tests!`]: it starts Julia on the main thread and
//! runs the tests there, one after the other.

use std::any::Any;
use std::ffi::CString;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use nativecache_julia::handles::{make, Array, Kind, Module, Object, Text};
use nativecache_julia::stopped::Stopped;

/// Makes the `main` of a file of tests: functions that take a [`Stopped`].
///
/// `cargo test -- TEXT` runs those whose names contain the text.
#[macro_export]
macro_rules! tests {
    ($($($path:ident)::+),* $(,)?) => {
        fn main() -> std::process::ExitCode {
            $crate::run(&[$((stringify!($($path)::+), $($path)::+)),*])
        }
    };
}

/// A test, with its name.
pub type Test = (&'static str, fn(&Stopped));

/// Starts Julia and runs the tests that the arguments of this process ask for; in which the collector is off.
#[must_use]
pub fn run(tests: &[Test]) -> ExitCode {
    // What begins with a dash is meant for cargo's own harness.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|text| name.contains(text.as_str()));
    let tests: Vec<&Test> = tests.iter().filter(|(name, _)| is_wanted(name)).collect();
    println!("\nrunning {} tests with Julia", tests.len());
    start();
    let failed = tests.iter().filter(|test| !passes(test)).count();
    println!("\ntest result: {} passed; {failed} failed\n", tests.len() - failed);
    // SAFETY: on the thread on which Julia was started, and nothing of it is used any more.
    unsafe { jl_sys::jl_atexit_hook(i32::from(failed > 0)) };
    if failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Starts the Julia that `JULIA_DIR` names.
fn start() {
    let prefix = PathBuf::from(std::env::var_os("JULIA_DIR").expect("deps/build.jl sets JULIA_DIR"));
    let bin = prefix.join("bin").into_os_string().into_encoded_bytes();
    let bin = CString::new(bin).expect("a path without NUL");
    // Paths are relative to the folder of the program.
    let images = ["lib/julia/sys.so", "lib/x86_64-linux-gnu/julia/sys.so"];
    let image = images.iter().find(|image| prefix.join(image).exists()).expect("Julia has a sysimage");
    let image = CString::new(format!("../{image}")).expect("a path without NUL");
    // SAFETY: the main thread, once; Julia keeps the texts, which live as long as the process.
    unsafe { jl_sys::jl_init_with_image__threading(bin.into_raw(), image.into_raw()) };
}

fn passes((name, test): &Test) -> bool {
    let begin = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: on the thread on which Julia was started, and there is no other.
        let julia = unsafe { Stopped::new() };
        test(&julia);
    }));
    let verdict = if result.is_ok() { "ok" } else { "FAILED" };
    println!("test {name} ... {verdict} ({} ms)", begin.elapsed().as_millis());
    result.map_err(drop::<Box<dyn Any + Send>>).is_ok()
}

/// What Julia makes of this text, in `Main`. Fails the test with what Julia says, if it throws.
#[must_use]
pub fn evaluate<'j>(julia: &'j Stopped, text: &str) -> Object<'j> {
    let code = CString::new(text).expect("code without NUL");
    // SAFETY: on a Julia thread, without a lock; what is thrown is caught there.
    let value = unsafe { Object::from_ptr(jl_sys::jl_eval_string(code.as_ptr())) };
    value.unwrap_or_else(|| panic!("{}\n{text}", thrown(julia)))
}

/// The same, of something of this kind.
#[must_use]
pub fn evaluate_to<'j, K: Kind<'j>>(julia: &'j Stopped, text: &str) -> K {
    let value = evaluate(julia, text);
    value.as_kind().unwrap_or_else(|| panic!("a {} comes of\n{text}", value.type_of().object().type_text()))
}

/// The items of the vector of references that Julia makes of this text.
#[must_use]
pub fn evaluate_all<'j, K: Kind<'j>>(julia: &'j Stopped, text: &str) -> Vec<K> {
    let list: Array<'j> = evaluate_to(julia, text);
    list.places().map(|item| item.and_then(Object::as_kind).expect("items of this kind")).collect()
}

/// Calls what `Base` has under this name.
#[must_use]
pub fn call<'j>(julia: &'j Stopped, function: &str, arguments: &[Object<'j>]) -> Object<'j> {
    let function = Module::base(julia).value_of(function).unwrap_or_else(|| panic!("Base.{function}"));
    apply(julia, function, arguments)
}

/// Calls a function.
#[must_use]
pub fn apply<'j>(julia: &'j Stopped, function: Object<'j>, arguments: &[Object<'j>]) -> Object<'j> {
    // SAFETY: no lock is held.
    let value = unsafe { make::call(julia, function, arguments) };
    value.unwrap_or_else(|| panic!("{}", thrown(julia)))
}

/// What Julia has caught last.
fn thrown(_julia: &Stopped) -> String {
    let show = c"sprint(showerror, ccall(:jl_exception_occurred, Any, ()))";
    // SAFETY: as for `evaluate`.
    let text = unsafe { Object::from_ptr(jl_sys::jl_eval_string(show.as_ptr())) };
    let text = text
        .and_then(Object::as_kind::<Text<'_>>)
        .map(|text| String::from_utf8_lossy(text.bytes()).into_owned());
    text.unwrap_or_else(|| "Julia threw what it cannot show".to_owned())
}
