//! Installs machine code for the Julia functions that call this library.
//!
//! Otherwise every session would have to compile them, the exit hook at its very end. On Ctrl-C in a script, Julia runs
//! its exit hooks from wherever it is (see `ending`), which may be inside LLVM. The compiler cannot be called from within
//! itself: the process crashed with signal 11.

use std::sync::atomic::{AtomicBool, Ordering};

use nativecache_julia::handles::{make, Invoke, Object, RawObject};
use nativecache_julia::process;
use nativecache_julia::stopped::Stopped;
use nativecache_runtime::load::install::{install, Compiled};

/// A function of the generic calling convention: it gets the function, its arguments and their number.
type FptrArgs = unsafe extern "C" fn(RawObject, *mut RawObject, u32) -> RawObject;

/// During the first call, which only puts a function into the cache of its method table, the code does nothing.
static WARMING: AtomicBool = AtomicBool::new(false);

/// Installs code for `loaded` and `ended` of src/session/load.jl. If they are as in the package's image, they need no
/// compiler from now on. Otherwise Julia compiles them.
///
/// # Safety
/// Both are functions of the module NativeCache.
pub(crate) unsafe fn provide(julia: &Stopped, loaded: Object<'_>, ended: Object<'_>) {
    // SAFETY: as the caller says; the code of `ended` does nothing while it is being warmed.
    unsafe {
        give(julia, loaded, loaded_code);
        if give(julia, ended, ended_code) {
            WARMING.store(true, Ordering::Relaxed);
            make::call(julia, ended, &[]);
            WARMING.store(false, Ordering::Relaxed);
        }
    }
}

/// # Safety
/// As [`provide`].
unsafe fn give(julia: &Stopped, function: Object<'_>, code: FptrArgs) -> bool {
    let Some(table) = function.type_of().name().method_table() else { return false };
    let [entry] = table.entries()[..] else { return false };
    let Some(method) = entry.method() else { return false };
    let nothing = make::nothing(julia);
    let mut given = false;
    for instance in method.specialisations() {
        let compiled = Compiled {
            method_instance: instance,
            returns: nothing.type_of().object(),
            constant: Some(nothing),
            inferred: None,
            invoke: Some(Invoke::Args),
            specptr: Some(code as usize),
        };
        // SAFETY: the function takes no arguments and returns nothing, in each world.
        given |= unsafe { install(&compiled, julia.world()) }.is_ok();
    }
    given
}

unsafe extern "C" fn loaded_code(_: RawObject, _: *mut RawObject, _: u32) -> RawObject {
    // SAFETY: called by Julia, on one of its threads; this frame has nothing to drop.
    unsafe {
        crate::hook::nativecache_loaded();
    }
    process::nothing()
}

unsafe extern "C" fn ended_code(_: RawObject, _: *mut RawObject, _: u32) -> RawObject {
    if !WARMING.load(Ordering::Relaxed) {
        crate::tracing::nativecache_ended();
    }
    process::nothing()
}
