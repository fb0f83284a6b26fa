//! Gives the Julia functions that this library is called through their machine code: ours.
//!
//! They would have to be compiled in every session, the exit hook at its very end. On Ctrl-C in a script Julia
//! runs its exit hooks from wherever it is (see `ending`), LLVM included, and the compiler does not bear to be
//! called from within itself: the process ended with signal 11.

use std::sync::atomic::{AtomicBool, Ordering};

use jl_sys::jl_value_t;
use nativecache_julia::handles::{make, Invoke, MethodInstance};
use nativecache_julia::inspect;
use nativecache_julia::object::{is, type_name, type_of};
use nativecache_julia::stopped::Stopped;
use nativecache_runtime::load::install::{install, Compiled};

/// What Julia's `jl_fptr_args` calls: the function, its arguments, their number.
type FptrArgs = unsafe extern "C" fn(*mut jl_value_t, *mut *mut jl_value_t, u32) -> *mut jl_value_t;

/// The first call puts a function into its method table's cache; that one does nothing else.
static WARMING: AtomicBool = AtomicBool::new(false);

/// For `loaded` and `ended` of src/load.jl. Where they are as the package's image has them, they need no
/// compiler from now on; where not, Julia compiles them.
///
/// # Safety
/// On a Julia thread with the collector off; both are functions of the module NativeCache.
pub unsafe fn provide(loaded: *mut jl_value_t, ended: *mut jl_value_t) {
    // SAFETY: as the caller says.
    unsafe {
        give(loaded, loaded_code);
        if give(ended, ended_code) {
            WARMING.store(true, Ordering::Relaxed);
            jl_sys::jl_call(ended, std::ptr::null_mut(), 0);
            WARMING.store(false, Ordering::Relaxed);
        }
    }
}

/// # Safety
/// As [`provide`].
unsafe fn give(function: *mut jl_value_t, code: FptrArgs) -> bool {
    // SAFETY: a function's type has a method table, which holds methods; `nothing` exists since Julia started.
    unsafe {
        let Some(name) = type_name(type_of(function).cast()) else { return false };
        let mut given = false;
        let mut methods = Vec::new();
        inspect::visit_typemap((*(*name).mt).defs, &mut |entry| methods.push((*entry).func.value));
        let [method] = methods[..] else { return false };
        if !is(method, jl_sys::jl_method_type) {
            return false;
        }
        let julia = Stopped::new();
        let nothing = make::nothing(&julia);
        for instance in inspect::specializations(method.cast()) {
            let Some(method_instance) = MethodInstance::from_ptr(instance) else { continue };
            let compiled = Compiled {
                method_instance,
                returns: nothing.type_of().object(),
                constant: Some(nothing),
                inferred: None,
                invoke: Some(Invoke::Args),
                specptr: Some(code as usize),
            };
            given |= install(&compiled, julia.world()).is_ok();
        }
        given
    }
}

unsafe extern "C" fn loaded_code(_: *mut jl_value_t, _: *mut *mut jl_value_t, _: u32) -> *mut jl_value_t {
    // SAFETY: called by Julia, on one of its threads; this frame has nothing to drop.
    unsafe {
        crate::hook::nativecache_loaded();
        jl_sys::jl_nothing
    }
}

unsafe extern "C" fn ended_code(_: *mut jl_value_t, _: *mut *mut jl_value_t, _: u32) -> *mut jl_value_t {
    if !WARMING.load(Ordering::Relaxed) {
        crate::tracing::nativecache_ended();
    }
    // SAFETY: it exists since Julia started.
    unsafe { jl_sys::jl_nothing }
}
