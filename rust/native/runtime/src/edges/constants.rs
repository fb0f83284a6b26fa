//! Constants of packages on which code relies.
//!
//! Julia lets a session bind a constant anew, to a value of the same type that is neither a type nor a module, and
//! says that code which is compiled already may keep the old one. Cached code is compiled already, but a session
//! without the cache would compile it after that. So what inference may have folded is compared by contents.

use jl_sys::{jl_datatype_t, jl_module_t, jl_sym_t};

use nativecache_julia::code_digest::{add_named, Mix};
use nativecache_julia::julia_1_5::{jl_get_binding, Binding};
use nativecache_julia::layout;
use nativecache_julia::object::{is, is_type, svec_items, type_of, Value};

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
        let bound = !binding.is_null() && (*binding).owner == module && !(*binding).value.is_null();
        if !bound || (*binding).constp == 0 {
            return None;
        }
        let mut mix = Mix::new(0);
        // Another value of the name has the same type: Julia refuses any other.
        add((*binding).value, true, &mut mix, 0);
        Some(mix.finish())
    }
}

/// Adds a value; its type only if that is not `known`, since telling types apart is most of the work.
unsafe fn add(value: Value, known: bool, mix: &mut Mix, depth: u32) {
    mix.add(u64::from(depth));
    if value.is_null() || depth > MAX_DEPTH {
        return;
    }
    // SAFETY: parts of a live object are live.
    unsafe {
        if add_named(value, mix) {
            return;
        }
        let ty = type_of(value);
        if !known {
            add_named(ty.cast(), mix);
        }
        if is(value, jl_sys::jl_simplevector_type) {
            let items = svec_items(value.cast());
            mix.add(items.len() as u64);
            items.iter().for_each(|item| add(*item, false, mix, depth + 1));
        } else if (*ty).mutabl == 0 && !(*ty).layout.is_null() {
            add_fields(value.cast(), ty, mix, depth);
        }
    }
}

/// Adds what lies at an address of this type, an object or a field of one that is not boxed.
unsafe fn add_fields(at: *const u8, ty: *mut jl_datatype_t, mix: &mut Mix, depth: u32) {
    // SAFETY: fields are where the type's layout says, and there is one type for each.
    unsafe {
        let size = usize::try_from((*ty).size).unwrap_or(0);
        let fields = (*(*ty).layout).nfields;
        if fields == 0 || ((*(*ty).layout).npointers == 0 && !layout::has_padding(ty)) {
            return mix.add_bytes(std::slice::from_raw_parts(at, size));
        }
        let mut types = (*ty).types;
        if types.is_null() {
            types = jl_sys::jl_compute_fieldtypes(ty, std::ptr::null_mut());
        }
        let types = svec_items(types);
        for (index, declared) in (0..fields).zip(types) {
            let Some((offset, boxed)) = layout::field(ty, index) else { continue };
            let concrete = is(*declared, jl_sys::jl_datatype_type);
            if boxed {
                let value = *at.add(offset).cast::<Value>();
                let known = concrete && !value.is_null() && type_of(value).cast() == *declared;
                add(value, known, mix, depth + 1);
            } else if concrete && !(*declared.cast::<jl_datatype_t>()).layout.is_null() {
                add_fields(at.add(offset), declared.cast(), mix, depth + 1);
            } else {
                // A union: as it lies there, with the byte that says which. What a `.ji` brings is the same in
                // every session, padding included.
                let end = layout::field(ty, index + 1).map_or(size, |(next, _)| next);
                mix.add_bytes(std::slice::from_raw_parts(at.add(offset), end.saturating_sub(offset)));
            }
        }
    }
}
