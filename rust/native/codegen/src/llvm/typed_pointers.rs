//! What only works while pointers have types, up to LLVM 14.
//!
//! Callers need another way with opaque pointers. Roots of the garbage collector are not affected: their address space
//! tells them.

use inkwell::llvm_sys::core::LLVMGetElementType;

use super::{Builder, Cast, Type, Value};
use crate::error::CodegenError;

impl Type<'_> {
    /// What a pointer points to.
    pub(crate) fn pointee(self) -> Option<Self> {
        if !self.is_pointer() {
            return None;
        }
        // SAFETY: a pointer type of a living context.
        Some(unsafe { Self::from_raw(LLVMGetElementType(self.raw())) })
    }

    pub(crate) fn is_function_pointer(self) -> bool {
        self.pointee().is_some_and(Self::is_function)
    }
}

impl<'m> Builder<'m> {
    /// A pointer as another pointer, across address spaces too.
    pub(crate) fn pointer_cast(&self, value: Value<'m>, ty: Type<'m>) -> Result<Value<'m>, CodegenError> {
        if value.ty() == ty {
            return Ok(value);
        }
        let Some(pointee) = ty.pointee() else { return Ok(value) };
        let same_space = pointee.pointer(value.ty().address_space());
        let value = self.cast(Cast::BIT_CAST, value, same_space)?;
        if ty.address_space() == value.ty().address_space() {
            Ok(value)
        } else {
            self.cast(Cast::ADDR_SPACE_CAST, value, ty)
        }
    }
}
