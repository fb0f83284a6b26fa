//! Constants made of other constants.

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::LLVMValueRef;
use inkwell::llvm_sys::LLVMTypeKind;

use super::{Type, Value};
use crate::error::CodegenError;

fn raw_values(values: &[Value<'_>]) -> Vec<LLVMValueRef> {
    values.iter().map(|value| value.raw()).collect()
}

/// A constant struct, array or vector of type `ty` with these elements. `None` if `ty` is something else.
pub(crate) fn aggregate<'m>(ty: Type<'m>, elements: &[Value<'m>]) -> Result<Option<Value<'m>>, CodegenError> {
    let mut raw = raw_values(elements);
    let count = raw.len() as u32;
    match (ty.kind(), ty.element()) {
        (LLVMTypeKind::LLVMStructTypeKind, _) => {
            // SAFETY: a living struct type, and `count` living constants.
            unsafe { Value::made(LLVMConstNamedStruct(ty.raw(), raw.as_mut_ptr(), count)) }.map(Some)
        }
        (LLVMTypeKind::LLVMArrayTypeKind, Some(element)) => {
            // SAFETY: a living type, and `count` living constants.
            unsafe { Value::made(LLVMConstArray(element.raw(), raw.as_mut_ptr(), count)) }.map(Some)
        }
        (LLVMTypeKind::LLVMVectorTypeKind, _) => {
            // SAFETY: `count` living constants.
            unsafe { Value::made(LLVMConstVector(raw.as_mut_ptr(), count)) }.map(Some)
        }
        _ => Ok(None),
    }
}

/// Is this constant `getelementptr` marked `inbounds`?
///
/// LLVM 9's C interface has no question for that. But constants are unique, so an `inbounds` one is what the
/// constructor returns for the same operands.
pub(crate) fn is_inbounds(gep: Value<'_>) -> Result<bool, CodegenError> {
    let mut operands = gep.operands();
    let Some(base) = operands.next() else { return Ok(false) };
    let mut raw = raw_values(&operands.collect::<Vec<_>>());
    let count = raw.len() as u32;
    // SAFETY: the living operands of a constant of this kind.
    Ok(unsafe { Value::made(LLVMConstInBoundsGEP(base.raw(), raw.as_mut_ptr(), count)) }? == gep)
}

/// `&array[0][index]` for a global array; the indices have the integer type `index_type`.
pub(crate) fn array_element<'m>(
    array: Value<'m>,
    index: u32,
    index_type: Type<'m>,
) -> Result<Value<'m>, CodegenError> {
    let mut indices = [index_type.int(0)?.raw(), index_type.int(u64::from(index))?.raw()];
    // SAFETY: a living constant that points to an array, and two living constants.
    unsafe { Value::made(LLVMConstInBoundsGEP(array.raw(), indices.as_mut_ptr(), indices.len() as u32)) }
}

/// `(narrow)((intptr)value - (intptr)base)` for two global values, which the linker computes.
pub(crate) fn difference<'m>(
    value: Value<'m>,
    base: Value<'m>,
    word: Type<'m>,
    narrow: Type<'m>,
) -> Result<Value<'m>, CodegenError> {
    // SAFETY: a living constant that is a pointer, and an integer type.
    let address = |global: Value<'m>| unsafe { Value::made(LLVMConstPtrToInt(global.raw(), word.raw())) };
    let (value, base) = (address(value)?, address(base)?);
    // SAFETY: two living constants of one integer type.
    let difference = unsafe { Value::made(LLVMConstSub(value.raw(), base.raw())) }?;
    truncated(difference, narrow)
}

/// The lowest bits of a constant integer.
fn truncated<'m>(integer: Value<'m>, ty: Type<'m>) -> Result<Value<'m>, CodegenError> {
    // SAFETY: a living constant integer, and an integer type that is no wider.
    unsafe { Value::made(LLVMConstTrunc(integer.raw(), ty.raw())) }
}

/// The two halves of a constant integer of more than 64 bits, as far as 128 bits; `None` for a wider one.
pub(crate) fn wide_words<'m>(constant: Value<'m>, word: Type<'m>) -> Result<Option<[u64; 2]>, CodegenError> {
    if !(65..=128).contains(&constant.ty().int_bits()) {
        return Ok(None);
    }
    let sixty_four = constant.ty().int(64)?;
    // LLVM folds all of these to constant integers.
    // SAFETY: two living constants of one integer type.
    let high = unsafe { Value::made(LLVMConstLShr(constant.raw(), sixty_four.raw())) }?;
    let (low, high) = (truncated(constant, word)?, truncated(high, word)?);
    Ok(low.small_int().zip(high.small_int()).map(|(low, high)| [low, high]))
}
