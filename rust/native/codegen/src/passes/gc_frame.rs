//! Merges all arrays of roots in a function, so that they take a single place in its frame.
//!
//! `LateLowerGCFrame` moves stack variables that hold only roots and that a callee fills into the frame. Their order is
//! that of a hash table keyed by addresses of the compiler's own objects, so the frame would differ from process to
//! process. With a single variable there is nothing to order.

use inkwell::llvm_sys::{LLVMOpcode, LLVMTypeKind};

use crate::error::CodegenError;
use crate::julia_1_5::address_space as space;
use crate::llvm::{Alloca, Builder, Cast, Function, Instruction, Module, Type, Value};

/// The pointers in a type that the collector knows (`CountTrackedPointers`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tracked {
    count: u64,
    /// The type contains nothing else.
    all: bool,
}

fn tracked(ty: Type<'_>) -> Tracked {
    match ty.kind() {
        LLVMTypeKind::LLVMPointerTypeKind if space::is_special(ty.address_space()) => {
            Tracked { count: 1, all: true }
        }
        LLVMTypeKind::LLVMStructTypeKind => {
            let parts: Vec<Tracked> = ty.fields().into_iter().map(tracked).collect();
            let count = parts.iter().map(|part| part.count).sum();
            Tracked { count, all: count > 0 && parts.iter().all(|part| part.all) }
        }
        LLVMTypeKind::LLVMArrayTypeKind | LLVMTypeKind::LLVMVectorTypeKind => {
            let part = ty.element().map_or(Tracked { count: 0, all: false }, tracked);
            let count = part.count * u64::from(ty.length());
            Tracked { count, all: count > 0 && part.all }
        }
        _ => Tracked { count: 0, all: false },
    }
}

/// `%jl_value_t addrspace(10)*`
pub(super) fn is_root(ty: Type<'_>) -> bool {
    ty.is_pointer() && ty.address_space() == space::TRACKED
}

/// The pointer type in a type that consists only of roots.
fn root_type(ty: Type<'_>) -> Option<Type<'_>> {
    match ty.kind() {
        LLVMTypeKind::LLVMPointerTypeKind => is_root(ty).then_some(ty),
        LLVMTypeKind::LLVMStructTypeKind => ty.fields().into_iter().find_map(root_type),
        _ => ty.element().and_then(root_type),
    }
}

/// The stack variable into which a pointer points.
fn variable(mut pointer: Value<'_>) -> Option<Alloca<'_>> {
    loop {
        let instruction = pointer.as_instruction()?;
        match instruction.opcode() {
            LLVMOpcode::LLVMAlloca => return instruction.as_alloca(),
            LLVMOpcode::LLVMBitCast | LLVMOpcode::LLVMAddrSpaceCast | LLVMOpcode::LLVMGetElementPtr => {
                pointer = pointer.operand(0)?;
            }
            _ => return None,
        }
    }
}

/// The stack variable that the pass puts into its hash table because of this instruction, and the number of roots that
/// it assumes.
fn entry(instruction: Instruction<'_>) -> Option<(Alloca<'_>, u64)> {
    if instruction.as_call().is_some_and(|call| call.returns_by_argument()) {
        let result = tracked(instruction.operand(0)?.ty().pointee()?);
        let argument = if result.all { 0 } else { 1 };
        let variable = (result.count > 0).then(|| variable(instruction.operand(argument)?)).flatten()?;
        return (!is_root(variable.element_type())).then_some((variable, result.count));
    }
    if instruction.opcode() == LLVMOpcode::LLVMStore && tracked(instruction.operand(0)?.ty()).count > 0 {
        let variable = variable(instruction.operand(1)?)?;
        let ty = variable.element_type();
        let content = tracked(ty);
        return (!is_root(ty) && content.all).then_some((variable, content.count));
    }
    None
}

/// A stack variable of roots that becomes a part of the merged one.
struct RootArray<'m> {
    variable: Alloca<'m>,
    /// Number of roots in it.
    roots: u64,
    /// The greatest common divisor of the numbers of roots that the pass assumes for one of its elements.
    claimed: u64,
    alignment: u64,
}

/// The arrays of roots that the pass would put into its hash table. `None` if one of them cannot be moved.
fn root_arrays(function: Function<'_>) -> Option<Vec<RootArray<'_>>> {
    let mut arrays: Vec<RootArray<'_>> = Vec::new();
    for (variable, claimed) in function.instructions().filter_map(entry) {
        if let Some(known) = arrays.iter_mut().find(|array| array.variable == variable) {
            known.claimed = greatest_common_divisor(known.claimed, claimed);
            continue;
        }
        let content = tracked(variable.element_type());
        let elements = variable.operand(0)?.small_int()?;
        if !content.all || !variable.is_in_entry_block() {
            return None;
        }
        arrays.push(RootArray {
            variable,
            roots: content.count * elements,
            claimed,
            alignment: u64::from(variable.alignment()),
        });
    }
    Some(arrays)
}

/// For a number and 0 it is the number.
fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// Bytes of a root.
const ROOT_SIZE: u64 = 8;

/// Merges the arrays of roots in every function that has more than one.
pub(super) fn merge_root_arrays(module: &Module) -> Result<(), CodegenError> {
    let builder = module.builder();
    for function in module.defined_functions() {
        if let Some(arrays) = root_arrays(function).filter(|arrays| arrays.len() > 1) {
            merge(module, &builder, function, arrays)?;
        }
    }
    Ok(())
}

/// Replaces these arrays by parts of one stack variable at the beginning of the function.
fn merge<'m>(
    module: &'m Module,
    builder: &Builder<'m>,
    function: Function<'m>,
    arrays: Vec<RootArray<'m>>,
) -> Result<(), CodegenError> {
    let first = function.blocks().first().and_then(|entry| entry.first_instruction());
    let root = arrays.first().and_then(|array| root_type(array.variable.element_type()));
    let (Some(first), Some(root)) = (first, root) else { return Ok(()) };

    let mut offsets = Vec::new();
    let mut roots = 0_u64;
    for array in &arrays {
        roots = roots.next_multiple_of((array.alignment / ROOT_SIZE).max(1));
        offsets.push(roots);
        roots += array.roots;
    }
    // The pass multiplies the number of elements by the roots that it assumes for one, so an element may not have more.
    let element = arrays.iter().fold(roots, |divisor, array| greatest_common_divisor(divisor, array.claimed));
    let alignment = arrays.iter().map(|array| array.alignment).max().unwrap_or(0);

    builder.before(first);
    let whole = builder.array_alloca(root.array(element as u32), module.half_word().int(roots / element)?)?;
    whole.set_alignment(alignment as u32);
    let base = builder.cast(Cast::BIT_CAST, **whole, root.pointer(0))?;
    for (array, offset) in arrays.iter().zip(offsets) {
        let place = builder.gep(base, &[module.word().int(offset)?], true)?;
        let place = builder.pointer_cast(place, array.variable.ty())?;
        array.variable.replace_all_uses_with(place);
    }
    for array in arrays {
        // SAFETY: nothing uses it any longer, and the list that it is in ends here.
        unsafe { array.variable.delete() };
    }
    Ok(())
}
