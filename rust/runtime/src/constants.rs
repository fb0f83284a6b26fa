//! Constants of packages on which code relies.
//!
//! Julia lets a session bind a constant anew, to a value of the same type that is neither a type nor a module, and
//! says that code which is compiled already may keep the old one. Cached code is compiled already, but a session
//! without the cache would compile it after that. So what inference may have folded is compared by contents.

use jl_sys::{jl_module_t, jl_sym_t};

use crate::code_digest::{add_named, Mix};
use crate::julia::{jl_get_binding, Binding};
use crate::layout;
use crate::value::{is, is_type, svec_items, type_of, Value};

/// Deeper parts are not folded.
const MAX_DEPTH: u32 = 16;

/// Could this constant be bound anew, so that code would have folded another value?
///
/// # Safety
/// `binding` is live.
pub unsafe fn can_change(binding: *mut Binding) -> bool {
    // SAFETY: as the caller says; a bound value is live.
    unsafe {
        let value = (*binding).value;
        if (*binding).constp == 0 || value.is_null() || is_type(value) || is(value, jl_sys::jl_module_type) {
            return false;
        }
        let ty = type_of(value);
        // A mutable object is found through its binding, and its contents are not folded; strings are.
        let folded = (*ty).mutabl == 0
            || is(value, jl_sys::jl_string_type)
            || is(value, jl_sys::jl_symbol_type)
            || is(value, jl_sys::jl_simplevector_type);
        folded && (*ty).instance != value
    }
}

/// The digest of the constant that `module` itself owns under this name.
///
/// # Safety
/// `module` and `name` are live; on a Julia thread, collector off.
pub unsafe fn digest(module: *mut jl_module_t, name: *mut jl_sym_t) -> Option<u64> {
    // SAFETY: as the caller says.
    unsafe {
        let binding = jl_get_binding(module, name);
        if binding.is_null() || (*binding).owner != module || (*binding).constp == 0 {
            return None;
        }
        let mut mix = Mix::new(0);
        add((*binding).value, &mut mix, 0);
        Some(mix.finish())
    }
}

unsafe fn add(value: Value, mix: &mut Mix, depth: u32) {
    mix.add(u64::from(depth));
    if value.is_null() || depth > MAX_DEPTH {
        return;
    }
    // SAFETY: parts of a live object are live; fields are where its type's layout says, and the boxed ones are not
    // read by Julia, which would throw where one is undefined.
    unsafe {
        if add_named(value, mix) {
            return;
        }
        let ty = type_of(value);
        add_named(ty.cast(), mix);
        if is(value, jl_sys::jl_simplevector_type) {
            let items = svec_items(value.cast());
            mix.add(items.len() as u64);
            items.iter().for_each(|item| add(*item, mix, depth + 1));
            return;
        }
        if (*ty).mutabl != 0 || (*ty).layout.is_null() {
            return;
        }
        let fields = (*(*ty).layout).nfields;
        if fields == 0 || ((*(*ty).layout).npointers == 0 && !layout::has_padding(ty)) {
            let size = usize::try_from((*ty).size).unwrap_or(0);
            mix.add_bytes(std::slice::from_raw_parts(value.cast::<u8>(), size));
            return;
        }
        for index in 0..fields {
            match layout::field(ty, index) {
                Some((offset, true)) => add(*value.cast::<u8>().add(offset).cast::<Value>(), mix, depth + 1),
                Some((_, false)) => add(jl_sys::jl_get_nth_field(value, index as usize), mix, depth + 1),
                None => {}
            }
        }
    }
}
