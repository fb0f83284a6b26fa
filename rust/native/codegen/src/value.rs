//! LLVM values without types.
//!
//! inkwell gives values Rust types. Rewriting walks over *all* operands of all instructions, among them
//! tokens, labels and metadata, for which inkwell has no type and panics; so the walk is done on this thin
//! layer over `llvm_sys`, and inkwell is used wherever the type is known.

use std::collections::HashSet;

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::*;
use inkwell::llvm_sys::{
    LLVMIntPredicate, LLVMLinkage, LLVMOpcode, LLVMRealPredicate, LLVMTypeKind, LLVMValueKind,
};

/// Calls LLVM.
///
/// # Safety
/// For all uses in this file: a [`Value`] or [`Type`] is only made by `from_raw`, whose caller promises that
/// the reference belongs to a living module or context, or from another one by LLVM itself; and whoever
/// deletes a value promises (`Value::delete_*` are unsafe) that nothing refers to it any longer. What a
/// method additionally demands (a constant integer, an instruction, ...) is checked by it or stated in its
/// comment and ensured by the callers, all in this crate.
macro_rules! llvm {
    ($($call:tt)*) => {
        // SAFETY: see the macro.
        unsafe { $($call)* }
    };
}

/// Any value of an LLVM module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Value(LLVMValueRef);

/// A type of LLVM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Type(LLVMTypeRef);

impl Value {
    /// # Safety
    /// `raw` is a value of a living module.
    pub(crate) unsafe fn from_raw(raw: LLVMValueRef) -> Option<Self> {
        (!raw.is_null()).then_some(Self(raw))
    }

    fn new(raw: LLVMValueRef) -> Option<Self> {
        (!raw.is_null()).then_some(Self(raw))
    }

    pub(crate) fn raw(self) -> LLVMValueRef {
        self.0
    }

    pub(crate) fn kind(self) -> LLVMValueKind {
        llvm!(LLVMGetValueKind(self.0))
    }

    pub(crate) fn ty(self) -> Type {
        Type(llvm!(LLVMTypeOf(self.0)))
    }

    pub(crate) fn is_constant(self) -> bool {
        llvm!(LLVMIsConstant(self.0)) != 0
    }

    /// Empty for values without a name.
    pub(crate) fn name(self) -> String {
        let mut length = 0;
        let text = llvm!(LLVMGetValueName2(self.0, &mut length));
        if text.is_null() || length == 0 {
            return String::new();
        }
        // SAFETY: LLVM returns `length` bytes that live as long as the value keeps its name; they are copied
        // here.
        let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
        String::from_utf8_lossy(bytes).into_owned()
    }

    pub(crate) fn set_name(self, name: &str) {
        llvm!(LLVMSetValueName2(self.0, name.as_ptr().cast(), name.len()));
    }

    // ---- operands ----

    pub(crate) fn operand_count(self) -> u32 {
        u32::try_from(llvm!(LLVMGetNumOperands(self.0))).unwrap_or(0)
    }

    /// Operand `index` of a user (instruction, constant expression or aggregate).
    pub(crate) fn operand(self, index: u32) -> Option<Self> {
        if index >= self.operand_count() {
            return None;
        }
        Self::new(llvm!(LLVMGetOperand(self.0, index)))
    }

    pub(crate) fn operands(self) -> impl Iterator<Item = Self> {
        (0..self.operand_count()).filter_map(move |index| self.operand(index))
    }

    /// Operand `index` must exist and `value` have its type.
    pub(crate) fn set_operand(self, index: u32, value: Self) {
        llvm!(LLVMSetOperand(self.0, index, value.0));
    }

    pub(crate) fn replace_all_uses_with(self, other: Self) {
        llvm!(LLVMReplaceAllUsesWith(self.0, other.0));
    }

    /// Everything that has this value as an operand; one that has it twice comes twice.
    pub(crate) fn users(self) -> Vec<Self> {
        let mut users = Vec::new();
        let mut next = llvm!(LLVMGetFirstUse(self.0));
        while !next.is_null() {
            users.extend(Self::new(llvm!(LLVMGetUser(next))));
            next = llvm!(LLVMGetNextUse(next));
        }
        users
    }

    // ---- constants ----

    pub(crate) fn is_constant_int(self) -> bool {
        self.kind() == LLVMValueKind::LLVMConstantIntValueKind
    }

    /// The value of a constant integer of at most 64 bits.
    pub(crate) fn small_int(self) -> Option<u64> {
        (self.is_constant_int() && self.ty().int_bits() <= 64)
            .then(|| llvm!(LLVMConstIntGetZExtValue(self.0)))
    }

