//! The C boundary: no panic and no error passes it as anything but a value and a text.

use std::cell::RefCell;
use std::error::Error;
use std::ffi::c_char;
use std::fmt::Display;
use std::panic::{catch_unwind, AssertUnwindSafe};

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps `text` for `nativecache_last_error`.
pub fn fail(text: impl Into<String>) {
    let text = text.into();
    LAST_ERROR.with(|last| *last.borrow_mut() = text);
}

/// What [`fail`] kept last on this thread.
pub fn last_error() -> String {
    LAST_ERROR.with(|last| last.borrow().clone())
}

/// [`guard_as`] of a body in which anything may fail.
pub fn guard<T>(otherwise: T, body: impl FnOnce() -> Result<T, Box<dyn Error>>) -> T {
    guard_as(otherwise, body)
}

/// Runs `body`; an error or a panic becomes `otherwise` and a text.
pub fn guard_as<T, E: Display>(otherwise: T, body: impl FnOnce() -> Result<T, E>) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => {
            fail(error.to_string());
            otherwise
        }
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("unknown");
            fail(format!("internal error of NativeCache: {text}"));
            otherwise
        }
    }
}

/// A copy of `text` that C code frees with `nativecache_free`; null when memory is out.
pub fn hand_out(text: &str) -> *mut c_char {
    // SAFETY: the block has room for the text and its NUL; malloc's null is checked.
    unsafe {
        let block = libc::malloc(text.len() + 1).cast::<u8>();
        if !block.is_null() {
            block.copy_from_nonoverlapping(text.as_ptr(), text.len());
            block.add(text.len()).write(0);
        }
        block.cast()
    }
}
