//! libnativecache for Julia 1.10 and later.
//!
//! On these versions of Julia, companions hold the native code: packages that NativeCache generates and Julia compiles
//! (src/companion). This library does the work that would take too long in Julia: it finds the code instances that the
//! session had to compile ([`trace`]), writes their signatures as text that reads back ([`statement`]), and merges
//! profiles.
//!
//! No function throws, prints or unwinds: an error becomes a return value, and a text that `nativecache_last_error`
//! returns.

mod error;
mod idle;
mod images;
mod layout;
mod learning;
mod methods;
mod object;
mod statement;
mod stopped;
mod trace;

use std::ffi::{c_char, c_int, CStr, OsStr};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use jl_sys::types::{jl_array_t, jl_datatype_t, jl_value_t};
use nativecache_store::boundary::{self, guard, hand_out};
use nativecache_store::profile::update::{self, Updated};
use nativecache_store::{file, lines, settings, trust, Limits, Mode, Profile};

use crate::object::Object;
use crate::stopped::Stopped;

/// Receives the layout of Julia's objects; see `Field` and `Kind` of layout.rs. Returns 0, or -1.
///
/// # Safety
/// `offsets` points to `offset_count` numbers, `types` to `type_count` types of the system image, `words` to three
/// addresses: the global method table or 0, `jl_fptr_const_return`, `jl_fptr_interpret_call`.
#[no_mangle]
pub unsafe extern "C" fn nativecache_layout(
    offsets: *const u32,
    offset_count: usize,
    types: *const *mut jl_datatype_t,
    type_count: usize,
    words: *const usize,
    memory: c_int,
) -> c_int {
    guard(-1, || {
        // SAFETY: as the caller says.
        let (offsets, types, words) = unsafe {
            (
                std::slice::from_raw_parts(offsets, offset_count),
                std::slice::from_raw_parts(types, type_count),
                words.cast::<[usize; 3]>().read(),
            )
        };
        layout::Layout::set(offsets, types, words, memory != 0)?;
        Ok(0)
    })
}

/// Looks at what this session has compiled and merges it into profiles. Lines: `looked`, `compiled`, `used`, `kept`,
/// `nowhere`, `unprintable` and `seconds` with their numbers; `profile` as [`learning::learn`] has it; before them `build` if
/// companions are wanted for these profiles. Empty if the session is not to be traced. If only a list is asked for, a line for
/// each statement. Null if nothing could be done.
///
/// # Safety
/// On a Julia thread; the first arguments as those of [`trace::trace`]; `facts` is NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_learn(
    roots: *mut jl_array_t,
    homes: *const i32,
    facts: *const c_char,
) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        let started = Instant::now();
        // SAFETY: as the caller says.
        let facts = learning::Facts::parse(&unsafe { CStr::from_ptr(facts) }.to_string_lossy());
        let settings = facts.settings();
        if facts.is_ending() && !settings.trace {
            return Ok(hand_out(""));
        }
        // SAFETY: as the caller says.
        let found = unsafe { trace::trace(roots, homes) }?;
        if facts.is_list() {
            return Ok(hand_out(&lines_of_statements(&found)));
        }
        let (profiles, build) = learning::learn(&facts, &found, &settings)?;
        let mut out = String::from(if build { "build\t1\n" } else { "" });
        for (name, number) in [
            ("looked", found.looked),
            ("compiled", found.compiled),
            ("used", 0),
            ("kept", found.entries.len()),
            ("nowhere", found.nowhere),
            ("unprintable", found.unprintable),
        ] {
            let _ = writeln!(out, "{name}\t{number}");
        }
        for line in profiles {
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(out, "seconds\t{}", started.elapsed().as_secs_f64());
        Ok(hand_out(&out))
    })
}

fn lines_of_statements(found: &trace::Trace) -> String {
    let mut out = String::new();
    for entry in &found.entries {
        let _ = writeln!(out, "{}", lines::escape(&entry.statement));
    }
    out
}

