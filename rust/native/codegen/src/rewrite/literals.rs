//! Which constants hold an address of this process.

use std::collections::{HashMap, HashSet};

use inkwell::llvm_sys::{LLVMOpcode, LLVMValueKind};

use super::addresses::Addresses;
use crate::error::CodegenError;
use crate::llvm::{wide_words, Type, Value};

/// A smaller pointer constant is null or a sentinel of `ccall` (`JL_EXE_LIBNAME`, ...), never an address: Linux maps
/// nothing there.
const LOWEST_ADDRESS: u64 = 4096;

/// The address of `inttoptr (i64 address to T)`.
pub(crate) fn pointer_literal(constant: Value<'_>) -> Option<u64> {
    if constant.const_opcode()? != LLVMOpcode::LLVMIntToPtr {
        return None;
    }
    constant.operand(0)?.small_int().filter(|&address| address >= LOWEST_ADDRESS)
}

/// The address behind any number of casts.
pub(super) fn cast_literal(mut constant: Value<'_>) -> Option<u64> {
    loop {
        if let Some(address) = pointer_literal(constant) {
            return Some(address);
        }
        match constant.const_opcode()? {
            LLVMOpcode::LLVMBitCast | LLVMOpcode::LLVMAddrSpaceCast => constant = constant.operand(0)?,
            _ => return None,
        }
    }
}

/// Knows which constants must be rewritten, at least in part.
#[derive(Default)]
pub(super) struct Literals<'m> {
    /// Functions and variables whose uses must be rewritten: functions that become slots, variables with an address in
    /// them.
    marked: HashSet<Value<'m>>,
    known: HashMap<Value<'m>, bool>,
}

impl<'m> Literals<'m> {
    /// From now on the uses of `global` must be rewritten.
    pub(super) fn mark(&mut self, global: Value<'m>) {
        // What is known of constants that contain it may be wrong now.
        self.known.clear();
        self.marked.insert(global);
    }

    /// Must anything in this constant be rewritten, or at least asked about?
    pub(super) fn holds_address(&mut self, value: Value<'m>, addresses: &dyn Addresses) -> bool {
        use LLVMValueKind::*;
        match value.kind() {
            LLVMFunctionValueKind | LLVMGlobalVariableValueKind => self.marked.contains(&value),
            LLVMConstantIntValueKind => is_candidate(value, addresses),
            LLVMConstantExprValueKind
            | LLVMConstantStructValueKind
            | LLVMConstantArrayValueKind
            | LLVMConstantVectorValueKind
            | LLVMConstantDataArrayValueKind
            | LLVMConstantDataVectorValueKind => {
                if let Some(&known) = self.known.get(&value) {
                    return known;
                }
                let holds = pointer_literal(value).is_some()
                    || components(value).into_iter().any(|part| self.holds_address(part, addresses));
                self.known.insert(value, holds);
                holds
            }
            _ => false,
        }
    }
}

fn is_candidate(value: Value<'_>, addresses: &dyn Addresses) -> bool {
    match value.ty().int_bits() {
        0..=63 => false,
        64 => value.small_int().is_some_and(|number| addresses.is_candidate(number)),
        // Wider integers are rare. They are looked at word by word when they are rewritten.
        _ => true,
    }
}

/// What a constant consists of: the operands of an expression or the elements of an aggregate. Data of elements smaller
/// than a word has no components, since no address fits into them.
pub(crate) fn components(constant: Value<'_>) -> Vec<Value<'_>> {
    use LLVMValueKind::*;
    match constant.kind() {
        LLVMConstantDataArrayValueKind | LLVMConstantDataVectorValueKind => {
            let ty = constant.ty();
            let words = ty.element().is_some_and(|element| element.int_bits() >= 64);
            let length = if words { ty.length() } else { 0 };
            (0..length).filter_map(|index| constant.data_element(index)).collect()
        }
        LLVMConstantExprValueKind
        | LLVMConstantStructValueKind
        | LLVMConstantArrayValueKind
        | LLVMConstantVectorValueKind => constant.operands().collect(),
        _ => Vec::new(),
    }
}

/// The words of a constant integer of at least 64 bits.
pub(super) fn words<'m>(constant: Value<'m>, word: Type<'m>) -> Result<Vec<u64>, CodegenError> {
    match constant.small_int() {
        Some(number) => Ok(vec![number]),
        None => Ok(wide_words(constant, word)?.map_or_else(Vec::new, Vec::from)),
    }
}
