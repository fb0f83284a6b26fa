//! Types compared, and as text for messages.

use crate::handles::Object;
use crate::julia_1_5::jl_types_equal;
use crate::object::Value;

/// [`Object::type_text`] of a bare pointer.
///
/// # Safety
/// `t` is a live type.
pub unsafe fn type_text(t: Value) -> String {
    // SAFETY: as the caller says.
    unsafe { Object::from_ptr(t) }.map_or_else(String::new, Object::type_text)
}

/// Are two types the same type?
///
/// # Safety
/// Both are live types.
pub unsafe fn same_type(a: Value, b: Value) -> bool {
    // SAFETY: as the caller says.
    a == b || unsafe { jl_types_equal(a, b) != 0 }
}
