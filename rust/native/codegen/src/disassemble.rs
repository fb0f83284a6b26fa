//! Machine code as text, to say where two pieces of it differ.

use std::ffi::{c_char, CStr};

use inkwell::llvm_sys::disassembler::{
    LLVMCreateDisasm, LLVMDisasmContextRef, LLVMDisasmDispose, LLVMDisasmInstruction,
};
use inkwell::targets::TargetMachine;

use crate::target::initialise;

/// LLVM's disassembler for this machine.
#[derive(Debug)]
pub struct Disassembler {
    context: LLVMDisasmContextRef,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Where it begins.
    pub address: u64,
    /// How many bytes it has.
    pub length: u64,
    /// As an assembler writes it.
    pub text: String,
}

/// Longer than any instruction as text.
const ROOM: usize = 512;

impl Disassembler {
    /// `None` if LLVM has none.
    #[must_use]
    pub fn new() -> Option<Self> {
        initialise();
        let triple = TargetMachine::get_default_triple();
        // SAFETY: the triple is a C string that LLVM copies; no callbacks.
        let context =
            unsafe { LLVMCreateDisasm(triple.as_str().as_ptr(), std::ptr::null_mut(), 0, None, None) };
        (!context.is_null()).then_some(Self { context })
    }

    /// The instructions of `code`, which lies at `address`, up to one that cannot be decoded.
    pub fn instructions(&self, code: &[u8], address: u64) -> Vec<Instruction> {
        let mut found = Vec::new();
        let mut at = 0;
        let mut room = [0 as c_char; ROOM];
        while at < code.len() {
            let rest = &code[at..];
            let here = address + at as u64;
            // SAFETY: LLVM reads `rest` (in spite of its type) and writes at most ROOM bytes, ended by a NUL.
            let length = unsafe {
                LLVMDisasmInstruction(
                    self.context,
                    rest.as_ptr().cast_mut(),
                    rest.len() as u64,
                    here,
                    room.as_mut_ptr(),
                    ROOM,
                )
            };
            if length == 0 {
                break;
            }
            // SAFETY: LLVM has ended the text.
            let text = unsafe { CStr::from_ptr(room.as_ptr()) }.to_string_lossy().trim().to_owned();
            found.push(Instruction { address: here, length: length as u64, text });
            at += length;
        }
        found
    }
}

impl Drop for Disassembler {
    fn drop(&mut self) {
        // SAFETY: made by LLVMCreateDisasm and not disposed of before.
        unsafe { LLVMDisasmDispose(self.context) }
    }
}
