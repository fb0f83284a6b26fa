//! How packages come into a process: which are loaded, and the function of the runtime that calls their `__init__`.

use std::ffi::c_void;

use jl_sys::jl_array_t;

use crate::handles::{make, Array, Module};
use crate::julia_1_5::jl_gc_enable_conservative_gc_support;
use crate::stopped::Stopped;
use crate::walk;

extern "C" {
    fn jl_init_restored_modules(init_order: *mut jl_array_t);
}

/// `Base.loaded_modules_array()`; `None` if it throws.
pub fn loaded_modules(julia: &Stopped) -> Option<Array<'_>> {
    let function = Module::base(julia).constant_named("loaded_modules_array")?;
    // SAFETY: it fills a new array with the values of a dictionary.
    unsafe { make::call(julia, function, &[]) }?.as_kind()
}

/// The root modules of this process: the loaded ones, Core, Base and Main.
pub fn root_modules(julia: &Stopped) -> Vec<Module<'_>> {
    let loaded = loaded_modules(julia).unwrap_or_else(|| Array::of_any(julia, [].into_iter()));
    walk::root_modules(julia, loaded)
}

/// A function that is called, as `jl_init_restored_modules` (dump.c), with an array of the modules that were restored and
/// whose `__init__` is to be called.
pub type InitRestored = unsafe extern "C" fn(*mut c_void);

/// Where the runtime's own such function is.
pub fn init_restored_address() -> usize {
    jl_init_restored_modules as *const () as usize
}

/// Calls the runtime's own such function.
///
/// # Safety
/// In the place of the runtime's own, with what that was given. It may leave by an exception of Julia's: the caller's frame
/// has nothing to drop.
pub unsafe fn init_restored(order: *mut c_void) {
    // SAFETY: as the caller says.
    unsafe { jl_init_restored_modules(order.cast()) };
}

/// Has the collector keep track of what is allocated from now on, so that it can say later whether an address is an object.
///
/// # Safety
/// On a Julia thread.
pub unsafe fn keep_track_of_objects() {
    // SAFETY: as the caller says; 1 means that it was on before.
    unsafe { jl_gc_enable_conservative_gc_support() };
}