    /// Is this a call of `opcode` on constants?
    pub(crate) fn const_opcode(self) -> Option<LLVMOpcode> {
        (self.kind() == LLVMValueKind::LLVMConstantExprValueKind).then(|| llvm!(LLVMGetConstOpcode(self.0)))
    }

    /// Element of a `ConstantDataArray` or `ConstantDataVector`; `index` must be in range.
    pub(crate) fn data_element(self, index: u32) -> Option<Self> {
        Self::new(llvm!(LLVMGetElementAsConstant(self.0, index)))
    }

    pub(crate) fn int_predicate(self) -> LLVMIntPredicate {
        llvm!(LLVMGetICmpPredicate(self.0))
    }

    pub(crate) fn real_predicate(self) -> LLVMRealPredicate {
        llvm!(LLVMGetFCmpPredicate(self.0))
    }

    /// Indices of a constant `extractvalue` or `insertvalue`.
    pub(crate) fn indices(self) -> Vec<u32> {
        let count = llvm!(LLVMGetNumIndices(self.0)) as usize;
        let first = llvm!(LLVMGetIndices(self.0));
        if first.is_null() {
            return Vec::new();
        }
        // SAFETY: LLVM returns a pointer to `count` indices that belong to the constant; they are copied
        // here.
        unsafe { std::slice::from_raw_parts(first, count) }.to_vec()
    }

    // ---- instructions ----

    pub(crate) fn is_instruction(self) -> bool {
        self.kind() == LLVMValueKind::LLVMInstructionValueKind
    }

    /// Of an instruction.
    pub(crate) fn opcode(self) -> LLVMOpcode {
        llvm!(LLVMGetInstructionOpcode(self.0))
    }

    pub(crate) fn next_instruction(self) -> Option<Self> {
        Self::new(llvm!(LLVMGetNextInstruction(self.0)))
    }

    /// The function that an instruction stands in.
    pub(crate) fn parent_function(self) -> Option<Self> {
        if !self.is_instruction() {
            return None;
        }
        let block = llvm!(LLVMGetInstructionParent(self.0));
        if block.is_null() {
            return None;
        }
        Self::new(llvm!(LLVMGetBasicBlockParent(block)))
    }

    /// Block from which operand `index` of a PHI comes.
    pub(crate) fn incoming_block(self, index: u32) -> Block {
        Block(llvm!(LLVMGetIncomingBlock(self.0, index)))
    }

    /// Number of arguments of a call; operand bundles and the callee come after them.
    pub(crate) fn argument_count(self) -> u32 {
        llvm!(LLVMGetNumArgOperands(self.0))
    }

    /// What a call calls.
    pub(crate) fn called(self) -> Option<Self> {
        Self::new(llvm!(LLVMGetCalledValue(self.0)))
    }

    /// Name of the function that a call calls directly.
    pub(crate) fn called_function_name(self) -> Option<String> {
        if self.opcode() != LLVMOpcode::LLVMCall {
            return None;
        }
        self.called().filter(|called| called.is_function()).map(Self::name)
    }

    pub(crate) fn call_convention(self) -> u32 {
        llvm!(LLVMGetInstructionCallConv(self.0))
    }

    pub(crate) fn set_call_convention(self, convention: u32) {
        llvm!(LLVMSetInstructionCallConv(self.0, convention));
    }

    pub(crate) fn set_tail_call(self) {
        llvm!(LLVMSetTailCall(self.0, 1));
    }

    /// Type of one element of a stack variable.
    pub(crate) fn allocated_type(self) -> Option<Type> {
        (self.is_instruction() && self.opcode() == LLVMOpcode::LLVMAlloca)
            .then(|| Type(llvm!(LLVMGetAllocatedType(self.0))))
    }

    /// Of a stack variable; 0 if it has that of its type.
    pub(crate) fn alignment(self) -> u32 {
        llvm!(LLVMGetAlignment(self.0))
    }

    pub(crate) fn set_alignment(self, alignment: u32) {
        llvm!(LLVMSetAlignment(self.0, alignment));
    }

    /// Does the instruction stand in the first block of its function?
    pub(crate) fn is_in_entry_block(self) -> bool {
        let block = llvm!(LLVMGetInstructionParent(self.0));
        self.parent_function().is_some_and(|function| llvm!(LLVMGetEntryBasicBlock(function.0)) == block)
    }

