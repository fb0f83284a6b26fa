//! Julia's objects by their kinds: what Rust may ask of each without knowing how Julia 1.5 lays it out.
//!
//! A handle is a pointer that is never null and whose object is of the kind that the handle's type says. It borrows a
//! [`Stopped`], so the object is alive. Reading through it is safe; what changes Julia is `unsafe` and says what it takes.
//! A kind is found out by [`Object::as_kind`].

mod code;
mod collections;
mod contents;
mod inline;
pub mod make;
mod method;
mod module;
mod text;
mod types;

use std::marker::PhantomData;
use std::ptr::NonNull;

use jl_sys::{jl_datatype_t, jl_taggedvalue_t, jl_value_t};

use crate::stopped::Stopped;

pub use code::{
    is_compressed, is_inlineable, CodeInfo, CodeInstance, Expr, GlobalRef, Invoke, PhiCNode, PhiNode, PiNode,
    QuoteNode, UpsilonNode,
};
pub use collections::{Array, SVec};
pub use contents::{Contents, Part};
pub use inline::{Inline, InlineField};
pub use method::{
    Definition, Method, MethodInstance, MethodTable, RootsLocked, SpecialisationsLocked, TypeMapEntry,
};
pub use module::{Binding, Module};
pub use text::{Symbol, Text};
pub use types::{DataType, Field, Primitive, TypeName, TypeVar, Union, UnionAll};

/// Any object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct Object<'j>(NonNull<jl_value_t>, PhantomData<&'j Stopped>);

/// An object, or null, as functions of C take and give it: for the declarations of such functions only.
pub type RawObject = *mut jl_value_t;

/// A kind of object that has a handle of its own.
pub trait Kind<'j>: Sized + Copy + Into<Object<'j>> {
    /// The object as one of this kind, if it is one.
    fn of(object: Object<'j>) -> Option<Self>;
}

impl<'j> Kind<'j> for Object<'j> {
    fn of(object: Object<'j>) -> Option<Self> {
        Some(object)
    }
}

impl<'j> Object<'j> {
    /// A pointer that Julia gave us as an object; `None` if it is null.
    ///
    /// # Safety
    /// It is null or points to an object that is alive as long as a [`Stopped`] that lives for `'j`.
    pub unsafe fn from_ptr(pointer: *mut jl_value_t) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Object(pointer, PhantomData))
    }

    /// The object at this address.
    ///
    /// # Safety
    /// As [`Object::from_ptr`]; it is not 0.
    pub unsafe fn at(address: usize) -> Self {
        // SAFETY: as the caller says.
        Object(unsafe { NonNull::new_unchecked(address as *mut jl_value_t) }, PhantomData)
    }

    /// The pointer, for functions of Julia that are called elsewhere.
    pub fn as_ptr(self) -> *mut jl_value_t {
        self.0.as_ptr()
    }

    /// Where it lies.
    pub fn address(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// The pointer, for what is kept without a `Stopped`.
    pub(crate) fn as_non_null(self) -> NonNull<jl_value_t> {
        self.0
    }

    /// The object as one of this kind, if it is one.
    pub fn as_kind<K: Kind<'j>>(self) -> Option<K> {
        K::of(self)
    }

    /// Is it of this kind?
    pub fn is<K: Kind<'j>>(self) -> bool {
        K::of(self).is_some()
    }

    /// Its type: the word before the object without the collector's bits (julia.h, `jl_typeof`).
    pub fn type_of(self) -> DataType<'j> {
        // SAFETY: a live object is preceded by its tag, which is a data type.
        unsafe { DataType::from_ptr_unchecked(self.tag()) }
    }

    fn tag(self) -> *mut jl_datatype_t {
        // SAFETY: a live object is preceded by its tag.
        unsafe {
            let tagged = self.as_ptr().cast::<jl_taggedvalue_t>().sub(1);
            ((*tagged.cast::<usize>()) & !15usize) as *mut jl_datatype_t
        }
    }

    /// Is its type exactly this one of Julia's own?
    pub(crate) fn has_tag(self, ty: *mut jl_datatype_t) -> bool {
        self.tag() == ty
    }

    /// Is it a type: a data type, a union, something with `where`, or `Union{}`?
    pub fn is_type(self) -> bool {
        // SAFETY: the kinds are initialised before any code of ours runs.
        unsafe {
            let tag = self.tag();
            tag == jl_sys::jl_datatype_type
                || tag == jl_sys::jl_unionall_type
                || tag == jl_sys::jl_uniontype_type
                || tag == jl_sys::jl_typeofbottom_type
        }
    }

    /// Is it `nothing`?
    pub fn is_nothing(self) -> bool {
        // SAFETY: exists from start-up on.
        self.as_ptr() == unsafe { jl_sys::jl_nothing }
    }

    /// Is it `Union{}`?
    pub fn is_bottom(self) -> bool {
        // SAFETY: exists from start-up on.
        self.as_ptr() == unsafe { jl_sys::jl_bottom_type }
    }

    /// Is it the type `Any`?
    pub fn is_any(self) -> bool {
        // SAFETY: exists from start-up on.
        self.as_ptr() == unsafe { jl_sys::jl_any_type.cast() }
    }

    /// Is it an instance of this type?
    pub fn is_a(self, ty: Object<'_>) -> bool {
        // SAFETY: both are alive, and the second is a type or `isa` says no.
        ty.is_type() && unsafe { jl_sys::jl_isa(self.as_ptr(), ty.as_ptr()) } != 0
    }

    /// `objectid`.
    pub fn object_id(self) -> usize {
        // SAFETY: alive.
        unsafe { jl_sys::jl_object_id(self.as_ptr()) }
    }

    /// `===`.
    pub fn is_egal(self, other: Object<'_>) -> bool {
        // SAFETY: both are alive.
        self.as_ptr() == other.as_ptr() || unsafe { jl_sys::jl_egal(self.as_ptr(), other.as_ptr()) } != 0
    }

    /// The bytes of a value whose type is plain bits; `None` for any other.
    pub fn bits(self) -> Option<&'j [u8]> {
        let ty = self.type_of();
        // SAFETY: an object of a bits type is as long as its type says.
        ty.is_bits().then(|| unsafe { std::slice::from_raw_parts(self.as_ptr().cast::<u8>(), ty.size()) })
    }

    /// The bytes of a value without references, whose type may be no plain bits to Julia (a `GlobalRef` of nothing, say).
    pub fn plain_bytes(self) -> Option<&'j [u8]> {
        let ty = self.type_of();
        let plain = ty.has_layout()
            && !ty.has_references()
            && ty.field_count().is_some_and(|count| count > 0 || ty.size() > 0);
        if ty.size() == 0 {
            return Some(&[]);
        }
        // SAFETY: an object is as long as its type says, and has no other contents.
        plain.then(|| unsafe { std::slice::from_raw_parts(self.as_ptr().cast::<u8>(), ty.size()) })
    }

    /// Is it a `LineNumberNode`?
    pub fn is_line_number(self) -> bool {
        // SAFETY: exists from start-up on.
        self.has_tag(unsafe { jl_sys::jl_linenumbernode_type })
    }

    /// Is it a `Core.LineInfoNode`?
    pub fn is_line_info(self) -> bool {
        // SAFETY: exists from start-up on.
        self.has_tag(unsafe { jl_sys::jl_lineinfonode_type })
    }

    /// Is it an intrinsic function?
    pub fn is_intrinsic(self) -> bool {
        // SAFETY: exists from start-up on.
        self.has_tag(unsafe { jl_sys::jl_intrinsic_type })
    }

    /// The number, if it is an `Int64`.
    pub fn as_i64(self) -> Option<i64> {
        // SAFETY: the type says what is there.
        unsafe { self.has_tag(jl_sys::jl_int64_type).then(|| *self.as_ptr().cast::<i64>()) }
    }

    /// The number, if it is a `UInt64`.
    pub fn as_u64(self) -> Option<u64> {
        // SAFETY: the type says what is there.
        unsafe { self.has_tag(jl_sys::jl_uint64_type).then(|| *self.as_ptr().cast::<u64>()) }
    }

    /// What field `index` refers to, if the field is a reference, and defined.
    pub fn reference(self, index: u32) -> Option<Object<'j>> {
        let field = self.type_of().field(index).filter(|field| field.is_reference)?;
        // SAFETY: the field lies in the object and holds an object or null.
        unsafe { Object::from_ptr(*self.as_ptr().cast::<u8>().add(field.offset).cast::<*mut jl_value_t>()) }
    }

    /// What is in field `index`, if the field is defined; a new object where it lies inline.
    pub fn field(self, index: u32) -> Option<Object<'j>> {
        let ty = self.type_of();
        if index as usize >= ty.field_count()? {
            return None;
        }
        // SAFETY: the type has this field, and the functions throw about nothing else.
        unsafe {
            let defined = jl_sys::jl_field_isdefined(self.as_ptr(), index as usize) != 0;
            let field = || Object::from_ptr(jl_sys::jl_get_nth_field(self.as_ptr(), index as usize));
            defined.then(field).flatten()
        }
    }
}

