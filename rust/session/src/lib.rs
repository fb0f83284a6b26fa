//! libnativecache: the C functions that every session calls.
//!
//! None of them throws, prints or unwinds: what goes wrong becomes a return value, and a text that
//! `nativecache_last_error` hands out. All are called on Julia threads; a lock keeps two threads that
//! load packages at the same time apart.

mod auto;
mod distributed;
mod error;
mod globals;
mod hook;
mod locks;
mod own_code;
mod session;
mod story;
mod tracing;
mod verify_mode;

use std::ffi::{c_char, c_int, c_void, CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jlrs::value::array::Array as ArrayArgument;
use nativecache_julia::handles::{Array, Object, RawObject};
use nativecache_julia::process::uninterrupted;
use nativecache_julia::signature;
use nativecache_julia::stopped::Stopped;
use nativecache_runtime::load::library;
use nativecache_runtime::load::outcomes::Outcomes;
use nativecache_store::boundary::{self, hand_out};
use nativecache_store::{lines as text, settings, trust};

pub use boundary::guard;
use error::{guard as session_guard, SessionError};
use session::{with_session, LinkCounts};

/// An array that Julia gave us as an argument.
///
/// # Safety
/// It is alive for `'j`.
unsafe fn array<'j>(
    _julia: &'j Stopped,
    argument: ArrayArgument<'_, 'static>,
) -> Result<Array<'j>, SessionError> {
    // SAFETY: as the caller says.
    unsafe { Array::from_ptr(argument.ptr()) }
        .ok_or_else(|| SessionError::OtherKind("an argument".to_owned()))
}

/// A number that differs when the key differs, for the name of the store's folder.
#[no_mangle]
pub extern "C" fn nativecache_key_hash() -> u64 {
    guard(0, || Ok(nativecache_runtime::load::key::hash()))
}

/// A number that differs when the set of root modules, or a build id of one, differs.
///
/// # Safety
/// On a Julia thread; `modules` is a `Vector{Any}` or `Vector{Module}`.
#[no_mangle]
pub unsafe extern "C" fn nativecache_module_set(modules: ArrayArgument<'_, 'static>) -> u64 {
    session_guard(0, || {
        // SAFETY: as the caller says.
        let julia = unsafe { Stopped::new() };
        // SAFETY: as the caller says.
        Ok(session::module_set(&julia, unsafe { array(&julia, modules)? }))
    })
}

/// Links the library at `path` for the loaded root modules. Returns its number, or -1 when not even
/// its tables could be read; `out` has the counts in any case that it has a number. Only tests call it: sessions link in
/// `hook`.
///
/// # Safety
/// On a Julia thread; `path` is NUL-terminated; `modules` an array of modules; `out` points to a `LinkCounts`.
#[no_mangle]
pub unsafe extern "C" fn nativecache_link(
    path: *const c_char,
    modules: ArrayArgument<'_, 'static>,
    out: *mut LinkCounts,
) -> i64 {
    // SAFETY: as the caller says.
    let path = unsafe { path_of(path) };
    let body = || {
        session_guard(-1, || {
            // SAFETY: as the caller says.
            let julia = unsafe { Stopped::new() };
            // SAFETY: as the caller says.
            let modules = unsafe { array(&julia, modules)? };
            with_session(|session| {
                // SAFETY: as the caller says.
                let (id, counts) = unsafe { session.link(&julia, path, modules, Ok(&[])) };
                // SAFETY: as the caller says.
                unsafe { out.write(counts) };
                Ok(id)
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
        Ok(with_session(|session| {
            let steps = session.library(id)?.steps.named();
            Ok(hand_out(&steps.map(|(name, seconds)| format!("{name}\t{seconds}\n")).concat()))
        })?)
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
pub unsafe extern "C" fn nativecache_installed(id: i64, out: ArrayArgument<'_, 'static>) -> c_int {
    let body = || {
        session_guard(-1, || {
            // SAFETY: as the caller says.
            let julia = unsafe { Stopped::new() };
            // SAFETY: as the caller says.
            let out = unsafe { array(&julia, out)? };
            with_session(|session| {
                for code in Outcomes::of(session.library(id)?, &julia).code_instances() {
                    // SAFETY: a `Vector{Any}`.
                    unsafe { out.push(code.object()) };
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
pub unsafe extern "C" fn nativecache_signature(value: RawObject) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let _julia = unsafe { Stopped::new() };
        // SAFETY: as the caller says.
        let value = unsafe { Object::from_ptr(value) }.ok_or("there is no type")?;
        Ok(hand_out(&signature::text(value, None)?))
    })
}

/// A text as a field of a line: what src/store/lines.jl must agree with.
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

/// What became of a requested method in a build, as the line that `nativecache_peek` gives.
#[must_use]
pub fn outcome_line(entry: &nativecache_image::Entry) -> String {
    use nativecache_image::Bucket;
    match &entry.bucket {
        Bucket::Compiled(_) => text::line("compiled", None, &entry.statement, ""),
        Bucket::Skipped { reason, detail } => text::line("skipped", Some(*reason), &entry.statement, detail),
        Bucket::Failed { reason, detail } => text::line("failed", Some(*reason), &entry.statement, detail),
    }
}

/// What the comparison of two libraries found, as a line of the same form.
#[must_use]
pub fn difference_line(method: &str, what: &str) -> String {
    text::line("different", None, method, what)
}

/// # Safety
/// `path` is NUL-terminated and outlives the result.
unsafe fn path_of<'a>(path: *const c_char) -> &'a Path {
    // SAFETY: as the caller says.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()))
}
