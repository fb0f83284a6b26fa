//! Constant expressions as instructions.

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::LLVMOpcode;

use crate::builder::{is_inbounds, Binary, Builder, Cast};
use crate::value::Value;

fn cast(opcode: LLVMOpcode) -> Option<Cast> {
    use LLVMOpcode::*;
    Some(match opcode {
        LLVMTrunc => LLVMBuildTrunc,
        LLVMZExt => LLVMBuildZExt,
        LLVMSExt => LLVMBuildSExt,
        LLVMFPToUI => LLVMBuildFPToUI,
        LLVMFPToSI => LLVMBuildFPToSI,
        LLVMUIToFP => LLVMBuildUIToFP,
        LLVMSIToFP => LLVMBuildSIToFP,
        LLVMFPTrunc => LLVMBuildFPTrunc,
        LLVMFPExt => LLVMBuildFPExt,
        LLVMPtrToInt => LLVMBuildPtrToInt,
        LLVMIntToPtr => LLVMBuildIntToPtr,
        LLVMBitCast => LLVMBuildBitCast,
        LLVMAddrSpaceCast => LLVMBuildAddrSpaceCast,
        _ => return None,
    })
}

fn binary(opcode: LLVMOpcode) -> Option<Binary> {
    use LLVMOpcode::*;
    Some(match opcode {
        LLVMAdd => LLVMBuildAdd,
        LLVMFAdd => LLVMBuildFAdd,
        LLVMSub => LLVMBuildSub,
        LLVMFSub => LLVMBuildFSub,
        LLVMMul => LLVMBuildMul,
        LLVMFMul => LLVMBuildFMul,
        LLVMUDiv => LLVMBuildUDiv,
        LLVMSDiv => LLVMBuildSDiv,
        LLVMFDiv => LLVMBuildFDiv,
        LLVMURem => LLVMBuildURem,
        LLVMSRem => LLVMBuildSRem,
        LLVMFRem => LLVMBuildFRem,
        LLVMShl => LLVMBuildShl,
        LLVMLShr => LLVMBuildLShr,
        LLVMAShr => LLVMBuildAShr,
        LLVMAnd => LLVMBuildAnd,
        LLVMOr => LLVMBuildOr,
        LLVMXor => LLVMBuildXor,
        _ => return None,
    })
}

/// An instruction that computes what the constant expression `original` does, from `operands` instead of its
/// own.
///
/// `None` for an opcode that LLVM 9 has no constant of. Wrapping flags (`nsw`, `exact`, ...) are dropped:
/// that only promises less.
pub(crate) fn rebuild(builder: &Builder, original: Value, operands: &[Value]) -> Option<Value> {
    use LLVMOpcode::*;
    let opcode = original.const_opcode()?;
    if let (Some(cast), [operand]) = (cast(opcode), operands) {
        return Some(builder.cast(cast, *operand, original.ty()));
    }
    if let (Some(binary), [left, right]) = (binary(opcode), operands) {
        return Some(builder.binary(binary, *left, *right));
    }
    match (opcode, operands) {
        (LLVMGetElementPtr, [base, indices @ ..]) => Some(builder.gep(*base, indices, is_inbounds(original))),
        (LLVMICmp, [left, right]) => Some(builder.int_compare(original, *left, *right)),
        (LLVMFCmp, [left, right]) => Some(builder.real_compare(original, *left, *right)),
        (LLVMFNeg, [operand]) => Some(builder.negate_real(*operand)),
        (LLVMSelect, [condition, then, otherwise]) => Some(builder.select(*condition, *then, *otherwise)),
        (LLVMExtractElement, [vector, index]) => Some(builder.extract_element(*vector, *index)),
        (LLVMInsertElement, [vector, element, index]) => {
            Some(builder.insert_element(*vector, *element, *index))
        }
        (LLVMShuffleVector, [left, right, mask]) => Some(builder.shuffle(*left, *right, *mask)),
        (LLVMExtractValue, [aggregate]) => Some(builder.extract_value(*aggregate, &original.indices())),
        (LLVMInsertValue, [aggregate, element]) => {
            Some(builder.insert_value(*aggregate, *element, &original.indices()))
        }
        _ => None,
    }
}
