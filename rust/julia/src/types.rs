//! Types compared, and as text for messages.

use jl_sys::{jl_datatype_t, jl_tvar_t};

use crate::julia_1_5::jl_types_equal;
use crate::object::{is, is_type, svec_items, symbol_str, type_name, unwrap_unionall, Value};

/// A type as text for messages.
///
/// # Safety
/// `t` is a live type.
pub unsafe fn type_text(t: Value) -> String {
    // SAFETY: as the caller says.
    unsafe {
        if is(t, jl_sys::jl_uniontype_type) {
            return "Union".to_owned();
        }
        let body = unwrap_unionall(t);
        let Some(name) = type_name(body) else { return "Union{}".to_owned() };
        let base = symbol_str((*name).name);
        let params = svec_items((*body.cast::<jl_datatype_t>()).parameters);
        if params.is_empty() {
            return base.to_owned();
        }
        let texts: Vec<String> = params
            .iter()
            .map(|p| {
                if is_type(*p) {
                    type_text(*p)
                } else if is(*p, jl_sys::jl_tvar_type) {
                    symbol_str((*p.cast::<jl_tvar_t>()).name).to_owned()
                } else if is(*p, jl_sys::jl_symbol_type) {
                    format!(":{}", symbol_str(p.cast()))
                } else if is(*p, jl_sys::jl_int64_type) {
                    (*p.cast::<i64>()).to_string()
                } else {
                    "…".to_owned()
                }
            })
            .collect();
        format!("{base}{{{}}}", texts.join(", "))
    }
}

/// Are two types the same type?
///
/// # Safety
/// Both are live types.
pub unsafe fn same_type(a: Value, b: Value) -> bool {
    // SAFETY: as the caller says.
    a == b || unsafe { jl_types_equal(a, b) != 0 }
}
