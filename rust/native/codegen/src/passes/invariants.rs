//! Checks the rules of Julia's garbage collector for LLVM's IR.
//!
//! The just-in-time compiler checks them after optimisation (`GCInvariantVerifier`) and aborts the process if one is
//! broken, which LLVM 9 can do to valid code. This checks the same rules and names the functions instead.

use inkwell::llvm_sys::LLVMOpcode;

use crate::error::Violation;
use crate::julia_1_5::{address_space as space, JLCALL_F_CC};
use crate::llvm::{Instruction, Module, Value};

/// The functions that break a rule. Each is listed once.
pub(super) fn violations(module: &Module) -> Vec<Violation> {
    module
        .defined_functions()
        .into_iter()
        .filter_map(|function| {
            let rule = function.instructions().find_map(broken_rule)?;
            Some(Violation { function: function.name(), rule })
        })
        .collect()
}

/// The rule that an instruction breaks.
fn broken_rule(instruction: Instruction<'_>) -> Option<&'static str> {
    let space_of = |value: Value<'_>| value.ty().address_space();
    let operand = |index| instruction.operand(index).map_or(0, space_of);
    let own = space_of(*instruction);
    let decayed = |space: u32| space == space::CALLEE_ROOTED || space == space::DERIVED;
    match instruction.opcode() {
        LLVMOpcode::LLVMAddrSpaceCast => {
            let from = operand(0);
            if from == 0 {
                None
            } else if from == space::LOADED || own == space::LOADED {
                Some("address space cast of a loaded pointer")
            } else if from == space::TRACKED && !decayed(own) {
                Some("address space cast from a tracked pointer")
            } else if decayed(from) {
                Some("address space cast from a decayed pointer")
            } else {
                None
            }
        }
        LLVMOpcode::LLVMStore if decayed(operand(0)) => Some("store of a decayed pointer"),
        LLVMOpcode::LLVMStore if operand(1) == space::CALLEE_ROOTED => {
            Some("store to a callee rooted pointer")
        }
        LLVMOpcode::LLVMLoad if decayed(own) => Some("load of a decayed pointer"),
        LLVMOpcode::LLVMLoad if operand(0) == space::CALLEE_ROOTED => {
            Some("load from a callee rooted pointer")
        }
        LLVMOpcode::LLVMRet if space::is_special(operand(0)) && operand(0) != space::TRACKED => {
            Some("return of a pointer that is not tracked")
        }
        LLVMOpcode::LLVMIntToPtr if space::is_special(own) => {
            Some("inttoptr of a pointer that the collector knows")
        }
        LLVMOpcode::LLVMPtrToInt if space::is_special(operand(0)) => {
            Some("ptrtoint of a pointer that the collector knows")
        }
        _ => instruction.as_call().and_then(|call| {
            let jlcall = [JLCALL_F_CC, JLCALL_F_CC + 1].contains(&call.convention());
            let untracked = |index| operand(index) != space::TRACKED;
            (jlcall && (0..call.argument_count()).any(untracked))
                .then_some("argument of a generic call that is not tracked")
        }),
    }
}
