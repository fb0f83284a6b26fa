//! The fields of structs, of which some lie in the struct and are no objects.

use std::marker::PhantomData;

use jl_sys::jl_value_t;

use super::{DataType, Object};
use crate::stopped::Stopped;

/// An immutable struct, or a field of one that lies in it.
#[derive(Clone, Copy, Debug)]
pub struct Inline<'j> {
    at: *const u8,
    ty: DataType<'j>,
    _julia: PhantomData<&'j Stopped>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum InlineField<'j> {
    /// A reference to an object, if the field is defined.
    Reference(Option<Object<'j>>),
    /// A struct that lies here.
    Struct(Inline<'j>),
    /// The bytes of a union, the one that says which type it is of among them, and what padding follows.
    Union(&'j [u8]),
}

impl<'j> Object<'j> {
    /// The fields of this object, if it is immutable and its type says how it is laid out.
    pub fn as_inline(self) -> Option<Inline<'j>> {
        let ty = self.type_of();
        (!ty.is_mutable() && ty.has_layout()).then_some(Inline {
            at: self.as_ptr().cast(),
            ty,
            _julia: PhantomData,
        })
    }
}

impl<'j> Inline<'j> {
    /// Does it consist of bytes that mean something, all of them, and of nothing else?
    pub fn is_plain(self) -> bool {
        self.ty.field_count() == Some(0) || (!self.ty.has_references() && !self.ty.has_padding())
    }

    /// All its bytes.
    pub fn bytes(self) -> &'j [u8] {
        // SAFETY: it is as long as its type says.
        unsafe { std::slice::from_raw_parts(self.at, self.ty.size()) }
    }

    /// Its fields, each with the type that is declared for it.
    pub fn fields(self) -> impl Iterator<Item = (Object<'j>, InlineField<'j>)> {
        let types = self.ty.field_types().into_iter().flat_map(super::SVec::places);
        (0u32..).zip(types).filter_map(move |(index, declared)| {
            let (declared, field) = (declared?, self.ty.field(index)?);
            // SAFETY: fields are where the type's layout says.
            let at = unsafe { self.at.add(field.offset) };
            if field.is_reference {
                // SAFETY: an object or null.
                let object = unsafe { Object::from_ptr(*at.cast::<*mut jl_value_t>()) };
                return Some((declared, InlineField::Reference(object)));
            }
            let ty = declared.as_kind::<DataType<'j>>().filter(|ty| ty.has_layout());
            let content = match ty {
                Some(ty) => InlineField::Struct(Inline { at, ty, _julia: PhantomData }),
                None => {
                    let end = self.ty.field(index + 1).map_or(self.ty.size(), |next| next.offset);
                    // SAFETY: up to the next field, or the end.
                    InlineField::Union(unsafe {
                        std::slice::from_raw_parts(at, end.saturating_sub(field.offset))
                    })
                }
            };
            Some((declared, content))
        })
    }
}
