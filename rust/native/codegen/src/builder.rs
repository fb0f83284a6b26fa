//! Making instructions and constants of values whose types are only known at run time.

use inkwell::builder::Builder as InkwellBuilder;
use inkwell::context::ContextRef;
use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::*;
use inkwell::llvm_sys::LLVMTypeKind;

use crate::value::{Block, Type, Value};

/// Calls LLVM and takes the value that it returns.
///
/// # Safety
/// For all uses in this file: the arguments are values of the one module that a
/// [`NativeModule`](crate::NativeModule) holds, the builder belongs to its context and was positioned in it,
/// and LLVM's `Build` and `Const` functions never return null for them. Operand types fit because every
/// method's caller passes operands of an existing constant or of an existing instruction.
macro_rules! made {
    ($($call:tt)*) => {
        // SAFETY: see the macro.
        unsafe { Value::from_raw($($call)*).unwrap_or_else(|| unreachable_value()) }
    };
}

/// LLVM's constructors do not return null; should one ever do, the process is beyond repair.
#[cold]
fn unreachable_value() -> Value {
    std::process::abort()
}

/// inkwell's builder, for operands of any type.
#[derive(Debug)]
pub(crate) struct Builder {
    inner: InkwellBuilder<'static>,
}

/// A cast of one of the two builder families below.
pub(crate) type Cast =
    unsafe extern "C" fn(LLVMBuilderRef, LLVMValueRef, LLVMTypeRef, *const i8) -> LLVMValueRef;
/// An instruction with two operands of the same type.
pub(crate) type Binary =
    unsafe extern "C" fn(LLVMBuilderRef, LLVMValueRef, LLVMValueRef, *const i8) -> LLVMValueRef;

const NO_NAME: *const i8 = c"".as_ptr();

impl Builder {
    pub(crate) fn new(context: &ContextRef<'static>) -> Self {
        Self { inner: context.create_builder() }
    }

    fn raw(&self) -> LLVMBuilderRef {
        self.inner.as_mut_ptr()
    }

    /// What is built next comes before `instruction` and has its line.
    pub(crate) fn before(&self, instruction: Value) {
        // SAFETY: the instruction stands in a block of the module.
        unsafe { LLVMPositionBuilderBefore(self.raw(), instruction.raw()) };
    }

    /// What is built next comes at the end of `block`, and has no line.
    pub(crate) fn at_end(&self, block: Block) {
        self.inner.unset_current_debug_location();
        // SAFETY: the block belongs to a function of the module.
        unsafe { LLVMPositionBuilderAtEnd(self.raw(), block.raw()) };
    }

    /// Takes an instruction away from where it stands and puts it here.
    pub(crate) fn move_here(&self, instruction: Value) {
        // SAFETY: the instruction stands in a block of the module, and the builder in the same function.
        unsafe {
            LLVMInstructionRemoveFromParent(instruction.raw());
            LLVMInsertIntoBuilder(self.raw(), instruction.raw());
        }
    }

    pub(crate) fn load(&self, ty: Type, pointer: Value) -> Value {
        made!(LLVMBuildLoad2(self.raw(), ty.raw(), pointer.raw(), NO_NAME))
    }

    pub(crate) fn array_alloca(&self, element: Type, count: Value) -> Value {
        made!(LLVMBuildArrayAlloca(self.raw(), element.raw(), count.raw(), NO_NAME))
    }

    pub(crate) fn cast(&self, cast: Cast, value: Value, ty: Type) -> Value {
        made!(cast(self.raw(), value.raw(), ty.raw(), NO_NAME))
    }

    /// A pointer as another pointer, across address spaces too.
    pub(crate) fn pointer_cast(&self, value: Value, ty: Type) -> Value {
        if value.ty() == ty {
            return value;
        }
        let Some(element) = ty.element() else { return value };
        let same_space = self.cast(LLVMBuildBitCast, value, element.pointer(value.ty().address_space()));
        if ty.address_space() == value.ty().address_space() {
            same_space
        } else {
            self.cast(LLVMBuildAddrSpaceCast, same_space, ty)
        }
    }

    pub(crate) fn binary(&self, build: Binary, left: Value, right: Value) -> Value {
        made!(build(self.raw(), left.raw(), right.raw(), NO_NAME))
    }

    pub(crate) fn gep(&self, base: Value, indices: &[Value], inbounds: bool) -> Value {
        let mut raw: Vec<LLVMValueRef> = indices.iter().map(|index| index.raw()).collect();
        let count = raw.len() as u32;
        if inbounds {
            made!(LLVMBuildInBoundsGEP(self.raw(), base.raw(), raw.as_mut_ptr(), count, NO_NAME))
        } else {
            made!(LLVMBuildGEP(self.raw(), base.raw(), raw.as_mut_ptr(), count, NO_NAME))
        }
    }

    pub(crate) fn int_compare(&self, like: Value, left: Value, right: Value) -> Value {
        made!(LLVMBuildICmp(self.raw(), like.int_predicate(), left.raw(), right.raw(), NO_NAME))
    }

    pub(crate) fn real_compare(&self, like: Value, left: Value, right: Value) -> Value {
        made!(LLVMBuildFCmp(self.raw(), like.real_predicate(), left.raw(), right.raw(), NO_NAME))
    }

    pub(crate) fn select(&self, condition: Value, then: Value, otherwise: Value) -> Value {
        made!(LLVMBuildSelect(self.raw(), condition.raw(), then.raw(), otherwise.raw(), NO_NAME))
    }