    /// # Safety
    /// Nothing uses the instruction, and nobody keeps its `Value`.
    pub(crate) unsafe fn delete_instruction(self) {
        llvm!(LLVMInstructionEraseFromParent(self.0));
    }

    // ---- functions and globals ----

    pub(crate) fn is_function(self) -> bool {
        self.kind() == LLVMValueKind::LLVMFunctionValueKind
    }

    pub(crate) fn is_global_variable(self) -> bool {
        self.kind() == LLVMValueKind::LLVMGlobalVariableValueKind
    }

    /// Of a function or global variable: it has no body or initialiser here.
    pub(crate) fn is_declaration(self) -> bool {
        llvm!(LLVMIsDeclaration(self.0)) != 0
    }

    pub(crate) fn is_defined_function(self) -> bool {
        self.is_function() && !self.is_declaration()
    }

    /// `llvm.*`
    pub(crate) fn is_intrinsic(self) -> bool {
        llvm!(LLVMGetIntrinsicID(self.0)) != 0
    }

    pub(crate) fn initializer(self) -> Option<Self> {
        Self::new(llvm!(LLVMGetInitializer(self.0)))
    }

    pub(crate) fn set_initializer(self, constant: Self) {
        llvm!(LLVMSetInitializer(self.0, constant.0));
    }

    pub(crate) fn is_global_constant(self) -> bool {
        llvm!(LLVMIsGlobalConstant(self.0)) != 0
    }

    pub(crate) fn set_constant(self) {
        llvm!(LLVMSetGlobalConstant(self.0, 1));
    }

    pub(crate) fn set_linkage(self, linkage: LLVMLinkage) {
        llvm!(LLVMSetLinkage(self.0, linkage));
    }

    /// The type of what a global value points to.
    pub(crate) fn value_type(self) -> Type {
        Type(llvm!(LLVMGlobalGetValueType(self.0)))
    }

    pub(crate) fn params(self) -> Vec<Self> {
        let count = llvm!(LLVMCountParams(self.0));
        (0..count).filter_map(|index| Self::new(llvm!(LLVMGetParam(self.0, index)))).collect()
    }

    pub(crate) fn blocks(self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut next = llvm!(LLVMGetFirstBasicBlock(self.0));
        while !next.is_null() {
            blocks.push(Block(next));
            next = llvm!(LLVMGetNextBasicBlock(next));
        }
        blocks
    }

    /// All instructions of a function, as they stand now.
    pub(crate) fn instructions(self) -> impl Iterator<Item = Self> {
        self.blocks().into_iter().flat_map(|block| block.instructions())
    }

    /// # Safety
    /// Nothing outside of the function uses it, and nobody keeps its `Value` or one of its body.
    pub(crate) unsafe fn delete_function(self) {
        llvm!(LLVMDeleteFunction(self.0));
    }

    /// # Safety
    /// Nothing uses the global variable, and nobody keeps its `Value`.
    pub(crate) unsafe fn delete_global(self) {
        llvm!(LLVMDeleteGlobal(self.0));
    }
}

/// A basic block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Block(LLVMBasicBlockRef);

impl Block {
    /// # Safety
    /// `raw` is a block of a living module.
    pub(crate) unsafe fn from_raw(raw: LLVMBasicBlockRef) -> Self {
        Self(raw)
    }

    pub(crate) fn raw(self) -> LLVMBasicBlockRef {
        self.0
    }

    pub(crate) fn terminator(self) -> Option<Value> {
        Value::new(llvm!(LLVMGetBasicBlockTerminator(self.0)))
    }

    pub(crate) fn first_instruction(self) -> Option<Value> {
        Value::new(llvm!(LLVMGetFirstInstruction(self.0)))
    }

    pub(crate) fn instructions(self) -> impl Iterator<Item = Value> {
        std::iter::successors(self.first_instruction(), |instruction| instruction.next_instruction())
    }

    /// Moves the block to the end of `function`.
    pub(crate) fn move_to(self, function: Value) {
        llvm!(LLVMRemoveBasicBlockFromParent(self.0));
        llvm!(LLVMAppendExistingBasicBlock(function.raw(), self.0));
    }
}

/// Metadata of a context.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metadata(LLVMMetadataRef);

impl Metadata {
    /// # Safety
    /// `raw` is metadata of a living context.
    pub(crate) unsafe fn from_raw(raw: LLVMMetadataRef) -> Self {
        Self(raw)
    }

    pub(crate) fn raw(self) -> LLVMMetadataRef {
        self.0
    }
}

