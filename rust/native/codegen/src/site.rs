//! Where a constant stands.

use inkwell::llvm_sys::LLVMOpcode;

use crate::value::Value;

/// The place of a constant that is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Site<'f> {
    /// Function, or `@variable`.
    pub(crate) function: &'f str,
    instruction: Value,
    /// The constant is, with nothing around it, this operand.
    operand: Option<u32>,
}

impl<'f> Site<'f> {
    pub(crate) fn new(function: &'f str, instruction: Value, operand: u32) -> Self {
        Self { function, instruction, operand: Some(operand) }
    }

    /// A part of the constant that stands here.
    pub(crate) fn inside(self) -> Self {
        Self { operand: None, ..self }
    }

    /// Can only a constant stand here?
    pub(crate) fn is_fixed(self) -> bool {
        // The first operand of a switch is what it looks at, all others are its cases.
        self.instruction.opcode() == LLVMOpcode::LLVMSwitch && self.operand != Some(0)
    }

    /// The function that is called here and the argument that the constant is.
    pub(crate) fn argument(self) -> Option<(String, u32)> {
        let index = self.operand?;
        if self.instruction.opcode() != LLVMOpcode::LLVMCall || index >= self.instruction.argument_count() {
            return None;
        }
        let called = self.instruction.called().filter(|called| called.is_function())?;
        Some((called.name(), index))
    }

    /// For people. LLVM's own printer numbers the whole module for each instruction that it prints.
    pub(crate) fn describe(self) -> String {
        let opcode = format!("{:?}", self.instruction.opcode());
        let opcode = opcode.trim_start_matches("LLVM").to_ascii_lowercase();
        match self.instruction.called_function_name() {
            Some(name) => format!("{opcode} of {name}"),
            None => opcode,
        }
    }
}
