//! Gives the Julia functions that this library is called through their machine code: ours.
//!
//! They would have to be compiled in every session, the exit hook at its very end. On Ctrl-C in a script Julia
//! runs its exit hooks from wherever it is (see `ending`), LLVM included, and the compiler does not bear to be
//! called from within itself: the process ended with signal 11.

use std::sync::atomic::{AtomicBool, Ordering};

use nativecache_julia::handles::{make, Invoke, Object, RawObject};
use nativecache_julia::process;
use nativecache_julia::stopped::Stopped;
use nativecache_runtime::load::install::{install, Compiled};

/// What the generic calling convention calls: the function, its arguments, their number.
type FptrArgs = unsafe extern "C" fn(RawObject, *mut RawObject, u32) -> RawObject;

/// The first call puts a function into its method table's cache; that one does nothing else.
static WARMING: AtomicBool = AtomicBool::new(false);

/// For `loaded` and `ended` of src/session/load.jl. Where they are as the package's image has them, they need no
/// compiler from now on; where not, Julia compiles them.
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
