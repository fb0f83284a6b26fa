//! Calls of Julia functions that may run for long, with the collector on and without a handle held.

use crate::handles::{Object, Text};
use crate::kept::Kept;
use crate::stopped::Stopped;

/// The function threw an exception, which was caught.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Threw;

/// Calls a function without arguments.
///
/// # Safety
/// On a Julia thread, without a lock that Julia code could need; no object is held.
pub unsafe fn call(function: Kept) -> Result<(), Threw> {
    // SAFETY: as the caller says; the function is kept alive, and jl_call catches what it throws.
    let value = unsafe { jl_sys::jl_call(function.address() as *mut _, std::ptr::null_mut(), 0) };
    if value.is_null() {
        Err(Threw)
    } else {
        Ok(())
    }
}

/// Calls a function with a text and gives the text that it returns; `None` if it returns no text.
///
/// # Safety
/// As [`call`].
pub unsafe fn call_with_text(function: Kept, text: &[u8]) -> Result<Option<Vec<u8>>, Threw> {
    // SAFETY: as the caller says. The text is an argument of the call from its making on, which keeps it alive.
    let value = unsafe {
        let mut arguments = [jl_sys::jl_pchar_to_string(text.as_ptr().cast(), text.len())];
        jl_sys::jl_call(function.address() as *mut _, arguments.as_mut_ptr(), 1)
    };
    if value.is_null() {
        return Err(Threw);
    }
    // SAFETY: nothing has run since it was returned, so it has not been freed, and cannot be from here on.
    let (_julia, said) = unsafe { (Stopped::new(), Object::from_ptr(value)) };
    Ok(said.and_then(Object::as_kind::<Text<'_>>).map(|text| text.bytes().to_vec()))
}
