//! What lies in an immutable object: references and values inline, these with fields of their own.

use nativecache_mutation::mutation;

use super::{DataType, Object, Union};

/// A value of a concrete type, an object by itself or inline in one.
#[derive(Clone, Copy)]
pub struct Contents<'j> {
    /// The object that it is, or lies in.
    within: Object<'j>,
    /// Where in that object it begins.
    offset: usize,
    ty: DataType<'j>,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub enum Part<'j> {
    /// Another object; `None` if the field is not defined.
    Reference(Option<Object<'j>>),
    /// A value inline.
    Inline(Contents<'j>),
}

impl<'j> Object<'j> {
    /// What lies in it; `None` if its type is abstract, mutable or has no layout.
    pub fn contents(self) -> Option<Contents<'j>> {
        Contents { within: self, offset: 0, ty: self.type_of() }.if_plain()
    }
}

impl<'j> Contents<'j> {
    fn if_plain(self) -> Option<Self> {
        (!self.ty.is_mutable() && self.ty.has_layout() && !self.ty.is_abstract()).then_some(self)
    }

    /// Its type.
    pub fn ty(self) -> DataType<'j> {
        self.ty
    }

    /// How many fields it has.
    pub fn field_count(self) -> u32 {
        self.ty.field_count().and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
    }

    /// Its bytes, if it has no fields: of a primitive type.
    pub fn bytes(self) -> Option<&'j [u8]> {
        if self.field_count() > 0 {
            return None;
        }
        // SAFETY: a value of this type lies there, and is as long as its type says.
        Some(unsafe { std::slice::from_raw_parts(self.at(0), self.ty.size()) })
    }

    fn at(self, offset: usize) -> *const u8 {
        // SAFETY: within the object.
        unsafe { self.within.as_ptr().cast::<u8>().cast_const().add(self.offset + offset) }
    }

    /// Field `index`; `None` if there is none, or its layout is unknown.
    pub fn field(self, index: u32) -> Option<Part<'j>> {
        let field = self.ty.field(index)?;
        if field.is_reference {
            // SAFETY: the layout says that an object or null is there.
            return Some(Part::Reference(unsafe {
                Object::from_ptr(self.at(field.offset).cast::<*mut jl_sys::jl_value_t>().read())
            }));
        }
        let mut declared = self.ty.known_field_types()?.get(index as usize)?;
        if declared.is::<Union<'j>>() {
            // Behind what lies inline stands which of the union's types it is.
            // SAFETY: within the field.
            let selector = unsafe { self.at(field.offset + field.size.saturating_sub(1)).read() };
            let mut which =
                u32::from(mutation!("signatures: inline unions are what comes first", selector, 0));
            declared = component(declared, &mut which)?;
        }
        let ty = declared.as_kind()?;
        Some(Part::Inline(Contents { within: self.within, offset: self.offset + field.offset, ty }))
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
