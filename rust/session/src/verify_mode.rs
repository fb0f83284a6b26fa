//! Verify mode, `JULIA_NATIVECACHE=verify`: a library is linked only after it was built anew and compared,
//! and of it only what came out the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nativecache_image::FunctionId;
use nativecache_julia::calls;
use nativecache_julia::kept::Kept;
use nativecache_julia::stopped::Stopped;
use nativecache_runtime::error::Rejected;

use crate::error::SessionError;
use crate::globals::global;

/// What the comparison found: the functions that differ, or why there was none.
type Verdict = Result<Vec<FunctionId>, String>;

static VERDICTS: Mutex<BTreeMap<PathBuf, Verdict>> = Mutex::new(BTreeMap::new());

/// Is this session to verify?
pub(crate) fn is_on() -> bool {
    std::env::var_os("JULIA_NATIVECACHE").is_some_and(|value| value == "verify")
}

/// Has Julia compare these libraries, each once in a session.
///
/// # Safety
/// On a Julia thread, without a lock of ours: other tasks may run meanwhile. `module` is NativeCache.
pub(crate) unsafe fn run(module: Kept, paths: &[PathBuf]) -> Result<(), SessionError> {
    for path in paths {
        let known = VERDICTS.lock().unwrap_or_else(PoisonError::into_inner).contains_key(path);
        if known {
            continue;
        }
        let function = {
            // SAFETY: as the caller says.
            let julia = unsafe { Stopped::new() };
            let module = module.as_kind(&julia).ok_or(SessionError::NotStarted)?;
            // SAFETY: a constant of a module that stays.
            unsafe { Kept::new(global(module, "different_functions")?) }
        };
        // SAFETY: as the caller says.
        let said = unsafe { calls::call_with_text(function, path.to_string_lossy().as_bytes()) };
        let verdict =
            said.map_err(|threw| SessionError::from(threw).to_string()).and_then(|said| match said {
                Some(text) => read(&String::from_utf8_lossy(&text)),
                None => Err("the comparison gave no text".to_owned()),
            });
        VERDICTS.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), verdict);
    }
    Ok(())
}

/// Numbers between blanks, or `?` and why there are none.
fn read(text: &str) -> Verdict {
    if let Some(why) = text.strip_prefix('?') {
        return Err(why.to_owned());
    }
    let number = |word: &str| word.parse().map(FunctionId).map_err(|_| format!("{word:?} is no number"));
    text.split_whitespace().map(number).collect()
}

/// Calls `body` with what is known of a library; outside of verify mode everything may be used.
pub(crate) fn verdict<T>(path: &Path, body: impl FnOnce(Result<&[FunctionId], Rejected>) -> T) -> T {
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
