//! Builds instructions whose operand types are only known at run time.
//!
//! Operands must have the types that LLVM demands. Callers take them from an existing instruction or constant of the
//! same kind.

use std::marker::PhantomData;

use inkwell::builder::Builder as InkwellBuilder;
use inkwell::context::ContextRef;
use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::*;
use inkwell::llvm_sys::LLVMOpcode;

use super::{Alloca, Block, Call, Instruction, Module, Type, Value};
use crate::error::CodegenError;

/// The result of building a value.
type Made<'m> = Result<Value<'m>, CodegenError>;

/// inkwell's builder, for operands of any type, in a module that lives as long as `'m`.
#[derive(Debug)]
pub(crate) struct Builder<'m> {
    inner: InkwellBuilder<'static>,
    module: PhantomData<&'m Module>,
}

/// The opcode of a cast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cast(LLVMOpcode);

impl Cast {
    pub(crate) const ADDR_SPACE_CAST: Self = Self(LLVMOpcode::LLVMAddrSpaceCast);
    pub(crate) const BIT_CAST: Self = Self(LLVMOpcode::LLVMBitCast);
    pub(crate) const PTR_TO_INT: Self = Self(LLVMOpcode::LLVMPtrToInt);

    /// The cast that `opcode` is.
    pub(crate) fn of_opcode(opcode: LLVMOpcode) -> Option<Self> {
        use LLVMOpcode::*;
        matches!(
            opcode,
            LLVMTrunc
                | LLVMZExt
                | LLVMSExt
                | LLVMFPToUI
                | LLVMFPToSI
                | LLVMUIToFP
                | LLVMSIToFP
                | LLVMFPTrunc
                | LLVMFPExt
                | LLVMPtrToInt
                | LLVMIntToPtr
                | LLVMBitCast
                | LLVMAddrSpaceCast
        )
        .then_some(Self(opcode))
    }
}

/// The opcode of a binary operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binary(LLVMOpcode);

impl Binary {
    /// The binary operation that `opcode` is.
    pub(crate) fn of_opcode(opcode: LLVMOpcode) -> Option<Self> {
        use LLVMOpcode::*;
        matches!(
            opcode,
            LLVMAdd
                | LLVMFAdd
                | LLVMSub
                | LLVMFSub
                | LLVMMul
                | LLVMFMul
                | LLVMUDiv
                | LLVMSDiv
                | LLVMFDiv
                | LLVMURem
                | LLVMSRem
                | LLVMFRem
                | LLVMShl
                | LLVMLShr
                | LLVMAShr
                | LLVMAnd
                | LLVMOr
                | LLVMXor
        )
        .then_some(Self(opcode))
    }
}

const NO_NAME: *const i8 = c"".as_ptr();

impl<'m> Builder<'m> {
    /// A builder for a module of this context.
    pub(super) fn new(context: &ContextRef<'static>) -> Self {
        Self { inner: context.create_builder(), module: PhantomData }
    }

    fn raw(&self) -> LLVMBuilderRef {
        self.inner.as_mut_ptr()
    }

    // ---- where ----

    /// Places what is built next before `instruction`, with its line.
    pub(crate) fn before(&self, instruction: Instruction<'m>) {
        // SAFETY: a living instruction in a block.
        unsafe { LLVMPositionBuilderBefore(self.raw(), instruction.raw()) };
    }

    /// Places what is built next at the end of `block`, without a line.
    pub(crate) fn at_end(&self, block: Block<'m>) {
        self.inner.unset_current_debug_location();
        // SAFETY: a living block.
        unsafe { LLVMPositionBuilderAtEnd(self.raw(), block.raw()) };
    }

    /// Moves an instruction of the same function here.
    pub(crate) fn move_here(&self, instruction: Instruction<'m>) {
        // SAFETY: a living instruction, which belongs to no block between the two calls only.
        unsafe {
            LLVMInstructionRemoveFromParent(instruction.raw());
            LLVMInsertIntoBuilder(self.raw(), instruction.raw());
        }
    }

    // ---- what ----

