//! Turns constant expressions into instructions.

use inkwell::llvm_sys::LLVMOpcode;

use crate::error::CodegenError;
use crate::llvm::{is_inbounds, Binary, Builder, Cast, Value};

/// Makes an instruction that does to `operands` what the constant expression `original` does to its own operands.
///
/// `None` for an opcode that constants of LLVM 9 do not have. Flags such as `nsw` and `exact` are dropped, which only
/// promises less.
pub(crate) fn rebuild<'m>(
    builder: &Builder<'m>,
    original: Value<'m>,
    operands: &[Value<'m>],
) -> Result<Option<Value<'m>>, CodegenError> {
    use LLVMOpcode::*;
    let Some(opcode) = original.const_opcode() else { return Ok(None) };
    if let (Some(cast), [operand]) = (Cast::of_opcode(opcode), operands) {
        return builder.cast(cast, *operand, original.ty()).map(Some);
    }
    if let (Some(binary), [left, right]) = (Binary::of_opcode(opcode), operands) {
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
