//! Machine code as text, to say where two pieces of it differ.

use std::ffi::{c_char, CStr};

use inkwell::llvm_sys::disassembler::{
    LLVMCreateDisasm, LLVMDisasmContextRef, LLVMDisasmDispose, LLVMDisasmInstruction,
};
use inkwell::targets::TargetMachine;

use super::initialise_targets;

/// LLVM's disassembler for this machine.
#[derive(Debug)]
pub struct Disassembler {
    context: LLVMDisasmContextRef,
}

/// One instruction of machine code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineInstruction {
    /// Where it begins.
    pub address: u64,
    /// How many bytes it has.
    pub length: u64,
    /// What an assembler would call it.
    pub text: String,
}

/// Longer than any instruction as text.
const ROOM: usize = 512;

impl Disassembler {
    /// A new disassembler; `None` if LLVM has none for this machine.
    #[must_use]
    pub fn new() -> Option<Self> {
        initialise_targets();
        let triple = TargetMachine::get_default_triple();
        // SAFETY: the triple is a C string that LLVM copies. There are no callbacks.
        let context =
            unsafe { LLVMCreateDisasm(triple.as_str().as_ptr(), std::ptr::null_mut(), 0, None, None) };
        (!context.is_null()).then_some(Self { context })
    }

    /// The instructions of `code`, which lies at `address`, up to one that cannot be decoded.
    #[must_use]
    pub fn instructions(&self, code: &[u8], address: u64) -> Vec<MachineInstruction> {
        let mut found = Vec::new();
        let mut rest = code;
        let mut address = address;
        while let Some((length, text)) = self.first(rest, address) {
            found.push(MachineInstruction { address, length: length as u64, text });
            address += length as u64;
            rest = rest.get(length..).unwrap_or_default();
        }
        found
    }

    /// Length and text of the first instruction.
    fn first(&self, code: &[u8], address: u64) -> Option<(usize, String)> {
        let mut room = [0 as c_char; ROOM];
        // SAFETY: LLVM reads `code` (in spite of its type) and writes at most ROOM bytes, ended by a NUL.
        let length = unsafe {
            LLVMDisasmInstruction(
                self.context,
                code.as_ptr().cast_mut(),
                code.len() as u64,
                address,
                room.as_mut_ptr(),
                ROOM,
            )
        };
        if length == 0 {
            return None;
        }
        // SAFETY: LLVM has ended the text.
        let text = unsafe { CStr::from_ptr(room.as_ptr()) }.to_string_lossy().trim().to_owned();
        Some((length, text))
    }
}

impl Drop for Disassembler {
    fn drop(&mut self) {
        // SAFETY: made by LLVMCreateDisasm and not disposed of before.
        unsafe { LLVMDisasmDispose(self.context) }
    }
}
