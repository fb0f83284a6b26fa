//! Where a constant is used.

use inkwell::llvm_sys::LLVMOpcode;

use crate::llvm::Instruction;

/// The place where a constant is used.
#[derive(Clone, Copy)]
pub(super) struct UseSite<'m, 'f> {
    /// Name of the function that it is in.
    pub(super) function: &'f str,
    instruction: Instruction<'m>,
    /// The index of the operand. `None` if the constant is only a part of an operand.
    operand: Option<u32>,
}

impl<'m, 'f> UseSite<'m, 'f> {
    pub(super) fn new(function: &'f str, instruction: Instruction<'m>, operand: u32) -> Self {
        Self { function, instruction, operand: Some(operand) }
    }

    /// The place of a part of this constant.
    pub(super) fn inside(self) -> Self {
        Self { operand: None, ..self }
    }

    /// Can only a constant stand here?
    pub(super) fn must_be_constant(self) -> bool {
        // The first operand of a switch is its condition, all others are its cases.
        self.instruction.opcode() == LLVMOpcode::LLVMSwitch && self.operand != Some(0)
    }

    /// If the constant is an argument: the function that is called, and the index of the argument.
    pub(super) fn argument(self) -> Option<(String, u32)> {
        let index = self.operand?;
        let call = self.instruction.as_call().filter(|call| index < call.argument_count())?;
        Some((call.called_function()?.name(), index))
    }

    /// A text for people. LLVM's own printer would number the whole module for each instruction.
    pub(super) fn describe(self) -> String {
        let opcode = format!("{:?}", self.instruction.opcode());
        let opcode = opcode.trim_start_matches("LLVM").to_ascii_lowercase();
        match self.instruction.as_call().and_then(|call| call.called_function()) {
            Some(function) => format!("{opcode} of {}", function.name()),
            None => opcode,
        }
    }
}