/// The text of a type that reads back to it, or null.
///
/// # Safety
/// On a Julia thread; `ty` is a live object.
#[no_mangle]
pub unsafe extern "C" fn nativecache_statement(ty: *mut jl_value_t) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        let layout = layout::Layout::get()?;
        // SAFETY: as the caller says.
        let stopped = unsafe { Stopped::new() };
        // SAFETY: as the caller says.
        let ty = unsafe { Object::new(ty, &stopped) }.ok_or("no type was given")?;
        Ok(hand_out(&statement::Printer::new(layout).print(ty)?))
    })
}

/// Merges the profile `text` into layer `layer` of the folder `into`: adds it (`mode` 0), replaces the layer (1), or
/// updates only the costs of its methods (2). Returns `methods<TAB>new`, or null.
///
/// # Safety
/// The texts are NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_profile_update(
    into: *const c_char,
    layer: *const c_char,
    text: *const c_char,
    mode: i32,
    methods: u32,
    fade: u32,
) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let (into, layer, text) = unsafe {
            (path_of(into), CStr::from_ptr(layer).to_string_lossy(), CStr::from_ptr(text).to_string_lossy())
        };
        merged(
            into,
            &layer,
            &Profile::parse(&text),
            mode,
            Limits { methods: methods as usize, sessions: fade },
        )
    })
}

/// Like [`nativecache_profile_update`], with the profile in a file.
///
/// # Safety
/// The texts are NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_profile_merge(
    into: *const c_char,
    layer: *const c_char,
    path: *const c_char,
    mode: i32,
    methods: u32,
    fade: u32,
) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let (into, layer, path) =
            unsafe { (path_of(into), CStr::from_ptr(layer).to_string_lossy(), path_of(path)) };
        let found = Profile::parse(&String::from_utf8_lossy(&file::read(path)?));
        merged(into, &layer, &found, mode, Limits { methods: methods as usize, sessions: fade })
    })
}

fn merged(
    into: &Path,
    layer: &str,
    found: &Profile,
    mode: i32,
    limits: Limits,
) -> Result<*mut c_char, Box<dyn std::error::Error>> {
    let mode = match mode {
        0 => Mode::Add,
        1 => Mode::Replace,
        _ => Mode::Measure,
    };
    Ok(hand_out(&match update::update(into, layer, found, mode, limits)? {
        Updated::Merged { methods, new } => format!("{methods}\t{new}"),
        Updated::Pending => "0\t0".to_owned(),
    }))
}

/// A layer, together with the pending files beside it, as the text of one profile, or null.
///
/// # Safety
/// The texts are NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_profile_read(
    folder: *const c_char,
    layer: *const c_char,
) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let (folder, layer) = unsafe { (path_of(folder), CStr::from_ptr(layer).to_string_lossy()) };
        if folder.exists() {
            trust::check(folder)?;
        }
        Ok(hand_out(&update::load(folder, &layer)?.to_string()))
    })
}

/// Why `path` is not trusted: others could have written it. Empty if it is trusted.
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

/// The value that a session reads for a setting from the preference file at `path`, after a `=`; empty if the file does
/// not set it.
///
/// # Safety
/// `path` and `name` are NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_preference(path: *const c_char, name: *const c_char) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let (path, name) = unsafe { (path_of(path), CStr::from_ptr(name).to_string_lossy()) };
        let value = settings::preference(&file::read(path)?, &name);
        Ok(hand_out(&value.map_or_else(String::new, |value| format!("={value}"))))
    })
}

/// The text as a field of a line, for the test that compares both sides.
///
/// # Safety
/// `text` is NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_escape(text: *const c_char) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        Ok(hand_out(&lines::escape(&text)))
    })
}

/// A reason's name, text and advice, separated by tabs; empty for an unknown code.
#[no_mangle]
pub extern "C" fn nativecache_reason(code: c_int) -> *mut c_char {
    guard(std::ptr::null_mut(), || Ok(hand_out(&lines::reason(code))))
}

/// The last error on this thread.
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
    // SAFETY: `hand_out` allocates with malloc.
    unsafe { libc::free(text.cast()) }
}

/// # Safety
/// `path` is NUL-terminated and outlives the result.
unsafe fn path_of<'a>(path: *const c_char) -> &'a Path {
    // SAFETY: as the caller says.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()))
}
