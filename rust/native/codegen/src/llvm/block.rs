//! Basic blocks.

use std::marker::PhantomData;
use std::ptr::NonNull;

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::LLVMBasicBlockRef;
use inkwell::llvm_sys::LLVMBasicBlock;

use super::{Function, Instruction, Module, Value};

/// A basic block of a function in a module that lives as long as `'m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Block<'m> {
    raw: NonNull<LLVMBasicBlock>,
    module: PhantomData<&'m Module>,
}

impl<'m> Block<'m> {
    /// The block behind a pointer of LLVM; `None` for null.
    ///
    /// # Safety
    /// `raw` is null or a block of a module that lives as long as `'m`.
    pub(super) unsafe fn from_raw(raw: LLVMBasicBlockRef) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { raw, module: PhantomData })
    }

    pub(super) fn raw(self) -> LLVMBasicBlockRef {
        self.raw.as_ptr()
    }

    pub(crate) fn terminator(self) -> Option<Instruction<'m>> {
        // SAFETY: the block is alive, and so are its instructions.
        unsafe { Value::from_raw(LLVMGetBasicBlockTerminator(self.raw())) }?.as_instruction()
    }

    pub(crate) fn first_instruction(self) -> Option<Instruction<'m>> {
        // SAFETY: the block is alive, and so are its instructions.
        unsafe { Value::from_raw(LLVMGetFirstInstruction(self.raw())) }?.as_instruction()
    }

    pub(crate) fn instructions(self) -> impl Iterator<Item = Instruction<'m>> {
        std::iter::successors(self.first_instruction(), |instruction| instruction.next())
    }

    /// Moves the block to the end of `function`, which may be in another module of the context.
    pub(super) fn move_to(self, function: Function<'_>) {
        // SAFETY: block and function are alive. The block belongs to no function between the two calls only.
        unsafe {
            LLVMRemoveBasicBlockFromParent(self.raw());
            LLVMAppendExistingBasicBlock(function.raw(), self.raw());
        }
    }
}
