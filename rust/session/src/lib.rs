//! libnativecache: the C functions that every session calls.
//!
//! None of them throws, prints or unwinds: what goes wrong becomes a return value, and a text that
//! `nativecache_last_error` hands out. All are called on Julia threads; a lock keeps two threads that
//! load packages at the same time apart.

mod auto;
mod distributed;
mod ending;
mod globals;
mod hook;
mod lock;
mod native;
mod session;
mod story;
mod tracing;
mod verify;

use std::ffi::{c_char, c_int, c_void, CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jl_sys::jl_array_t;
use jlrs::value::array::Array;
use nativecache_julia::julia_1_5::jl_array_ptr_1d_push;

use nativecache_julia::collector::CollectorOff;
use nativecache_julia::signature;
use nativecache_julia::stopped::Stopped;
use nativecache_runtime::load::{key, library};
use nativecache_store::{boundary, lines as text, settings, trust};

use boundary::{fail, guard, hand_out};
use lock::uninterrupted;
use session::{with_session, LinkCounts};

/// Tells the library which Julia array keeps its objects alive. Called once, first.
///
/// # Safety
/// `roots` is a `Vector{Any}` that a constant binding holds.
#[no_mangle]
pub unsafe extern "C" fn nativecache_init(roots: Array<'_, 'static>) -> c_int {
    guard(-1, || {
        // SAFETY: as the caller says.
        let roots: *mut jl_array_t = unsafe { roots.ptr() };
        session::init(roots)?;
        Ok(0)
    })
}

/// The session's key as lines `name<TAB>value`.
#[no_mangle]
pub extern "C" fn nativecache_key() -> *mut c_char {
    guard(std::ptr::null_mut(), || Ok(hand_out(&text::key_lines(key::of_process()))))
}

/// A number that differs when the key differs, for the name of the store's folder.
#[no_mangle]
pub extern "C" fn nativecache_key_hash() -> u64 {
    guard(0, || Ok(key::hash()))
}

/// A number that differs when the set of root modules, or a build id of one, differs.
///
/// # Safety
/// `modules` is a `Vector{Any}` or `Vector{Module}`.
#[no_mangle]
pub unsafe extern "C" fn nativecache_module_set(modules: Array<'_, 'static>) -> u64 {
    // SAFETY: as the caller says.
    guard(0, || Ok(unsafe { session::module_set(modules.ptr()) }))
}

/// Links the library at `path` for the loaded root modules. Returns its number, or -1 when not even
/// its tables could be read; `out` has the counts in any case that it has a number.
///
/// # Safety
/// `path` is NUL-terminated; `modules` an array of modules; `out` points to a `LinkCounts`.
#[no_mangle]
pub unsafe extern "C" fn nativecache_link(
    path: *const c_char,
    modules: Array<'_, 'static>,
    out: *mut LinkCounts,
) -> i64 {
    // SAFETY: as the caller says.
    let (path, modules) = unsafe { (path_of(path), modules.ptr()) };
    let body = || {
        guard(-1, || {
            with_session(|s| {
                // SAFETY: as the caller says.
                let (id, counts) = unsafe { s.link(path, modules, Ok(&[])) };
                // SAFETY: as the caller says.
                unsafe { out.write(counts) };
                Ok(id)
            })
        })
    };
    // SAFETY: as the caller says.
    unsafe { uninterrupted(body) }
}

/// Tries what waits in library `id` again. Returns the number of functions installed in it, or -1.
///
/// # Safety
/// As [`nativecache_link`].
#[no_mangle]
pub unsafe extern "C" fn nativecache_retry(
    id: i64,
    modules: Array<'_, 'static>,
    out: *mut LinkCounts,
) -> i64 {
    // SAFETY: as the caller says.
    let modules = unsafe { modules.ptr() };
    let body = || {
        guard(-1, || {
            with_session(|s| {
                // SAFETY: as the caller says.
                let counts = unsafe { s.retry(id, modules) }?;
                // SAFETY: as the caller says.
                unsafe { out.write(counts) };
                Ok(i64::from(counts.functions))
            })
        })
    };
    // SAFETY: as the caller says.
    unsafe { uninterrupted(body) }
}

/// Seconds that each step of linking library `id` took, as lines `step<TAB>seconds`.
#[no_mangle]
pub extern "C" fn nativecache_steps(id: i64) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        with_session(|s| {
            let steps = s.library(id)?.steps.named();
            Ok(hand_out(&steps.map(|(name, seconds)| format!("{name}\t{seconds}\n")).concat()))
        })
    })
}

