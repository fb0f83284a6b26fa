//! Protections that a test can remove, each with its own name.
//!
//! [`mutation!`] marks a check, and has the code without that check as well. Libraries for users only contain the check.
//! With the feature `removable`, a library reads, once, the name in the file `mutation` beside it, and removes that check.
//! test/mutations/run.jl writes this file, and expects the test that test/mutations/list.jl names to fail.
//! src/mutation.jl does the same for Julia.

/// `mutation!(name, code, mutated)` is `code`; with the feature `removable`, and if the name is the one to take out, it is
/// `mutated`.
#[cfg(not(feature = "removable"))]
#[macro_export]
macro_rules! mutation {
    ($name:literal, $code:expr, $mutated:expr $(,)?) => {
        $code
    };
}

/// `mutation!(name, code, mutated)` is `code`; with the feature `removable`, and if the name is the one to take out, it is
/// `mutated`.
#[cfg(feature = "removable")]
#[macro_export]
macro_rules! mutation {
    ($name:literal, $code:expr, $mutated:expr $(,)?) => {
        if $crate::is_taken_out($name) {
            $mutated
        } else {
            $code
        }
    };
}

/// Runs `body` without protection: the mutation of a function that protects `body`.
#[cfg(feature = "removable")]
pub fn bare<T>(body: impl FnOnce() -> T) -> T {
    body()
}

/// Does the file beside this library name this mutation?
#[cfg(feature = "removable")]
#[must_use]
pub fn is_taken_out(name: &str) -> bool {
    use std::sync::OnceLock;

    static TAKEN_OUT: OnceLock<String> = OnceLock::new();
    let read = || {
        let beside = this_library().map(|path| path.with_file_name("mutation"));
        beside.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
    };
    TAKEN_OUT.get_or_init(read).trim_end() == name
}

/// The file from which the loader has mapped this function.
#[cfg(feature = "removable")]
fn this_library() -> Option<std::path::PathBuf> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;

    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let address: *const libc::c_void = (is_taken_out as fn(&str) -> bool as usize) as *const _;
    // SAFETY: `address` is one of this library; `dladdr` fills in `info`, which is all pointers and may be null.
    let info = unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init())? };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's own text, which stays as long as the library that this function is in.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(OsStr::from_bytes(name.to_bytes()).into())
}
