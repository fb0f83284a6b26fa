//! Any value of a module.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::ptr::NonNull;

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::LLVMValueRef;
use inkwell::llvm_sys::{LLVMIntPredicate, LLVMOpcode, LLVMRealPredicate, LLVMValue, LLVMValueKind};

use super::{Instruction, Module, Type};
use crate::error::CodegenError;

/// Any value of an LLVM module that lives as long as `'m`, or a constant of its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Value<'m> {
    raw: NonNull<LLVMValue>,
    module: PhantomData<&'m Module>,
}

impl<'m> Value<'m> {
    /// The value behind a pointer of LLVM; `None` for null.
    ///
    /// # Safety
    /// `raw` is null or a value that lives as long as `'m`.
    pub(crate) unsafe fn from_raw(raw: LLVMValueRef) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { raw, module: PhantomData })
    }

    /// The value that a function of LLVM has just made.
    ///
    /// # Errors
    /// `OutOfMemory` for null.
    ///
    /// # Safety
    /// `raw` is null or a value that lives as long as `'m`.
    pub(super) unsafe fn made(raw: LLVMValueRef) -> Result<Self, CodegenError> {
        // SAFETY: our caller promises it.
        unsafe { Self::from_raw(raw) }.ok_or(CodegenError::OutOfMemory)
    }

    pub(crate) fn raw(self) -> LLVMValueRef {
        self.raw.as_ptr()
    }

    pub(crate) fn kind(self) -> LLVMValueKind {
        // SAFETY: the value is alive.
        unsafe { LLVMGetValueKind(self.raw()) }
    }

    pub(crate) fn ty(self) -> Type<'m> {
        // SAFETY: the value is alive, and its type lives as long as its context.
        unsafe { Type::from_raw(LLVMTypeOf(self.raw())) }
    }

    pub(crate) fn is_constant(self) -> bool {
        // SAFETY: the value is alive.
        unsafe { LLVMIsConstant(self.raw()) != 0 }
    }

    /// Its name; empty for a value without one.
    pub(crate) fn name(self) -> String {
        let mut length = 0;
        // SAFETY: the value is alive.
        let text = unsafe { LLVMGetValueName2(self.raw(), &raw mut length) };
        if text.is_null() || length == 0 {
            return String::new();
        }
        // SAFETY: LLVM returns `length` bytes that live as long as the value keeps its name. They are copied here.
        let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
        String::from_utf8_lossy(bytes).into_owned()
    }

    pub(crate) fn set_name(self, name: &str) {
        // SAFETY: the value is alive, and LLVM copies the name.
        unsafe { LLVMSetValueName2(self.raw(), name.as_ptr().cast(), name.len()) };
    }

    // ---- operands ----

    /// Can it have operands? LLVM may only be asked for the operands of a `User`.
    fn is_user(self) -> bool {
        use LLVMValueKind::*;
        !matches!(
            self.kind(),
            LLVMArgumentValueKind
                | LLVMBasicBlockValueKind
                | LLVMMemoryUseValueKind
                | LLVMMemoryDefValueKind
                | LLVMMemoryPhiValueKind
                | LLVMMetadataAsValueValueKind
                | LLVMInlineAsmValueKind
        )
    }

    pub(crate) fn operand_count(self) -> u32 {
        if !self.is_user() {
            return 0;
        }
        // SAFETY: the value is alive and a user.
        u32::try_from(unsafe { LLVMGetNumOperands(self.raw()) }).unwrap_or(0)
    }

    /// Operand `index` of an instruction, a constant expression or an aggregate.
    pub(crate) fn operand(self, index: u32) -> Option<Self> {
        if index >= self.operand_count() {
            return None;
        }
        // SAFETY: the value is a user that has such an operand, which lives as long as the value.
        unsafe { Self::from_raw(LLVMGetOperand(self.raw(), index)) }
    }

    pub(crate) fn operands(self) -> impl Iterator<Item = Self> {
        (0..self.operand_count()).filter_map(move |index| self.operand(index))
    }

    /// Makes all users of this value use `other`, of the same type, instead.
    pub(crate) fn replace_all_uses_with(self, other: Self) {
        // SAFETY: both values are alive.
        unsafe { LLVMReplaceAllUsesWith(self.raw(), other.raw()) };
    }

    /// All users of this value. A user with two such operands is listed twice.
    pub(crate) fn users(self) -> Vec<Self> {
        let mut users = Vec::new();
        // SAFETY: the value is alive.
        let mut next = unsafe { LLVMGetFirstUse(self.raw()) };
        while !next.is_null() {
            // SAFETY: a use of a living value has a living user, and the list does not change meanwhile.
            unsafe {
                users.extend(Self::from_raw(LLVMGetUser(next)));
                next = LLVMGetNextUse(next);
            }
        }
        users
    }

    // ---- constants ----

    pub(crate) fn is_constant_int(self) -> bool {
        self.kind() == LLVMValueKind::LLVMConstantIntValueKind
    }

    /// The value of a constant integer of at most 64 bits.
    pub(crate) fn small_int(self) -> Option<u64> {
        // SAFETY: a constant integer, as is asked first, that fits into the result.
        (self.is_constant_int() && self.ty().int_bits() <= 64)
            .then(|| unsafe { LLVMConstIntGetZExtValue(self.raw()) })
    }

    /// The opcode of a constant expression.
    pub(crate) fn const_opcode(self) -> Option<LLVMOpcode> {
        // SAFETY: a constant expression, as is asked first.
        (self.kind() == LLVMValueKind::LLVMConstantExprValueKind)
            .then(|| unsafe { LLVMGetConstOpcode(self.raw()) })
    }

    /// Element `index` of a `ConstantDataArray` or `ConstantDataVector`.
    pub(crate) fn data_element(self, index: u32) -> Option<Self> {
        use LLVMValueKind::*;
        let is_data = matches!(self.kind(), LLVMConstantDataArrayValueKind | LLVMConstantDataVectorValueKind);
        if !is_data || index >= self.ty().length() {
            return None;
        }
        // SAFETY: the constant is of the right kind and has such an element.
        unsafe { Self::from_raw(LLVMGetElementAsConstant(self.raw(), index)) }
    }

    /// Is this an instruction or a constant expression with this opcode?
    fn does(self, opcode: LLVMOpcode) -> bool {
        self.const_opcode() == Some(opcode)
            || self.as_instruction().is_some_and(|instruction| instruction.opcode() == opcode)
    }

    /// The predicate of an `icmp`.
    pub(crate) fn int_predicate(self) -> Option<LLVMIntPredicate> {
        // SAFETY: an `icmp`, as is asked first.
        self.does(LLVMOpcode::LLVMICmp).then(|| unsafe { LLVMGetICmpPredicate(self.raw()) })
    }

    /// The predicate of an `fcmp`.
    pub(crate) fn real_predicate(self) -> Option<LLVMRealPredicate> {
        // SAFETY: an `fcmp`, as is asked first.
        self.does(LLVMOpcode::LLVMFCmp).then(|| unsafe { LLVMGetFCmpPredicate(self.raw()) })
    }

    /// The indices of a constant `extractvalue` or `insertvalue`.
    pub(crate) fn indices(self) -> Vec<u32> {
        use LLVMOpcode::*;
        if !matches!(self.const_opcode(), Some(LLVMExtractValue | LLVMInsertValue)) {
            return Vec::new();
        }
        // SAFETY: the constant is of a kind that has indices.
        let (count, first) = unsafe { (LLVMGetNumIndices(self.raw()) as usize, LLVMGetIndices(self.raw())) };
        if first.is_null() {
            return Vec::new();
        }
        // SAFETY: LLVM returns a pointer to `count` indices that belong to the constant. They are copied here.
        unsafe { std::slice::from_raw_parts(first, count) }.to_vec()
    }
}

/// The instructions that use `value`, directly or in a constant expression.
pub(crate) fn using_instructions(value: Value<'_>) -> Vec<Instruction<'_>> {
    all_users(value).into_iter().filter_map(Value::as_instruction).collect()
}

/// Does an instruction or the data of a variable use `value`?
///
/// Unused constants do not count. They live as long as the context.
pub(crate) fn is_used(value: Value<'_>) -> bool {
    all_users(value).into_iter().any(ends_a_chain)
}

/// Is this an instruction or a variable, rather than a constant that has users of its own?
fn ends_a_chain(user: Value<'_>) -> bool {
    use LLVMValueKind::*;
    matches!(user.kind(), LLVMInstructionValueKind | LLVMGlobalVariableValueKind)
}

/// The users of `value`, and those of the constants among them.
fn all_users(value: Value<'_>) -> Vec<Value<'_>> {
    let mut found = Vec::new();
    let mut pending = value.users();
    let mut seen = HashSet::new();
    while let Some(user) = pending.pop() {
        if seen.insert(user) {
            if !ends_a_chain(user) {
                pending.extend(user.users());
            }
            found.push(user);
        }
    }
    found
}
