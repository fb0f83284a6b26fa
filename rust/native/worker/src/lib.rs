//! libnativecache_worker: the C functions of the build process, beside those of every session.

mod build;
mod compare;
mod dependencies;
mod emission;
mod error;
mod from_ji;
mod isolate;
mod journal;
mod known;
mod lifetime;
mod linker;
mod made_at_init;
mod mentions;
mod mi;
mod native;
mod object_files;
mod parts;
mod request;
mod state;
mod statements;

use std::ffi::{c_char, c_int, CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jlrs::value::array::Array;
use nativecache_julia::julia_1_5::jl_gc_enable_conservative_gc_support;
use nativecache_julia::root_modules::roots;
use nativecache_runtime::load::key;
use nativecache_runtime::raw;
use nativecache_store::boundary::{guard, hand_out, last_error};

use request::Request;

/// Prepares the process: the collector must keep track of what is allocated from now on, so that it can
/// say later whether an address is an object. It ends with the process `parent`, and may use `memory` bytes if that is
/// not 0. Called first, on a Julia thread.
#[no_mangle]
pub extern "C" fn nativecache_worker_start(parent: u32, memory: u64) -> c_int {
    guard(-1, || {
        lifetime::end_with(parent);
        lifetime::limit_memory(memory)?;
        // SAFETY: no preconditions; 1 means that it was on before.
        unsafe {
            jl_gc_enable_conservative_gc_support();
            from_ji::look();
        }
        Ok(0)
    })
}

/// A first package has been loaded: from now on it is known what `__init__` functions change.
///
/// # Safety
/// On a Julia thread.
#[no_mangle]
pub unsafe extern "C" fn nativecache_worker_watch() -> c_int {
    guard(-1, || {
        // SAFETY: as the caller says.
        if unsafe { made_at_init::watch() } {
            return Ok(0);
        }
        Err("what __init__ functions change cannot be seen in this Julia: the sysimage has no import slot"
            .into())
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
        unsafe { from_ji::look() };
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
            let built = build::build(methods.ptr(), &request);
            if built.is_err() {
                make_room(&request.workdir);
            }
            built?;
        }
        Ok(0)
    })
}

/// Takes away what a build that came to nothing has written: on a disk that is full there would be no room to say so.
fn make_room(workdir: &Path) {
    let Ok(entries) = std::fs::read_dir(workdir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_product = path.file_name().is_some_and(|name| name == "objects")
            || path.extension().is_some_and(|extension| extension == "o" || extension == "so");
        if is_product {
            // What cannot be removed goes with the folder.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A number that differs when the key of this process differs, for the name of the store's folder.
#[no_mangle]
pub extern "C" fn nativecache_key_hash() -> u64 {
    guard(0, || Ok(key::hash()))
}

/// A number that differs when the set of root modules, or a build id of one, differs.
///
/// # Safety
/// On a Julia thread; `modules` is a `Vector{Any}` or `Vector{Module}`.
#[no_mangle]
pub unsafe extern "C" fn nativecache_module_set(modules: Array<'_, 'static>) -> u64 {
    // SAFETY: as the caller says.
    guard(0, || Ok(unsafe { raw::module_set(&roots(modules.ptr())) }))
}

/// What went wrong last on this thread. It is never freed: the process ends after the first error.
#[no_mangle]
pub extern "C" fn nativecache_last_error() -> *mut c_char {
    hand_out(&last_error())
}

/// Puts this build's names in the place of lasting ones: see [`statements::to_current`].
///
/// # Safety
/// On a Julia thread; `modules` is a `Vector{Any}` of modules, the paths are NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_to_current(
    modules: Array<'_, 'static>,
    statements: *const c_char,
    current: *const c_char,
    reasons: *const c_char,
) -> c_int {
    guard(-1, || {
        // SAFETY: as the caller says.
        unsafe { statements::to_current(modules.ptr(), path(statements), path(current), path(reasons))? };
        Ok(0)
    })
}

/// Writes statements in the words of a profile: see [`statements::to_lasting`].
///
/// # Safety
/// As [`nativecache_to_current`]; `methods` is a `Vector{Any}` of method instances and `nothing`, `packages`
/// one of root modules.
#[no_mangle]
pub unsafe extern "C" fn nativecache_to_lasting(
    modules: Array<'_, 'static>,
    packages: Array<'_, 'static>,
    methods: Array<'_, 'static>,
    file: *const c_char,
) -> c_int {
    guard(-1, || {
        // SAFETY: as the caller says.
        unsafe { statements::to_lasting(modules.ptr(), packages.ptr(), methods.ptr(), path(file))? };
        Ok(0)
    })
}

/// # Safety
/// `text` is NUL-terminated and outlives the result.
unsafe fn path<'a>(text: *const c_char) -> &'a Path {
    // SAFETY: as the caller says.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(text) }.to_bytes()))
}
