//! Metadata, debug information among it.

use std::marker::PhantomData;
use std::ptr::NonNull;

use inkwell::llvm_sys::debuginfo::{LLVMGetMetadataKind, LLVMMetadataKind};
use inkwell::llvm_sys::prelude::LLVMMetadataRef;
use inkwell::llvm_sys::LLVMOpaqueMetadata;

use super::Module;

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
    pub(crate) unsafe fn from_raw(raw: LLVMMetadataRef) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { raw, module: PhantomData })
    }

    pub(crate) fn raw(self) -> LLVMMetadataRef {
        self.raw.as_ptr()
    }

    pub(crate) fn kind(self) -> LLVMMetadataKind {
        // SAFETY: the context is alive.
        unsafe { LLVMGetMetadataKind(self.raw()) }
    }
}