impl Type {
    /// # Safety
    /// `raw` is a type of a living context.
    pub(crate) unsafe fn from_raw(raw: LLVMTypeRef) -> Self {
        Self(raw)
    }

    pub(crate) fn raw(self) -> LLVMTypeRef {
        self.0
    }

    pub(crate) fn kind(self) -> LLVMTypeKind {
        llvm!(LLVMGetTypeKind(self.0))
    }

    /// Width of an integer type, 0 for any other.
    pub(crate) fn int_bits(self) -> u32 {
        if self.kind() == LLVMTypeKind::LLVMIntegerTypeKind {
            llvm!(LLVMGetIntTypeWidth(self.0))
        } else {
            0
        }
    }

    pub(crate) fn is_pointer(self) -> bool {
        self.kind() == LLVMTypeKind::LLVMPointerTypeKind
    }

    /// What a pointer points to, what an array or a vector consists of.
    pub(crate) fn element(self) -> Option<Self> {
        match self.kind() {
            LLVMTypeKind::LLVMPointerTypeKind
            | LLVMTypeKind::LLVMArrayTypeKind
            | LLVMTypeKind::LLVMVectorTypeKind => Some(Self(llvm!(LLVMGetElementType(self.0)))),
            _ => None,
        }
    }

    /// Number of elements of an array or a vector.
    pub(crate) fn length(self) -> u32 {
        match self.kind() {
            LLVMTypeKind::LLVMArrayTypeKind => llvm!(LLVMGetArrayLength(self.0)),
            LLVMTypeKind::LLVMVectorTypeKind => llvm!(LLVMGetVectorSize(self.0)),
            _ => 0,
        }
    }

    /// Types of the fields of a struct.
    pub(crate) fn fields(self) -> Vec<Self> {
        if self.kind() != LLVMTypeKind::LLVMStructTypeKind {
            return Vec::new();
        }
        let count = llvm!(LLVMCountStructElementTypes(self.0));
        (0..count).map(|index| Self(llvm!(LLVMStructGetTypeAtIndex(self.0, index)))).collect()
    }

    pub(crate) fn is_function(self) -> bool {
        self.kind() == LLVMTypeKind::LLVMFunctionTypeKind
    }

    pub(crate) fn is_vector(self) -> bool {
        self.kind() == LLVMTypeKind::LLVMVectorTypeKind
    }

    pub(crate) fn is_function_pointer(self) -> bool {
        self.is_pointer() && self.element().is_some_and(Self::is_function)
    }

    pub(crate) fn address_space(self) -> u32 {
        if self.is_pointer() {
            llvm!(LLVMGetPointerAddressSpace(self.0))
        } else {
            0
        }
    }

    /// `T*` in address space `space`.
    pub(crate) fn pointer(self, space: u32) -> Self {
        Self(llvm!(LLVMPointerType(self.0, space)))
    }

    /// `[length x T]`
    pub(crate) fn array(self, length: u32) -> Self {
        Self(llvm!(LLVMArrayType(self.0, length)))
    }

    pub(crate) fn undef(self) -> Value {
        Value(llvm!(LLVMGetUndef(self.0)))
    }

    pub(crate) fn null(self) -> Value {
        Value(llvm!(LLVMConstNull(self.0)))
    }

    /// A constant of this integer type.
    pub(crate) fn int(self, value: u64) -> Value {
        Value(llvm!(LLVMConstInt(self.0, value, 0)))
    }

    pub(crate) fn is_void(self) -> bool {
        self.kind() == LLVMTypeKind::LLVMVoidTypeKind
    }
}

/// The instructions that use `value`, directly or in a constant expression.
pub(crate) fn using_instructions(value: Value) -> Vec<Value> {
    let mut users = all_users(value);
    users.retain(|user| user.is_instruction());
    users
}

/// Does an instruction or the data of a variable use `value`? Constants that nothing uses do not count: they stay as
/// long as the context.
pub(crate) fn is_used(value: Value) -> bool {
    all_users(value).into_iter().any(|user| user.is_instruction() || user.is_global_variable())
}

/// Users, and users of constant expressions among them.
fn all_users(value: Value) -> Vec<Value> {
    let mut found = Vec::new();
    let mut pending = value.users();
    let mut seen = HashSet::new();
    while let Some(user) = pending.pop() {
        if seen.insert(user) {
            if !user.is_instruction() && !user.is_global_variable() {
                pending.extend(user.users());
            }
            found.push(user);
        }
    }
    found
}