    pub(crate) fn negate_real(&self, value: Value) -> Value {
        made!(LLVMBuildFNeg(self.raw(), value.raw(), NO_NAME))
    }

    pub(crate) fn extract_element(&self, vector: Value, index: Value) -> Value {
        made!(LLVMBuildExtractElement(self.raw(), vector.raw(), index.raw(), NO_NAME))
    }

    pub(crate) fn insert_element(&self, vector: Value, element: Value, index: Value) -> Value {
        made!(LLVMBuildInsertElement(self.raw(), vector.raw(), element.raw(), index.raw(), NO_NAME))
    }

    pub(crate) fn shuffle(&self, left: Value, right: Value, mask: Value) -> Value {
        made!(LLVMBuildShuffleVector(self.raw(), left.raw(), right.raw(), mask.raw(), NO_NAME))
    }

    /// `extractvalue` along `path`.
    pub(crate) fn extract_value(&self, aggregate: Value, path: &[u32]) -> Value {
        path.iter().fold(aggregate, |inner, &index| {
            made!(LLVMBuildExtractValue(self.raw(), inner.raw(), index, NO_NAME))
        })
    }

    /// `insertvalue` along `path`.
    pub(crate) fn insert_value(&self, aggregate: Value, element: Value, path: &[u32]) -> Value {
        let Some((&first, rest)) = path.split_first() else { return element };
        let inner = if rest.is_empty() {
            element
        } else {
            let old = self.extract_value(aggregate, &[first]);
            self.insert_value(old, element, rest)
        };
        made!(LLVMBuildInsertValue(self.raw(), aggregate.raw(), inner.raw(), first, NO_NAME))
    }

    pub(crate) fn call(&self, function_type: Type, function: Value, arguments: &[Value]) -> Value {
        let mut raw: Vec<LLVMValueRef> = arguments.iter().map(|argument| argument.raw()).collect();
        let count = raw.len() as u32;
        made!(LLVMBuildCall2(
            self.raw(),
            function_type.raw(),
            function.raw(),
            raw.as_mut_ptr(),
            count,
            NO_NAME
        ))
    }

    /// Returns `value`, or nothing if it is the result of a call without one.
    pub(crate) fn ret(&self, value: Value) -> Value {
        if value.ty().is_void() {
            made!(LLVMBuildRetVoid(self.raw()))
        } else {
            made!(LLVMBuildRet(self.raw(), value.raw()))
        }
    }
}

/// The constant of `ty`, a struct, array or vector, with these elements.
pub(crate) fn constant_aggregate(ty: Type, elements: &[Value]) -> Option<Value> {
    let mut raw: Vec<LLVMValueRef> = elements.iter().map(|element| element.raw()).collect();
    let count = raw.len() as u32;
    match ty.kind() {
        LLVMTypeKind::LLVMStructTypeKind => {
            Some(made!(LLVMConstNamedStruct(ty.raw(), raw.as_mut_ptr(), count)))
        }
        LLVMTypeKind::LLVMArrayTypeKind => {
            let element = ty.element()?;
            Some(made!(LLVMConstArray(element.raw(), raw.as_mut_ptr(), count)))
        }
        LLVMTypeKind::LLVMVectorTypeKind => Some(made!(LLVMConstVector(raw.as_mut_ptr(), count))),
        _ => None,
    }
}

/// Is this constant `getelementptr` marked `inbounds`?
///
/// LLVM-C of LLVM 9 cannot ask a constant that; but constants are unique, so it is the one that the
/// constructor with the same operands returns.
pub(crate) fn is_inbounds(gep: Value) -> bool {
    let mut operands = gep.operands();
    let Some(base) = operands.next() else { return false };
    let mut raw: Vec<LLVMValueRef> = operands.map(|index| index.raw()).collect();
    let count = raw.len() as u32;
    made!(LLVMConstInBoundsGEP(base.raw(), raw.as_mut_ptr(), count)) == gep
}

/// `&global[0][index]` for a global array.
pub(crate) fn constant_array_slot(array: Value, index: u32, index_type: Type) -> Value {
    let mut indices = [index_type.int(0).raw(), index_type.int(u64::from(index)).raw()];
    made!(LLVMConstInBoundsGEP(array.raw(), indices.as_mut_ptr(), 2))
}

/// `(i32)((intptr)value - (intptr)base)`, which the linker computes.
pub(crate) fn constant_offset(value: Value, base: Value, word: Type, narrow: Type) -> Value {
    let address = |global: Value| made!(LLVMConstPtrToInt(global.raw(), word.raw()));
    let difference = made!(LLVMConstSub(address(value).raw(), address(base).raw()));
    made!(LLVMConstTrunc(difference.raw(), narrow.raw()))
}

/// The two halves of a constant integer of more than 64 bits, as far as 128 bits; for the rest, `None`.
pub(crate) fn wide_words(constant: Value, word: Type) -> Option<[u64; 2]> {
    if constant.ty().int_bits() > 128 {
        return None;
    }
    let sixty_four = constant.ty().int(64);
    // LLVM folds these to constants.
    let high = made!(LLVMConstLShr(constant.raw(), sixty_four.raw()));
    let high = made!(LLVMConstTrunc(high.raw(), word.raw()));
    let low = made!(LLVMConstTrunc(constant.raw(), word.raw()));
    Some([low.small_int()?, high.small_int()?])
}
