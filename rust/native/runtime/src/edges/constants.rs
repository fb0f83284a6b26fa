//! Constants of packages on which code relies.
//!
//! Julia lets a session bind a constant anew, to a value of the same type that is neither a type nor a module, and
//! says that code which is compiled already may keep the old one. Cached code is compiled already, but a session
//! without the cache would compile it after that. So what inference may have folded is compared by contents.

use nativecache_julia::code_digest::{add_name, Mix};
use nativecache_julia::handles::{
    Binding, DataType, Inline, InlineField, Module, Object, SVec, Symbol, Text,
};

/// Deeper parts are not folded.
const MAX_DEPTH: u32 = 16;

/// Could this constant be bound anew, so that code would have folded another value?
pub fn can_change(binding: Binding<'_>) -> bool {
    let Some(value) = binding.constant().filter(|value| !value.is_type() && !value.is::<Module<'_>>()) else {
        return false;
    };
    let ty = value.type_of();
    // A mutable object is found through its binding, and its contents are not folded; strings are.
    let folded =
        !ty.is_mutable() || value.is::<Text<'_>>() || value.is::<Symbol<'_>>() || value.is::<SVec<'_>>();
    folded && ty.instance() != Some(value)
}

/// The digest of the constant that `module` itself owns under this name.
pub fn digest(module: Module<'_>, name: Symbol<'_>) -> Option<u64> {
    let value = module.constant(name)?;
    let mut mix = Mix::new(0);
    // Another value of the name has the same type: Julia refuses any other.
    add(Some(value), true, &mut mix, 0);
    Some(mix.finish())
}

/// Adds a value; its type only if that is not `known`, since telling types apart is most of the work.
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

/// Adds what lies in an object, or in a field of one that is no object itself.
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
            // As it lies there: what a `.ji` brings is the same in every session, padding included.
            InlineField::Union(bytes) => mix.add_bytes(bytes),
        }
    }
}
