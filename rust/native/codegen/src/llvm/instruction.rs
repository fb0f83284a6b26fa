//! Instructions.

use std::ops::Deref;

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::debuginfo::{
    LLVMDILocationGetInlinedAt, LLVMDILocationGetScope, LLVMInstructionGetDebugLoc,
};
use inkwell::llvm_sys::{LLVMOpcode, LLVMValueKind};

use super::{Block, Function, Metadata, Type, Value};

/// An instruction of a module that lives as long as `'m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Instruction<'m>(Value<'m>);

/// A `call`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Call<'m>(Instruction<'m>);

/// An `alloca`: a stack variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Alloca<'m>(Instruction<'m>);

impl<'m> Deref for Instruction<'m> {
    type Target = Value<'m>;

    fn deref(&self) -> &Value<'m> {
        &self.0
    }
}

impl<'m> Deref for Call<'m> {
    type Target = Instruction<'m>;

    fn deref(&self) -> &Instruction<'m> {
        &self.0
    }
}

impl<'m> Deref for Alloca<'m> {
    type Target = Instruction<'m>;

    fn deref(&self) -> &Instruction<'m> {
        &self.0
    }
}

impl<'m> Value<'m> {
    pub(crate) fn as_instruction(self) -> Option<Instruction<'m>> {
        (self.kind() == LLVMValueKind::LLVMInstructionValueKind).then_some(Instruction(self))
    }
}

impl<'m> Instruction<'m> {
    /// The instruction that LLVM has just built.
    ///
    /// # Safety
    /// `value` is an instruction.
    pub(super) unsafe fn built(value: Value<'m>) -> Self {
        Self(value)
    }

    pub(crate) fn as_call(self) -> Option<Call<'m>> {
        (self.opcode() == LLVMOpcode::LLVMCall).then_some(Call(self))
    }

    pub(crate) fn as_alloca(self) -> Option<Alloca<'m>> {
        (self.opcode() == LLVMOpcode::LLVMAlloca).then_some(Alloca(self))
    }

    pub(crate) fn opcode(self) -> LLVMOpcode {
        // SAFETY: a living instruction. All that LLVM 9 has are in the enumeration.
        unsafe { LLVMGetInstructionOpcode(self.raw()) }
    }

    /// The instruction behind this one in its block.
    pub(crate) fn next(self) -> Option<Self> {
        // SAFETY: a living instruction, in whose block all others are alive too.
        unsafe { Value::from_raw(LLVMGetNextInstruction(self.raw())) }.map(Self)
    }

    /// The block that it stands in.
    fn block(self) -> Option<Block<'m>> {
        // SAFETY: a living instruction, whose block is alive too.
        unsafe { Block::from_raw(LLVMGetInstructionParent(self.raw())) }
    }

    /// The function that it stands in.
    pub(crate) fn parent_function(self) -> Option<Function<'m>> {
        let block = self.block()?;
        // SAFETY: a living block, whose function is alive too.
        unsafe { Value::from_raw(LLVMGetBasicBlockParent(block.raw())) }?.as_function()
    }

    /// Does it stand in the first block of its function?
    pub(crate) fn is_in_entry_block(self) -> bool {
        let first = self.parent_function().and_then(|function| function.blocks().first().copied());
        first.is_some() && first == self.block()
    }

    /// Replaces operand `index` by `value`, of the same type. Does nothing if there is no such operand.
    pub(crate) fn set_operand(self, index: u32, value: Value<'m>) {
        if index < self.operand_count() {
            // SAFETY: both are alive, and the instruction has such an operand.
            unsafe { LLVMSetOperand(self.raw(), index, value.raw()) };
        }
    }

    /// The block from which operand `index` of a PHI comes.
    pub(crate) fn incoming_block(self, index: u32) -> Option<Block<'m>> {
        if self.opcode() != LLVMOpcode::LLVMPHI || index >= self.operand_count() {
            return None;
        }
        // SAFETY: a living PHI that has such an operand.
        unsafe { Block::from_raw(LLVMGetIncomingBlock(self.raw(), index)) }
    }

    /// The debug scope of the instruction, followed by the scopes into which that was inlined.
    pub(crate) fn scopes(self) -> Vec<Metadata<'m>> {
        let mut scopes = Vec::new();
        // SAFETY: a living instruction; null if it has no line.
        let mut location = unsafe { LLVMInstructionGetDebugLoc(self.raw()) };
        while !location.is_null() {
            // SAFETY: a location, as LLVM has just said, and it belongs to the context.
            unsafe {
                scopes.extend(Metadata::from_raw(LLVMDILocationGetScope(location)));
                location = LLVMDILocationGetInlinedAt(location);
            }
        }
        scopes
    }

    /// Removes it from its block and frees it.
    ///
    /// # Safety
    /// Nothing uses the instruction, and nobody keeps it.
    pub(crate) unsafe fn delete(self) {
        // SAFETY: it is alive and has no uses.
        unsafe { LLVMInstructionEraseFromParent(self.raw()) };
    }
}

impl<'m> Call<'m> {
    /// The call that LLVM has just built.
    ///
    /// # Safety
    /// `value` is a `call`.
    pub(super) unsafe fn built(value: Value<'m>) -> Self {
        Self(Instruction(value))
    }

    /// Number of arguments. Operand bundles and the callee are operands too, and follow them.
    pub(crate) fn argument_count(self) -> u32 {
        // SAFETY: a living call.
        unsafe { LLVMGetNumArgOperands(self.raw()) }
    }

    /// What it calls.
    pub(crate) fn called(self) -> Option<Value<'m>> {
        // SAFETY: a living call, whose operands are alive too.
        unsafe { Value::from_raw(LLVMGetCalledValue(self.raw())) }
    }

    /// The function that it calls directly.
    pub(crate) fn called_function(self) -> Option<Function<'m>> {
        self.called()?.as_function()
    }

    pub(crate) fn convention(self) -> u32 {
        // SAFETY: a living call.
        unsafe { LLVMGetInstructionCallConv(self.raw()) }
    }

    pub(crate) fn set_convention(self, convention: u32) {
        // SAFETY: a living call.
        unsafe { LLVMSetInstructionCallConv(self.raw(), convention) };
    }

    pub(crate) fn set_tail_call(self) {
        // SAFETY: a living call.
        unsafe { LLVMSetTailCall(self.raw(), 1) };
    }
}

impl<'m> Alloca<'m> {
    /// The stack variable that LLVM has just built.
    ///
    /// # Safety
    /// `value` is an `alloca`.
    pub(super) unsafe fn built(value: Value<'m>) -> Self {
        Self(Instruction(value))
    }

    /// Type of one element.
    pub(crate) fn element_type(self) -> Type<'m> {
        // SAFETY: a living stack variable.
        unsafe { Type::from_raw(LLVMGetAllocatedType(self.raw())) }
    }

    /// Its alignment; 0 means the alignment of its type.
    pub(crate) fn alignment(self) -> u32 {
        // SAFETY: a living stack variable.
        unsafe { LLVMGetAlignment(self.raw()) }
    }

    pub(crate) fn set_alignment(self, alignment: u32) {
        // SAFETY: a living stack variable.
        unsafe { LLVMSetAlignment(self.raw(), alignment) };
    }
}
