//! Verify mode, `JULIA_NATIVECACHE=verify`: a library is linked only after it was built anew and compared,
//! and of it only what came out the same.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jl_sys::{jl_module_t, jl_value_t};
use nativecache_image::FunctionId;
use nativecache_julia::object::{is, string_bytes};
use nativecache_runtime::error::Rejected;

use crate::globals::Global;

/// What the comparison found: the functions that differ, or why there was none.
type Verdict = Result<Vec<FunctionId>, String>;

static VERDICTS: Mutex<BTreeMap<PathBuf, Verdict>> = Mutex::new(BTreeMap::new());

/// Is this session to verify?
pub fn is_on() -> bool {
    std::env::var_os("JULIA_NATIVECACHE").is_some_and(|value| value == "verify")
}

/// Has Julia compare these libraries, each once in a session.
///
/// # Safety
/// On a Julia thread, without a lock of ours: other tasks may run meanwhile. `module` is NativeCache.
pub unsafe fn run(module: *mut jl_module_t, paths: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    for path in paths {
        let known = VERDICTS.lock().unwrap_or_else(PoisonError::into_inner).contains_key(path);
        if known {
            continue;
        }
        // SAFETY: as the caller says; the string is an argument of the call.
        let verdict = unsafe {
            let text = path.to_string_lossy();
            let function = Global::of(module, "different_functions")?;
            let argument = jl_sys::jl_pchar_to_string(text.as_ptr().cast(), text.len());
            function.call(&mut [argument]).map_err(|e| e.to_string()).and_then(|said| read(said))
        };
        VERDICTS.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), verdict);
    }
    Ok(())
}

/// Numbers between blanks, or `?` and why there are none.
///
/// # Safety
/// `said` is live.
unsafe fn read(said: *mut jl_value_t) -> Verdict {
    // SAFETY: the kind is checked.
    let text = unsafe {
        if !is(said, jl_sys::jl_string_type) {
            return Err("the comparison gave no text".to_owned());
        }
        String::from_utf8_lossy(string_bytes(said)).into_owned()
    };
    if let Some(why) = text.strip_prefix('?') {
        return Err(why.to_owned());
    }
    let number = |word: &str| word.parse().map(FunctionId).map_err(|_| format!("{word:?} is no number"));
    text.split_whitespace().map(number).collect()
}

/// Calls `body` with what is known of a library; outside of verify mode everything may be used.
pub fn verdict<T>(path: &Path, body: impl FnOnce(Result<&[FunctionId], Rejected>) -> T) -> T {
    if !is_on() {
        return body(Ok(&[]));
    }
    let verdicts = VERDICTS.lock().unwrap_or_else(PoisonError::into_inner);
    match verdicts.get(path) {
        Some(Ok(refused)) => body(Ok(refused)),
        Some(Err(why)) => body(Err(Rejected::Unproved(why.clone()))),
        None => body(Err(Rejected::Unproved("it was not compared".to_owned()))),
    }
}
