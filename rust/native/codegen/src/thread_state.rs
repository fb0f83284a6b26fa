//! How code finds the state of its thread.
//!
//! In code for other processes Julia's `LowerPTLS` tests in each function whether the state lies at a constant offset from
//! the thread pointer, and calls a getter where it does not. The loader installs nothing in such a process
//! (`Reason::ThreadState`), so the test goes: what is left is the addition that the just-in-time compiler has, too.

use inkwell::llvm_sys::{LLVMIntPredicate, LLVMLinkage, LLVMOpcode};

use crate::finish::symbol;
use crate::handle::Handle;
use crate::julia_1_5::PTLS_GETTER;
use crate::value::{using_instructions, Value};

/// Makes every such test true, and the getter's variable one that goes once nothing uses it.
pub(crate) fn assume_constant_offset(handle: &Handle) {
    for load in handle.aliased_variable(symbol::TLS_OFFSET).into_iter().flat_map(using_instructions) {
        for test in using_instructions(load).into_iter().filter(|user| is_test(*user, load)) {
            test.replace_all_uses_with(test.ty().int(1));
        }
    }
    if let Some(getter) = handle.alias(PTLS_GETTER) {
        getter.set_linkage(LLVMLinkage::LLVMInternalLinkage);
    }
}

/// `icmp ne %load, 0`
fn is_test(user: Value, load: Value) -> bool {
    user.opcode() == LLVMOpcode::LLVMICmp
        && user.int_predicate() == LLVMIntPredicate::LLVMIntNE
        && user.operand(0) == Some(load)
        && user.operand(1).and_then(Value::small_int) == Some(0)
}
