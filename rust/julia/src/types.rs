//! Types compared, and as text for messages: of bare pointers.

use crate::handles::Object;
use crate::object::Value;

/// [`Object::type_text`] of a bare pointer.
///
/// # Safety
/// `t` is a live type.
pub unsafe fn type_text(t: Value) -> String {
    // SAFETY: as the caller says.
    unsafe { Object::from_ptr(t) }.map_or_else(String::new, Object::type_text)
}

/// [`Object::is_same_type`] of bare pointers.
///
/// # Safety
/// Both are live types.
pub unsafe fn same_type(a: Value, b: Value) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        match (Object::from_ptr(a), Object::from_ptr(b)) {
            (Some(a), Some(b)) => a.is_same_type(b),
            _ => false,
        }
    }
}