/// Reads the tables of a library without linking it; lines as `nativecache_entries`, with the
/// buckets of the build.
///
/// # Safety
/// As [`nativecache_link`].
#[no_mangle]
pub unsafe extern "C" fn nativecache_peek(path: *const c_char, out: *mut LinkCounts) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let (lines, counts) = session::peek(unsafe { path_of(path) })?;
        // SAFETY: as the caller says.
        unsafe { out.write(counts) };
        Ok(hand_out(&lines))
    })
}

/// Pushes the code instances that library `id` has installed onto `out`. 0, or -1 if there is no such library.
///
/// # Safety
/// On a Julia thread; `out` is a `Vector{Any}`.
#[no_mangle]
pub unsafe extern "C" fn nativecache_installed(id: i64, out: Array<'_, 'static>) -> c_int {
    // SAFETY: as the caller says.
    let out: *mut jl_array_t = unsafe { out.ptr() };
    let body = || {
        guard(-1, || {
            with_session(|s| {
                // SAFETY: on a Julia thread.
                let julia = unsafe { Stopped::new() };
                for code in s.library(id)?.outcomes(&julia).code_instances() {
                    // SAFETY: code instances are alive as long as their methods.
                    unsafe { jl_array_ptr_1d_push(out, code.object().as_ptr()) };
                }
                Ok(0)
            })
        })
    };
    // SAFETY: on a Julia thread; this frame has nothing to drop. Growing the array is a safepoint.
    unsafe { uninterrupted(body) }
}

/// Why nothing at `path` is trusted, since others could have put it there; empty if they cannot have.
///
/// # Safety
/// `path` is NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_distrust(path: *const c_char) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let problem = trust::check(unsafe { path_of(path) }).err();
        Ok(hand_out(&problem.map_or_else(String::new, |rejected| rejected.to_string())))
    })
}

/// The value that a session reads for a setting from the preference file at `path`, behind a `=`; empty if the file has
/// none for it.
///
/// # Safety
/// `path` and `name` are NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_preference(path: *const c_char, name: *const c_char) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let (path, name) = unsafe { (path_of(path), CStr::from_ptr(name).to_string_lossy()) };
        let file = nativecache_store::file::read(path)?;
        let value = settings::preference(&file, &name);
        Ok(hand_out(&value.map_or_else(String::new, |value| format!("={value}"))))
    })
}

/// A type in the words of a profile; null if it has none, and `nativecache_last_error` says why.
///
/// # Safety
/// On a Julia thread; `value` is a live type.
#[no_mangle]
pub unsafe extern "C" fn nativecache_signature(value: *mut jl_sys::jl_value_t) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        let _off = CollectorOff::new();
        // SAFETY: as the caller says.
        Ok(hand_out(&unsafe { signature::print(value, None) }?))
    })
}

/// A text as a field of a line: what src/lines.jl must agree with.
///
/// # Safety
/// `text` is NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_escape(text: *const c_char) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        Ok(hand_out(&text::escape(&text)))
    })
}

/// A reason's name, its text and what to do about it, between tabs; empty for an unknown code.
#[no_mangle]
pub extern "C" fn nativecache_reason(code: c_int) -> *mut c_char {
    guard(std::ptr::null_mut(), || Ok(hand_out(&text::reason(code))))
}

/// 1 if `address` lies in the code of a linked library.
#[no_mangle]
pub extern "C" fn nativecache_owns(address: *const c_void) -> c_int {
    guard(0, || Ok(c_int::from(library::owned(address as usize))))
}

/// What went wrong last on this thread.
#[no_mangle]
pub extern "C" fn nativecache_last_error() -> *mut c_char {
    hand_out(&boundary::last_error())
}

/// Frees a text that one of these functions returned.
///
/// # Safety
/// `text` came from one of these functions and was not freed before; null is fine.
#[no_mangle]
pub unsafe extern "C" fn nativecache_free(text: *mut c_char) {
    // SAFETY: hand_out allocates with malloc.
    unsafe { libc::free(text.cast()) }
}

/// # Safety
/// `path` is NUL-terminated and outlives the result.
unsafe fn path_of<'a>(path: *const c_char) -> &'a Path {
    // SAFETY: as the caller says.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()))
}