/// Makes the handle of a kind of object whose type is one of Julia's own.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $struct:ty, $tag:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(transparent)]
        pub struct $name<'j>(
            std::ptr::NonNull<$struct>,
            std::marker::PhantomData<&'j $crate::stopped::Stopped>,
        );

        impl<'j> $crate::handles::Kind<'j> for $name<'j> {
            fn of(object: $crate::handles::Object<'j>) -> Option<Self> {
                // SAFETY: the type exists from start-up on.
                object.has_tag(unsafe { jl_sys::$tag }).then(|| $name(object.0.cast(), std::marker::PhantomData))
            }
        }

        impl<'j> From<$name<'j>> for $crate::handles::Object<'j> {
            fn from(this: $name<'j>) -> Self {
                $crate::handles::Object(this.0.cast(), std::marker::PhantomData)
            }
        }

        #[allow(dead_code, reason = "the same for every kind")]
        impl<'j> $name<'j> {
            /// A pointer that Julia gave us as one of this kind; `None` if it is null.
            ///
            /// # Safety
            /// It is null or points to one that is alive as long as a `Stopped` that lives for `'j`.
            pub unsafe fn from_ptr(pointer: *mut $struct) -> Option<Self> {
                std::ptr::NonNull::new(pointer).map(|pointer| $name(pointer, std::marker::PhantomData))
            }

            /// # Safety
            /// As `from_ptr`; it is not null.
            pub(crate) unsafe fn from_ptr_unchecked(pointer: *mut $struct) -> Self {
                // SAFETY: as the caller says.
                $name(unsafe { std::ptr::NonNull::new_unchecked(pointer) }, std::marker::PhantomData)
            }

            /// The pointer, for functions of Julia that are called elsewhere.
            pub fn as_ptr(self) -> *mut $struct {
                self.0.as_ptr()
            }

            /// Where it lies.
            pub fn address(self) -> usize {
                self.0.as_ptr() as usize
            }

            /// The same as any object.
            pub fn object(self) -> $crate::handles::Object<'j> {
                self.into()
            }

            /// The struct, as Julia lays it out.
            fn raw(self) -> &'j $struct {
                // SAFETY: alive for `'j`, and of this kind. Other threads store to its words only as Julia's own code does.
                unsafe { &*self.0.as_ptr() }
            }
        }
    };
}
pub(crate) use handle;
