//! Types compared, and as text for messages.

use crate::handles::{Object, Symbol, TypeVar, Union};
use crate::julia_1_5::jl_types_equal;
use crate::object::Value;

/// A type as text for messages, which describes and does not identify.
pub fn text_of_type(ty: Object<'_>) -> String {
    if ty.is::<Union<'_>>() {
        return "Union".to_owned();
    }
    let Some(data) = ty.data_type() else { return "Union{}".to_owned() };
    let base = data.name().as_str();
    if data.parameters().is_empty() {
        return base.to_owned();
    }
    let texts: Vec<String> = data.parameters().items().map(text_of_parameter).collect();
    format!("{base}{{{}}}", texts.join(", "))
}

fn text_of_parameter(parameter: Object<'_>) -> String {
    if parameter.is_type() {
        text_of_type(parameter)
    } else if let Some(variable) = parameter.as_kind::<TypeVar<'_>>() {
        variable.name().as_str().to_owned()
    } else if let Some(symbol) = parameter.as_kind::<Symbol<'_>>() {
        format!(":{}", symbol.as_str())
    } else if let Some(number) = parameter.as_i64() {
        number.to_string()
    } else {
        "…".to_owned()
    }
}

/// [`text_of_type`] of a bare pointer.
///
/// # Safety
/// `t` is a live type.
pub unsafe fn type_text(t: Value) -> String {
    // SAFETY: as the caller says.
    unsafe { Object::from_ptr(t) }.map_or_else(String::new, text_of_type)
}

/// Are two types the same type?
///
/// # Safety
/// Both are live types.
pub unsafe fn same_type(a: Value, b: Value) -> bool {
    // SAFETY: as the caller says.
    a == b || unsafe { jl_types_equal(a, b) != 0 }
}
