//! C functions and variables, found as `ccall` and `cglobal` find them.

use std::ffi::{c_void, CStr};
use std::ptr::NonNull;

use nativecache_signals::{put_off, put_off_only};

use crate::julia_1_5::{jl_dlsym, jl_get_world_counter, jl_load_dynamic_library, JL_RTLD_DEFAULT};
use crate::stopped::Stopped;

/// The address of a symbol in a shared library, which is loaded if it is not yet (runtime_ccall.cpp,
/// `jl_load_and_lookup`). `None` if there is no such library or symbol.
///
/// # Safety
/// The library is one that code would have Julia open by this name: its initialisers may do anything.
pub unsafe fn in_library(_julia: &Stopped, library: &CStr, symbol: &CStr) -> Option<NonNull<c_void>> {
    // Only what stops this thread is put off: threads that an initialiser starts inherit the mask.
    let handle = put_off_only(libc::SIGUSR2, || {
        // SAFETY: on a Julia thread, as the token says; it does not throw when asked not to. For initialisers the caller
        // vouches.
        unsafe { jl_load_dynamic_library(library.as_ptr(), JL_RTLD_DEFAULT, 0) }
    });
    look_up(NonNull::new(handle)?.as_ptr(), symbol)
}

/// The address of a symbol in the process's global scope.
pub fn in_process(symbol: &CStr) -> Option<NonNull<c_void>> {
    look_up(libc::RTLD_DEFAULT, symbol)
}

fn look_up(handle: *mut c_void, symbol: &CStr) -> Option<NonNull<c_void>> {
    let mut address = std::ptr::null_mut();
    // SAFETY: an open handle; it does not throw when asked not to.
    let found = put_off(|| unsafe { jl_dlsym(handle, symbol.as_ptr(), &raw mut address, 0) });
    NonNull::new(address).filter(|_| found != 0)
}

/// Symbols that every process with this Julia has: those of libjulia and of what it needs.
pub struct JuliasOwn(NonNull<c_void>);

impl JuliasOwn {
    /// `None` if the system does not say which file libjulia is.
    pub fn find() -> Option<Self> {
        // SAFETY: dladdr accepts any address; its path lives as long as libjulia is mapped, which is as long as the
        // process. NOLOAD only finds what is mapped.
        unsafe {
            let mut info: libc::Dl_info = std::mem::zeroed();
            let inside = jl_get_world_counter as *const c_void;
            if libc::dladdr(inside, &raw mut info) == 0 || info.dli_fname.is_null() {
                return None;
            }
            NonNull::new(libc::dlopen(info.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD)).map(Self)
        }
    }

    /// Is there a function or variable of this name?
    pub fn has(&self, name: &str) -> bool {
        let Ok(name) = std::ffi::CString::new(name) else { return false };
        // SAFETY: `find` opened the handle, and nobody closes it.
        unsafe { !libc::dlsym(self.0.as_ptr(), name.as_ptr()).is_null() }
    }
}
