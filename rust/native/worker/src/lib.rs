//! libnativecache_worker: the C functions of the build process, which src/worker.jl calls.
//!
//! [`build`] has the steps of a build. None of these functions throws or unwinds: what goes wrong becomes a return value,
//! and a text that `nativecache_last_error` hands out.

mod assemble;
mod build;
mod changeable_constants;
mod compare;
mod edges;
mod emission;
mod error;
mod from_ji;
mod infer;
mod instance_text;
mod isolate;
mod journal;
mod known_addresses;
mod lifetime;
mod linker;
mod made_at_init;
mod mentioned_names;
mod object_files;
mod parts;
mod pure_methods;
mod reads_state;
mod request;
mod result;
mod statements;
mod status;
mod sysimage_functions;
mod world;

use std::ffi::{c_char, c_int, c_void, CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nativecache_julia::handles::{Array, Object};
use nativecache_julia::kept::Kept;
use nativecache_julia::loading::keep_track_of_objects;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::walk::root_modules;
use nativecache_runtime::load::key;
use nativecache_runtime::load::loaded::hash_of_set;
use nativecache_store::boundary::{guard, hand_out, last_error};

use error::BuildError;
use request::Request;

/// Prepares the process: the collector must keep track of what is allocated from now on, so that it can
/// say later whether an address is an object. It ends with the process `parent`, and may use `memory` bytes if that is
/// not 0.
///
/// # Safety
/// Called first, on a Julia thread.
#[no_mangle]
pub unsafe extern "C" fn nativecache_worker_start(parent: u32, memory: u64) -> c_int {
    guard(-1, || {
        lifetime::end_with(parent);
        lifetime::limit_memory(memory)?;
        // SAFETY: as the caller says.
        unsafe {
            keep_track_of_objects();
            from_ji::look(&Stopped::new());
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
        from_ji::look(&unsafe { Stopped::new() });
        Ok(0)
    })
}

/// Builds the library that the request file asks for. 0 when it is written.
///
/// # Safety
/// On a Julia thread, in a process that does nothing else; `methods` is a `Vector{Any}` of method instances and `nothing`
/// that stays alive, `request` is NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_build(methods: *mut c_void, request: *const c_char) -> c_int {
    guard(-1, || {
        // SAFETY: as the caller says.
        let request = Request::read(unsafe { path(request) })?;
        // SAFETY: as the caller says.
        let built = unsafe {
            let julia = Stopped::new();
            let methods = Kept::new(array(&julia, methods)?);
            build::build(julia, methods, &request)
        };
        if built.is_err() {
            make_room(&request.workdir);
        }
        built?;
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
/// On a Julia thread; `modules` is a live array of modules.
#[no_mangle]
pub unsafe extern "C" fn nativecache_module_set(modules: *mut c_void) -> u64 {
    guard(0, || {
        // SAFETY: as the caller says.
        let julia = unsafe { Stopped::new() };
        // SAFETY: as the caller says.
        let modules = unsafe { array(&julia, modules) }?;
        Ok(hash_of_set(&root_modules(&julia, modules)))
    })
}

/// What went wrong last on this thread. It is never freed: a build process ends after its first error.
#[no_mangle]
pub extern "C" fn nativecache_last_error() -> *mut c_char {
    hand_out(&last_error())
}

/// Puts this build's names in the place of lasting ones: see [`statements::to_current`].
///
/// # Safety
/// On a Julia thread; `modules` is a live `Vector{Any}` of modules, the paths are NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_to_current(
    modules: *mut c_void,
    statements: *const c_char,
    current: *const c_char,
    reasons: *const c_char,
) -> c_int {
    guard(-1, || {
        // SAFETY: as the caller says.
        let (julia, statements, current, reasons) =
            unsafe { (Stopped::new(), path(statements), path(current), path(reasons)) };
        // SAFETY: as the caller says.
        let modules = unsafe { array(&julia, modules) }?;
        statements::to_current(&julia, modules, statements, current, reasons)?;
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
    modules: *mut c_void,
    packages: *mut c_void,
    methods: *mut c_void,
    file: *const c_char,
) -> c_int {
    guard(-1, || {
        // SAFETY: as the caller says.
        let (julia, file) = unsafe { (Stopped::new(), path(file)) };
        // SAFETY: as the caller says.
        let (modules, packages, methods) =
            unsafe { (array(&julia, modules)?, array(&julia, packages)?, array(&julia, methods)?) };
        statements::to_lasting(&julia, modules, packages, methods, file)?;
        Ok(0)
    })
}

/// The array that a function was given.
///
/// # Safety
/// It is null or an object that stays alive.
unsafe fn array(_julia: &Stopped, pointer: *mut c_void) -> Result<Array<'_>, BuildError> {
    // SAFETY: as the caller says.
    let object = unsafe { Object::from_ptr(pointer.cast()) };
    object.and_then(Object::as_kind).ok_or(BuildError::NoArray)
}

/// The path that a function was given.
///
/// # Safety
/// `text` is NUL-terminated and outlives the result.
unsafe fn path<'a>(text: *const c_char) -> &'a Path {
    // SAFETY: as the caller says.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(text) }.to_bytes()))
}
