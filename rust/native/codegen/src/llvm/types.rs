//! Types of LLVM.

use std::marker::PhantomData;

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::LLVMTypeRef;
use inkwell::llvm_sys::LLVMTypeKind;

use super::{Module, Value};
use crate::error::CodegenError;

/// A type of the context of a module that lives as long as `'m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Type<'m> {
    raw: LLVMTypeRef,
    module: PhantomData<&'m Module>,
}

impl<'m> Type<'m> {
    /// The type behind a pointer of LLVM.
    ///
    /// # Safety
    /// `raw` is a type of a context that lives as long as `'m`. LLVM never returns null where it returns a type.
    pub(super) unsafe fn from_raw(raw: LLVMTypeRef) -> Self {
        Self { raw, module: PhantomData }
    }

    pub(super) fn raw(self) -> LLVMTypeRef {
        self.raw
    }

    pub(crate) fn kind(self) -> LLVMTypeKind {
        // SAFETY: the type's context is alive.
        unsafe { LLVMGetTypeKind(self.raw) }
    }

    /// Width of an integer type, 0 for any other.
    pub(crate) fn int_bits(self) -> u32 {
        if self.kind() != LLVMTypeKind::LLVMIntegerTypeKind {
            return 0;
        }
        // SAFETY: an integer type of a living context.
        unsafe { LLVMGetIntTypeWidth(self.raw) }
    }

    pub(crate) fn is_pointer(self) -> bool {
        self.kind() == LLVMTypeKind::LLVMPointerTypeKind
    }

    pub(crate) fn is_function(self) -> bool {
        self.kind() == LLVMTypeKind::LLVMFunctionTypeKind
    }

    pub(crate) fn is_vector(self) -> bool {
        self.kind() == LLVMTypeKind::LLVMVectorTypeKind
    }

    pub(crate) fn is_void(self) -> bool {
        self.kind() == LLVMTypeKind::LLVMVoidTypeKind
    }

    /// The element type of an array or a vector.
    pub(crate) fn element(self) -> Option<Self> {
        use LLVMTypeKind::*;
        if !matches!(self.kind(), LLVMArrayTypeKind | LLVMVectorTypeKind) {
            return None;
        }
        // SAFETY: a type of a living context that has elements.
        Some(unsafe { Self::from_raw(LLVMGetElementType(self.raw)) })
    }

    /// Number of elements of an array or a vector.
    pub(crate) fn length(self) -> u32 {
        match self.kind() {
            // SAFETY: an array type of a living context.
            LLVMTypeKind::LLVMArrayTypeKind => unsafe { LLVMGetArrayLength(self.raw) },
            // SAFETY: a vector type of a living context.
            LLVMTypeKind::LLVMVectorTypeKind => unsafe { LLVMGetVectorSize(self.raw) },
            _ => 0,
        }
    }

    /// Types of the fields of a struct.
    pub(crate) fn fields(self) -> Vec<Self> {
        if self.kind() != LLVMTypeKind::LLVMStructTypeKind {
            return Vec::new();
        }
        // SAFETY: a struct type of a living context.
        let count = unsafe { LLVMCountStructElementTypes(self.raw) };
        // SAFETY: a struct type of a living context with more than `index` fields.
        (0..count).map(|index| unsafe { Self::from_raw(LLVMStructGetTypeAtIndex(self.raw, index)) }).collect()
    }

    /// The address space of a pointer, 0 for anything else.
    pub(crate) fn address_space(self) -> u32 {
        if !self.is_pointer() {
            return 0;
        }
        // SAFETY: a pointer type of a living context.
        unsafe { LLVMGetPointerAddressSpace(self.raw) }
    }

    /// `T*` in address space `space`.
    pub(crate) fn pointer(self, space: u32) -> Self {
        // SAFETY: the type's context is alive, and the new type belongs to it.
        unsafe { Self::from_raw(LLVMPointerType(self.raw, space)) }
    }

    /// `[length x T]`
    pub(crate) fn array(self, length: u32) -> Self {
        // SAFETY: the type's context is alive, and the new type belongs to it.
        unsafe { Self::from_raw(LLVMArrayType(self.raw, length)) }
    }

    pub(crate) fn undef(self) -> Result<Value<'m>, CodegenError> {
        // SAFETY: the type's context is alive, and the constant belongs to it.
        unsafe { Value::made(LLVMGetUndef(self.raw)) }
    }

    pub(crate) fn null(self) -> Result<Value<'m>, CodegenError> {
        // SAFETY: the type's context is alive, and the constant belongs to it.
        unsafe { Value::made(LLVMConstNull(self.raw)) }
    }

    /// A constant of this type, an integer.
    pub(crate) fn int(self, value: u64) -> Result<Value<'m>, CodegenError> {
        debug_assert!(self.int_bits() > 0);
        // SAFETY: an integer type of a living context, to which the constant belongs.
        unsafe { Value::made(LLVMConstInt(self.raw, value, 0)) }
    }
}
