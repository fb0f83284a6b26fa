//! libnativecache_worker: the C functions of the build process, beside those of every session.

mod build;
mod dependencies;
mod emission;
mod error;
mod isolate;
mod journal;
mod known;
mod linker;
mod loaded;
mod mi;
mod native;
mod request;

use std::ffi::{c_char, c_int, CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jlrs::value::array::Array;
use nativecache::guard;
use nativecache_runtime::julia::jl_gc_enable_conservative_gc_support;

use request::Request;

/// Prepares the process: the collector must keep track of what is allocated from now on, so that it can
/// say later whether an address is an object. Called first, on a Julia thread.
#[no_mangle]
pub extern "C" fn nativecache_worker_start() -> c_int {
    guard(-1, || {
        // SAFETY: no preconditions; 1 means that it was on before.
        unsafe {
            jl_gc_enable_conservative_gc_support();
            loaded::look();
        }
        Ok(0)
    })
}

/// The packages have been loaded, and nothing else has happened since the start.
///
/// # Safety
/// On a Julia thread.
#[no_mangle]
pub unsafe extern "C" fn nativecache_worker_loaded() -> c_int {
    guard(-1, || {
        // SAFETY: as the caller says.
        unsafe { loaded::look() };
        Ok(0)
    })
}

/// Builds the library that the request file asks for. 0 when it is written.
///
/// # Safety
/// On a Julia thread; `methods` is a `Vector{Any}` of method instances and `nothing`; `request` is
/// NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_build(methods: Array<'_, 'static>, request: *const c_char) -> c_int {
    guard(-1, || {
        // SAFETY: as the caller says.
        unsafe {
            let path = Path::new(OsStr::from_bytes(CStr::from_ptr(request).to_bytes()));
            let request = Request::read(path)?;
            build::build(build::items(methods.ptr()), &request)?;
        }
        Ok(0)
    })
}
