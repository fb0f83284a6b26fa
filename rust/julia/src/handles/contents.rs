//! The contents of an immutable object: references, and inline values, which have fields themselves.

use std::marker::PhantomData;

use jl_sys::jl_value_t;
use nativecache_mutation::mutation;

use super::{DataType, Object, Union};
use crate::stopped::Stopped;

/// A value of a concrete type: an object, or an inline part of one.
#[derive(Clone, Copy)]
pub struct Contents<'j> {
    /// Where it begins.
    at: *const u8,
    ty: DataType<'j>,
    _julia: PhantomData<&'j Stopped>,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub enum Part<'j> {
    /// Another object; `None` if the field is not defined.
    Reference(Option<Object<'j>>),
    /// A value inline.
    Inline(Contents<'j>),
    /// A value inline, of one type of several.
    Union(InlineUnion<'j>),
}

/// A field in which values of several types lie inline.
#[derive(Clone, Copy)]
pub struct InlineUnion<'j> {
    /// The union.
    declared: Object<'j>,
    /// How many bytes are the field's own.
    size: usize,
    bytes: &'j [u8],
}

impl<'j> Object<'j> {
    /// Its contents; `None` if its type is abstract, mutable or has no layout.
    pub fn contents(self) -> Option<Contents<'j>> {
        let ty = self.type_of();
        (!ty.is_mutable() && ty.has_layout()).then(|| Contents::at(self.as_ptr().cast(), ty))
    }
}

impl<'j> Contents<'j> {
    fn at(at: *const u8, ty: DataType<'j>) -> Self {
        Contents { at, ty, _julia: PhantomData }
    }

    /// Its type.
    pub fn ty(self) -> DataType<'j> {
        self.ty
    }

    /// How many fields it has.
    pub fn field_count(self) -> u32 {
        self.ty.field_count().and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
    }

    /// Does it consist of bytes that mean something, all of them, and of nothing else?
    pub fn is_plain(self) -> bool {
        self.field_count() == 0 || (!self.ty.has_references() && !self.ty.has_padding())
    }

    /// All its bytes.
    pub fn bytes(self) -> &'j [u8] {
        // SAFETY: a value of this type lies there, and is as long as its type says.
        unsafe { std::slice::from_raw_parts(self.at, self.ty.size()) }
    }

    /// The type that is declared for field `index`; `None` if there is none, or nobody has asked Julia for it yet
    /// ([`DataType::field_types`] does).
    pub fn declared(self, index: u32) -> Option<Object<'j>> {
        self.ty.known_field_types()?.get(index as usize)
    }

    /// Field `index`; `None` if there is none, or what lies inline there is of a type that nobody has asked Julia for yet.
    pub fn field(self, index: u32) -> Option<Part<'j>> {
        let field = self.ty.field(index)?;
        // SAFETY: fields are where the type's layout says.
        let at = unsafe { self.at.add(field.offset) };
        if field.is_reference {
            // SAFETY: an object or null.
            return Some(Part::Reference(unsafe { Object::from_ptr(at.cast::<*mut jl_value_t>().read()) }));
        }
        let declared = self.declared(index)?;
        if let Some(ty) = declared.as_kind::<DataType<'j>>().filter(|ty| ty.has_layout()) {
            return Some(Part::Inline(Contents::at(at, ty)));
        }
        let end = self.ty.field(index + 1).map_or(self.ty.size(), |next| next.offset);
        // SAFETY: up to the next field, or the end.
        let bytes = unsafe { std::slice::from_raw_parts(at, end.saturating_sub(field.offset)) };
        Some(Part::Union(InlineUnion { declared, size: field.size, bytes }))
    }
}

impl<'j> InlineUnion<'j> {
    /// The bytes of the value, the one that says which type it is of, and what padding there is.
    pub fn bytes(self) -> &'j [u8] {
        self.bytes
    }

    /// The value.
    pub fn contents(self) -> Option<Contents<'j>> {
        // Behind the values stands which of the union's types it is.
        let selector = *self.bytes.get(self.size.checked_sub(1)?)?;
        let mut which = u32::from(mutation!("signatures: inline unions are what comes first", selector, 0));
        let ty = component(self.declared, &mut which)?.as_kind()?;
        Some(Contents::at(self.bytes.as_ptr(), ty))
    }
}

/// The type with this number in a union, as the runtime counts them (datatype.c, `jl_nth_union_component`).
fn component<'j>(ty: Object<'j>, which: &mut u32) -> Option<Object<'j>> {
    if let Some(union) = ty.as_kind::<Union<'j>>() {
        let [a, b] = union.members();
        return component(a, which).or_else(|| component(b, which));
    }
    if *which == 0 {
        return Some(ty);
    }
    *which -= 1;
    None
}
