//! Lets code find the state of its thread by an addition.
//!
//! In code for other processes, Julia's `LowerPTLS` makes each function test whether the state lies at a constant
//! offset from the thread pointer, and call a getter if it does not. The loader installs nothing in a process without
//! such an offset (`Reason::ThreadState`). So the test is removed, and what remains is the addition that the
//! just-in-time compiler uses too.

use inkwell::llvm_sys::{LLVMIntPredicate, LLVMLinkage};

use crate::error::CodegenError;
use crate::julia_1_5::PTLS_GETTER;
use crate::llvm::{using_instructions, Alias, Instruction, Module, Value};
use crate::symbols::symbol;

/// Makes every such test true, and lets the getter's variable be deleted once nothing uses it.
pub(super) fn assume_constant_offset(module: &Module) -> Result<(), CodegenError> {
    let offset = module.alias(symbol::TLS_OFFSET).and_then(Alias::variable);
    for load in offset.into_iter().flat_map(|offset| using_instructions(**offset)) {
        for test in using_instructions(*load).into_iter().filter(|user| is_test(*user, load)) {
            test.replace_all_uses_with(test.ty().int(1)?);
        }
    }
    if let Some(getter) = module.alias(PTLS_GETTER) {
        getter.set_linkage(LLVMLinkage::LLVMInternalLinkage);
    }
    Ok(())
}

/// `icmp ne %load, 0`
fn is_test(user: Instruction<'_>, load: Instruction<'_>) -> bool {
    user.int_predicate() == Some(LLVMIntPredicate::LLVMIntNE)
        && user.operand(0) == Some(*load)
        && user.operand(1).and_then(Value::small_int) == Some(0)
}
