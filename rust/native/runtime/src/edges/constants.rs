//! Constants of packages on which code relies.
//!
//! Julia lets a session rebind a constant to a value of the same type, unless that is a type or a module, and documents
//! that compiled code may keep the old value. Cached code is already compiled, but a session without the cache would
//! compile it after the change. So constants that inference may have folded are compared by contents.

use nativecache_julia::code_digest::{add_name, Mix};
use nativecache_julia::handles::{
    Binding, DataType, Inline, InlineField, Module, Object, SVec, Symbol, Text,
};

/// Inference does not fold parts that are nested more deeply.
const MAX_DEPTH: u32 = 16;

/// Can this constant be rebound, and can code have folded its value?
pub fn can_change(binding: Binding<'_>) -> bool {
    let Some(value) = binding.constant().filter(|value| !value.is_type() && !value.is::<Module<'_>>()) else {
        return false;
    };
    let ty = value.type_of();
    // A mutable object is found through its binding, and its contents are not folded, except for strings.
    let folded =
        !ty.is_mutable() || value.is::<Text<'_>>() || value.is::<Symbol<'_>>() || value.is::<SVec<'_>>();
    folded && ty.instance() != Some(value)
}

/// The digest of the constant that `module` itself owns under this name.
pub fn digest(module: Module<'_>, name: Symbol<'_>) -> Option<u64> {
    let value = module.constant(name)?;
    let mut mix = Mix::new(0);
    // A new value has the same type, since Julia refuses any other.
    add(Some(value), true, &mut mix, 0);
    Some(mix.finish())
}

/// Adds a value. Its type is only added if it is not `known`, since that is most of the work.
fn add(value: Option<Object<'_>>, known: bool, mix: &mut Mix, depth: u32) {
    mix.add(u64::from(depth));
    let Some(value) = value.filter(|_| depth <= MAX_DEPTH) else { return };
    if add_name(value, mix) {
        return;
    }
    if !known {
        add_name(value.type_of().object(), mix);
    }
    if let Some(items) = value.as_kind::<SVec<'_>>() {
        mix.add(items.len() as u64);
        items.places().for_each(|item| add(item, false, mix, depth + 1));
    } else if let Some(fields) = value.as_inline() {
        add_fields(fields, mix, depth);
    }
}

/// Adds the contents of an object or of an inline field.
fn add_fields(of: Inline<'_>, mix: &mut Mix, depth: u32) {
    if of.is_plain() {
        return mix.add_bytes(of.bytes());
    }
    for (declared, field) in of.fields() {
        match field {
            InlineField::Reference(value) => {
                let is_declared = |value: Object<'_>| value.type_of().object() == declared;
                let known = declared.is::<DataType<'_>>() && value.is_some_and(is_declared);
                add(value, known, mix, depth + 1);
            }
            InlineField::Struct(of) => add_fields(of, mix, depth + 1),
            // With padding: bytes from a `.ji` are the same in every session, including padding.
            InlineField::Union(bytes) => mix.add_bytes(bytes),
        }
    }
}