    pub(crate) fn load(&self, ty: Type<'m>, pointer: Value<'m>) -> Result<Instruction<'m>, CodegenError> {
        // SAFETY: operands and type are alive.
        let made = unsafe { Value::made(LLVMBuildLoad2(self.raw(), ty.raw(), pointer.raw(), NO_NAME)) }?;
        // SAFETY: LLVM builds a `load` and nothing else here.
        Ok(unsafe { Instruction::built(made) })
    }

    /// A stack variable of `count` elements.
    pub(crate) fn array_alloca(
        &self,
        element: Type<'m>,
        count: Value<'m>,
    ) -> Result<Alloca<'m>, CodegenError> {
        // SAFETY: operand and type are alive.
        let made =
            unsafe { Value::made(LLVMBuildArrayAlloca(self.raw(), element.raw(), count.raw(), NO_NAME)) }?;
        // SAFETY: LLVM builds an `alloca` and nothing else here.
        Ok(unsafe { Alloca::built(made) })
    }

    pub(crate) fn cast(&self, cast: Cast, value: Value<'m>, ty: Type<'m>) -> Made<'m> {
        // SAFETY: operand and type are alive, and the opcode is one of a cast.
        unsafe { Value::made(LLVMBuildCast(self.raw(), cast.0, value.raw(), ty.raw(), NO_NAME)) }
    }

    pub(crate) fn binary(&self, binary: Binary, left: Value<'m>, right: Value<'m>) -> Made<'m> {
        // SAFETY: the operands are alive, and the opcode is one of a binary operation.
        unsafe { Value::made(LLVMBuildBinOp(self.raw(), binary.0, left.raw(), right.raw(), NO_NAME)) }
    }

    pub(crate) fn gep(&self, base: Value<'m>, indices: &[Value<'m>], inbounds: bool) -> Made<'m> {
        let build = if inbounds { LLVMBuildInBoundsGEP } else { LLVMBuildGEP };
        let mut raw: Vec<LLVMValueRef> = indices.iter().map(|index| index.raw()).collect();
        let count = raw.len() as u32;
        // SAFETY: the operands are alive, and LLVM reads `count` indices.
        unsafe { Value::made(build(self.raw(), base.raw(), raw.as_mut_ptr(), count, NO_NAME)) }
    }

    /// A comparison with the predicate of the `icmp` or `fcmp` `like`; `None` if it is neither.
    pub(crate) fn compare(
        &self,
        like: Value<'_>,
        left: Value<'m>,
        right: Value<'m>,
    ) -> Result<Option<Value<'m>>, CodegenError> {
        let (left, right) = (left.raw(), right.raw());
        if let Some(predicate) = like.int_predicate() {
            // SAFETY: the operands are alive.
            unsafe { Value::made(LLVMBuildICmp(self.raw(), predicate, left, right, NO_NAME)) }.map(Some)
        } else if let Some(predicate) = like.real_predicate() {
            // SAFETY: the operands are alive.
            unsafe { Value::made(LLVMBuildFCmp(self.raw(), predicate, left, right, NO_NAME)) }.map(Some)
        } else {
            Ok(None)
        }
    }

    pub(crate) fn select(&self, condition: Value<'m>, then: Value<'m>, otherwise: Value<'m>) -> Made<'m> {
        let (condition, then, otherwise) = (condition.raw(), then.raw(), otherwise.raw());
        // SAFETY: the operands are alive.
        unsafe { Value::made(LLVMBuildSelect(self.raw(), condition, then, otherwise, NO_NAME)) }
    }

    pub(crate) fn negate_real(&self, value: Value<'m>) -> Made<'m> {
        // SAFETY: the operand is alive.
        unsafe { Value::made(LLVMBuildFNeg(self.raw(), value.raw(), NO_NAME)) }
    }

    pub(crate) fn extract_element(&self, vector: Value<'m>, index: Value<'m>) -> Made<'m> {
        // SAFETY: the operands are alive.
        unsafe { Value::made(LLVMBuildExtractElement(self.raw(), vector.raw(), index.raw(), NO_NAME)) }
    }

    pub(crate) fn insert_element(&self, vector: Value<'m>, element: Value<'m>, index: Value<'m>) -> Made<'m> {
        let (vector, element, index) = (vector.raw(), element.raw(), index.raw());
        // SAFETY: the operands are alive.
        unsafe { Value::made(LLVMBuildInsertElement(self.raw(), vector, element, index, NO_NAME)) }
    }

    pub(crate) fn shuffle(&self, left: Value<'m>, right: Value<'m>, mask: Value<'m>) -> Made<'m> {
        let (left, right, mask) = (left.raw(), right.raw(), mask.raw());
        // SAFETY: the operands are alive.
        unsafe { Value::made(LLVMBuildShuffleVector(self.raw(), left, right, mask, NO_NAME)) }
    }

    /// `extractvalue` along `path`.
    pub(crate) fn extract_value(&self, aggregate: Value<'m>, path: &[u32]) -> Made<'m> {
        path.iter().try_fold(aggregate, |inner, &index| {
            // SAFETY: the operand is alive.
            unsafe { Value::made(LLVMBuildExtractValue(self.raw(), inner.raw(), index, NO_NAME)) }
        })
    }

    /// `insertvalue` along `path`.
    pub(crate) fn insert_value(&self, aggregate: Value<'m>, element: Value<'m>, path: &[u32]) -> Made<'m> {
        let Some((&first, rest)) = path.split_first() else { return Ok(element) };
        let inner = if rest.is_empty() {
            element
        } else {
            let old = self.extract_value(aggregate, &[first])?;
            self.insert_value(old, element, rest)?
        };
        // SAFETY: the operands are alive.
        unsafe { Value::made(LLVMBuildInsertValue(self.raw(), aggregate.raw(), inner.raw(), first, NO_NAME)) }
    }

    pub(crate) fn call(
        &self,
        function_type: Type<'m>,
        function: Value<'m>,
        arguments: &[Value<'m>],
    ) -> Result<Call<'m>, CodegenError> {
        let mut raw: Vec<LLVMValueRef> = arguments.iter().map(|argument| argument.raw()).collect();
        let (count, arguments) = (raw.len() as u32, raw.as_mut_ptr());
        let (ty, function) = (function_type.raw(), function.raw());
        // SAFETY: operands and type are alive, and LLVM reads `count` arguments.
        let made =
            unsafe { Value::made(LLVMBuildCall2(self.raw(), ty, function, arguments, count, NO_NAME)) }?;
        // SAFETY: LLVM builds a `call` and nothing else here.
        Ok(unsafe { Call::built(made) })
    }

    /// Returns `value`, or nothing if it is the result of a call without one.
    pub(crate) fn ret(&self, value: Value<'m>) -> Made<'m> {
        if value.ty().is_void() {
            // SAFETY: the builder stands in a living block.
            unsafe { Value::made(LLVMBuildRetVoid(self.raw())) }
        } else {
            // SAFETY: the operand is alive, and the builder stands in a living block.
            unsafe { Value::made(LLVMBuildRet(self.raw(), value.raw())) }
        }
    }
}
