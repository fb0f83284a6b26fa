//! Metadata, including debug information.

use std::marker::PhantomData;
use std::ptr::NonNull;

use inkwell::llvm_sys::core::{LLVMGetMDNodeOperands, LLVMValueAsMetadata};
use inkwell::llvm_sys::debuginfo::{LLVMGetMetadataKind, LLVMMetadataKind};
use inkwell::llvm_sys::prelude::LLVMMetadataRef;
use inkwell::llvm_sys::{LLVMOpaqueMetadata, LLVMValueKind};

use super::{Module, Value};

/// Metadata of the context of a module that lives as long as `'m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Metadata<'m> {
    raw: NonNull<LLVMOpaqueMetadata>,
    module: PhantomData<&'m Module>,
}

impl Metadata<'_> {
    /// The metadata behind a pointer of LLVM; `None` for null.
    ///
    /// # Safety
    /// `raw` is null or metadata of a context that lives as long as the result.
    pub(super) unsafe fn from_raw(raw: LLVMMetadataRef) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { raw, module: PhantomData })
    }

    pub(super) fn raw(self) -> LLVMMetadataRef {
        self.raw.as_ptr()
    }

    pub(crate) fn kind(self) -> LLVMMetadataKind {
        // SAFETY: the context is alive.
        unsafe { LLVMGetMetadataKind(self.raw()) }
    }
}

impl Value<'_> {
    /// The constant that an operand wraps in metadata (`metadata i64* @x`).
    pub(crate) fn constant_in_metadata(self) -> Option<Self> {
        if self.kind() != LLVMValueKind::LLVMMetadataAsValueValueKind {
            return None;
        }
        // SAFETY: a living value that is metadata.
        let metadata = unsafe { Metadata::from_raw(LLVMValueAsMetadata(self.raw())) }?;
        if !matches!(metadata.kind(), LLVMMetadataKind::LLVMConstantAsMetadataMetadataKind) {
            return None;
        }
        let mut constant = std::ptr::null_mut();
        // SAFETY: for a constant as metadata LLVM writes one operand: the constant, which is alive.
        unsafe {
            LLVMGetMDNodeOperands(self.raw(), &raw mut constant);
            Self::from_raw(constant)
        }
    }
}
