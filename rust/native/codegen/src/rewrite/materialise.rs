//! Constant expressions as instructions.

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::LLVMOpcode;

use crate::error::CodegenError;
use crate::llvm::{is_inbounds, Binary, Builder, Cast, Value};

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

/// An instruction that computes what the constant expression `original` does, from `operands` instead of its own.
///
/// `None` for an opcode that LLVM 9 has no constant of. Wrapping flags (`nsw`, `exact`, ...) are dropped: that only
/// promises less.
pub(crate) fn rebuild<'m>(
    builder: &Builder<'m>,
    original: Value<'m>,
    operands: &[Value<'m>],
) -> Result<Option<Value<'m>>, CodegenError> {
    use LLVMOpcode::*;
    let Some(opcode) = original.const_opcode() else { return Ok(None) };
    if let (Some(cast), [operand]) = (cast(opcode), operands) {
        return builder.cast(cast, *operand, original.ty()).map(Some);
    }
    if let (Some(binary), [left, right]) = (binary(opcode), operands) {
        return builder.binary(binary, *left, *right).map(Some);
    }
    let made = match (opcode, operands) {
        (LLVMGetElementPtr, [base, indices @ ..]) => builder.gep(*base, indices, is_inbounds(original)?),
        (LLVMICmp | LLVMFCmp, [left, right]) => return builder.compare(original, *left, *right),
        (LLVMFNeg, [operand]) => builder.negate_real(*operand),
        (LLVMSelect, [condition, then, otherwise]) => builder.select(*condition, *then, *otherwise),
        (LLVMExtractElement, [vector, index]) => builder.extract_element(*vector, *index),
        (LLVMInsertElement, [vector, element, index]) => builder.insert_element(*vector, *element, *index),
        (LLVMShuffleVector, [left, right, mask]) => builder.shuffle(*left, *right, *mask),
        (LLVMExtractValue, [aggregate]) => builder.extract_value(*aggregate, &original.indices()),
        (LLVMInsertValue, [aggregate, element]) => {
            builder.insert_value(*aggregate, *element, &original.indices())
        }
        _ => return Ok(None),
    };
    made.map(Some)
}
