//! Keeps arguments out of frames. In Julia's generic calling convention, `(function, arguments, count)`, the caller
//! roots them.
//!
//! `LateLowerGCFrame` knows that of a value that is loaded directly from the array of arguments (`LooksLikeFrameRef`),
//! but it does not look through casts of the pointer. LLVM inserts such a cast wherever the value is read as a
//! structure, so each such function would root what its caller already roots. Here the cast moves behind the load.

use inkwell::llvm_sys::LLVMOpcode;

use super::gc_frame::is_root;
use crate::error::CodegenError;
use crate::llvm::{Cast, Function, Instruction, Module, Value};

/// The array of arguments, if the function has this calling convention.
fn argument_array(function: Function<'_>) -> Option<Value<'_>> {
    let [callee, array, count] = function.params()[..] else { return None };
    let generic = is_root(callee.ty())
        && array.ty().is_pointer()
        && array.ty().address_space() == 0
        && array.ty().pointee().is_some_and(is_root)
        && count.ty().int_bits() == 32;
    generic.then_some(array)
}

/// The place in the array of arguments to which this is a cast pointer.
fn place_of<'m>(cast: Value<'m>, array: Value<'m>) -> Option<Value<'m>> {
    if cast.as_instruction()?.opcode() != LLVMOpcode::LLVMBitCast {
        return None;
    }
    let place = cast.operand(0)?;
    let mut base = place;
    while base != array {
        if base.as_instruction()?.opcode() != LLVMOpcode::LLVMGetElementPtr {
            return None;
        }
        base = base.operand(0)?;
    }
    Some(place)
}

/// Moves casts behind the loads of arguments.
pub(super) fn load_before_cast(module: &Module) -> Result<(), CodegenError> {
    let builder = module.builder();
    for function in module.defined_functions() {
        let Some(array) = argument_array(function) else { continue };
        let loads: Vec<(Instruction<'_>, Value<'_>)> = function
            .instructions()
            .filter(|load| load.opcode() == LLVMOpcode::LLVMLoad && is_root(load.ty()))
            .filter_map(|load| Some((load, place_of(load.operand(0)?, array)?)))
            .collect();
        for (load, place) in loads {
            let Some(element) = place.ty().pointee() else { continue };
            builder.before(load);
            let plain = builder.load(element, place)?;
            let cast = builder.cast(Cast::BIT_CAST, *plain, load.ty())?;
            load.replace_all_uses_with(cast);
            // SAFETY: nothing uses it any longer, and it stands in this list once.
            unsafe { load.delete() };
        }
    }
    Ok(())
}
