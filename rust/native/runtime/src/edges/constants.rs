//! Constants of packages on which code relies.
//!
//! Julia lets a session rebind a constant to a value of the same type, unless that is a type or a module, and documents
//! that compiled code may keep the old value. Cached code is already compiled, but a session without the cache would
//! compile it after the change. So constants that inference may have folded are compared by contents.

use nativecache_julia::code_digest::{add_name, Mix};
use nativecache_julia::handles::{Binding, Contents, DataType, Module, Object, Part, SVec, Symbol, Text};

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
    } else if let Some(fields) = value.contents() {
        add_fields(fields, mix, depth);
    }
}

/// Adds what lies in an object, or in a field of one that is no object itself.
fn add_fields(of: Contents<'_>, mix: &mut Mix, depth: u32) {
    if of.is_plain() {
        return mix.add_bytes(of.bytes());
    }
    // So that they are known.
    of.ty().field_types();
    for index in 0..of.field_count() {
        let (Some(declared), Some(field)) = (of.declared(index), of.field(index)) else { continue };
        match field {
            Part::Reference(value) => {
                let is_declared = |value: Object<'_>| value.type_of().object() == declared;
                let known = declared.is::<DataType<'_>>() && value.is_some_and(is_declared);
                add(value, known, mix, depth + 1);
            }
            Part::Inline(of) => add_fields(of, mix, depth + 1),
            // As it lies there: what a `.ji` brings is the same in every session, padding included.
            Part::Union(union) => mix.add_bytes(union.bytes()),
        }
    }
}
