//! Functions, and how to replace one by another: LLVM's C interface can neither move a function within its module nor
//! remove its body.

use std::ops::Deref;

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::debuginfo::LLVMGetSubprogram;
use inkwell::llvm_sys::prelude::LLVMAttributeRef;
use inkwell::llvm_sys::{LLVMAttributeFunctionIndex, LLVMAttributeReturnIndex, LLVMLinkage, LLVMValueKind};

use super::{Block, Call, Global, Instruction, Metadata, Module, Value};
use crate::error::CodegenError;

/// A function of a module that lives as long as `'m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Function<'m>(Global<'m>);

impl<'m> Deref for Function<'m> {
    type Target = Global<'m>;

    fn deref(&self) -> &Global<'m> {
        &self.0
    }
}

impl<'m> Value<'m> {
    pub(crate) fn as_function(self) -> Option<Function<'m>> {
        if self.kind() != LLVMValueKind::LLVMFunctionValueKind {
            return None;
        }
        self.as_global().map(Function)
    }

    /// The function, if it has a body here.
    pub(crate) fn as_defined_function(self) -> Option<Function<'m>> {
        self.as_function().filter(|function| !function.is_declaration())
    }
}

impl<'m> Function<'m> {
    /// Is it one of LLVM's own, `llvm.*`?
    pub(crate) fn is_intrinsic(self) -> bool {
        // SAFETY: a living function.
        unsafe { LLVMGetIntrinsicID(self.raw()) != 0 }
    }

    pub(crate) fn params(self) -> Vec<Value<'m>> {
        // SAFETY: a living function.
        let count = unsafe { LLVMCountParams(self.raw()) };
        // SAFETY: a living function that has more than `index` parameters.
        (0..count).filter_map(|index| unsafe { Value::from_raw(LLVMGetParam(self.raw(), index)) }).collect()
    }

    pub(crate) fn blocks(self) -> Vec<Block<'m>> {
        let mut blocks = Vec::new();
        // SAFETY: a living function, whose blocks are alive too.
        let mut next = unsafe { Block::from_raw(LLVMGetFirstBasicBlock(self.raw())) };
        while let Some(block) = next {
            blocks.push(block);
            // SAFETY: a living block of a function whose list of blocks does not change meanwhile.
            next = unsafe { Block::from_raw(LLVMGetNextBasicBlock(block.raw())) };
        }
        blocks
    }

    /// All its instructions, in the order in which they stand.
    pub(crate) fn instructions(self) -> impl Iterator<Item = Instruction<'m>> {
        self.blocks().into_iter().flat_map(Block::instructions)
    }

    pub(crate) fn set_alignment(self, alignment: u32) {
        // SAFETY: a living function.
        unsafe { LLVMSetAlignment(self.raw(), alignment) };
    }

    /// Does it have a personality function, for exceptions?
    pub(crate) fn has_personality(self) -> bool {
        // SAFETY: a living function.
        unsafe { LLVMHasPersonalityFn(self.raw()) != 0 }
    }

    /// Its description in the debug information.
    pub(crate) fn subprogram(self) -> Option<Metadata<'m>> {
        // SAFETY: a living function; the metadata belongs to its context.
        unsafe { Metadata::from_raw(LLVMGetSubprogram(self.raw())) }
    }

    /// The attributes at `place`, one of [`attribute_places`].
    fn attributes(self, place: u32) -> Vec<LLVMAttributeRef> {
        // SAFETY: a living function.
        let count = unsafe { LLVMGetAttributeCountAtIndex(self.raw(), place) } as usize;
        let mut attributes = vec![std::ptr::null_mut(); count];
        // SAFETY: a living function. LLVM writes as many attributes as it has just counted.
        unsafe { LLVMGetAttributesAtIndex(self.raw(), place, attributes.as_mut_ptr()) };
        attributes
    }

    /// Adds the attribute `name`, one without a value.
    pub(crate) fn add_attribute(self, name: &str) {
        // SAFETY: a living function. LLVM reads as many bytes of the name as it has.
        let kind = unsafe { LLVMGetEnumAttributeKindForName(name.as_ptr().cast(), name.len()) };
        // SAFETY: the attribute is made in the context of the living function that gets it.
        unsafe {
            let context = LLVMGetTypeContext(LLVMTypeOf(self.raw()));
            let attribute = LLVMCreateEnumAttribute(context, kind, 0);
            LLVMAddAttributeAtIndex(self.raw(), LLVMAttributeFunctionIndex, attribute);
        }
    }

    /// Removes it from its module and frees it.
    ///
    /// # Safety
    /// Nothing outside of the function uses it, and nobody keeps it or anything of its body.
    pub(crate) unsafe fn delete(self) {
        // SAFETY: it is alive and has no uses outside of itself.
        unsafe { LLVMDeleteFunction(self.raw()) };
    }
}

/// Where attributes stand: on the function, on what it returns, on each parameter.
fn attribute_places(parameters: usize) -> impl Iterator<Item = u32> {
    [LLVMAttributeFunctionIndex, LLVMAttributeReturnIndex].into_iter().chain(1..=parameters as u32)
}

/// Declares a function with the type, calling convention, attributes and section of `old`, but without its name, its
/// body and its debug information. `old` may be in another module of the context.
pub(crate) fn declare_like<'m>(module: &'m Module, old: Function<'_>) -> Result<Function<'m>, CodegenError> {
    let new = module.add_function(old.value_type(), "")?;
    for place in attribute_places(old.params().len()) {
        for attribute in old.attributes(place) {
            // SAFETY: a living function with such a place; the attribute is one of its context.
            unsafe { LLVMAddAttributeAtIndex(new.raw(), place, attribute) };
        }
    }
    // SAFETY: two living functions of one context and of the same type.
    unsafe {
        LLVMSetFunctionCallConv(new.raw(), LLVMGetFunctionCallConv(old.raw()));
        LLVMSetLinkage(new.raw(), LLVMGetLinkage(old.raw()));
        LLVMSetVisibility(new.raw(), LLVMGetVisibility(old.raw()));
        LLVMSetUnnamedAddress(new.raw(), LLVMGetUnnamedAddress(old.raw()));
        LLVMSetAlignment(new.raw(), LLVMGetAlignment(old.raw()));
    }
    // SAFETY: two living functions. LLVM's text ends with a NUL and is copied.
    unsafe {
        let collector = LLVMGetGC(old.raw());
        if !collector.is_null() {
            LLVMSetGC(new.raw(), collector);
        }
    }
    if old.has_personality() {
        // SAFETY: two living functions, of which one has a personality.
        unsafe { LLVMSetPersonalityFn(new.raw(), LLVMGetPersonalityFn(old.raw())) };
    }
    new.copy_section(*old);
    Ok(new)
}

/// Copies attributes and calling convention of the function `like` to a call with the same signature.
pub(crate) fn call_like(call: Call<'_>, like: Function<'_>) {
    for place in attribute_places(like.params().len()) {
        for attribute in like.attributes(place) {
            // SAFETY: an attribute of a living context.
            let is_text = unsafe { LLVMIsStringAttribute(attribute) != 0 };
            // What the function says of itself as text ("thunk", frame pointers) is not true of its callee.
            if !is_text {
                // SAFETY: a living call with such a place; the attribute is one of its context.
                unsafe { LLVMAddCallSiteAttribute(call.raw(), place, attribute) };
            }
        }
    }
    // SAFETY: a living function.
    call.set_convention(unsafe { LLVMGetFunctionCallConv(like.raw()) });
}

impl Call<'_> {
    /// Does the callee write its result where the first argument points (`sret`)?
    pub(crate) fn returns_by_argument(self) -> bool {
        if self.argument_count() == 0 {
            return false;
        }
        let name = "sret";
        // SAFETY: LLVM reads as many bytes of the name as it has.
        let kind = unsafe { LLVMGetEnumAttributeKindForName(name.as_ptr().cast(), name.len()) };
        // SAFETY: a living call with an argument; null for an attribute that is not there.
        let here = unsafe { LLVMGetCallSiteEnumAttribute(self.raw(), 1, kind) };
        // SAFETY: a living function that takes what the call passes; null for an attribute that is not there.
        let there = |function: Function<'_>| unsafe { LLVMGetEnumAttributeAtIndex(function.raw(), 1, kind) };
        !here.is_null() || self.called_function().is_some_and(|function| !there(function).is_null())
    }
}

/// Moves the body of `old` to `new`, which has the same type and no body, and replaces `old` by it everywhere. `old` is
/// deleted.
///
/// # Safety
/// Both are in one module, and nobody keeps `old`.
pub(crate) unsafe fn take_over(new: Function<'_>, old: Function<'_>) {
    // SAFETY: our caller promises that both are in one module.
    unsafe { move_body(new, old) };
    // SAFETY: our caller promises that nobody keeps `old`, and the body is that of `new` now.
    unsafe { replace(new, old) };
}

/// Moves body and debug information from `old` to `new`, which has the same type and no body. `old` is only declared
/// afterwards.
///
/// `new` may be in another module of the context. The blocks and instructions of the body then belong to that module,
/// but values that somebody has kept still have the lifetime of the old one: a call cannot change it. This is the one
/// place where lifetimes do not show what is true.
///
/// # Safety
/// Nobody uses a kept block or instruction of the body after the module of `new` is gone.
pub(crate) unsafe fn move_body(new: Function<'_>, old: Function<'_>) {
    for block in old.blocks() {
        block.move_to(new);
    }
    for (from, to) in old.params().into_iter().zip(new.params()) {
        from.replace_all_uses_with(to);
        to.set_name(&from.name());
    }
    move_metadata(new, old);
}

/// Moves debug information and other attachments. A `DISubprogram` belongs to one function, so `old` loses it.
fn move_metadata(new: Function<'_>, old: Function<'_>) {
    let mut count = 0;
    // SAFETY: a living function. LLVM copies the entries into an array that is ours.
    let entries = unsafe { LLVMGlobalCopyAllMetadata(old.raw(), &raw mut count) };
    for index in 0..count as u32 {
        // SAFETY: the array has that many entries, and the metadata itself belongs to the context of both functions.
        unsafe {
            let kind = LLVMValueMetadataEntriesGetKind(entries, index);
            let node = LLVMValueMetadataEntriesGetMetadata(entries, index);
            LLVMGlobalSetMetadata(new.raw(), kind, node);
        }
    }
    // SAFETY: the array came from LLVM, and is not used again.
    unsafe { LLVMDisposeValueMetadataEntries(entries) };
    // SAFETY: a living function.
    unsafe { LLVMGlobalClearMetadata(old.raw()) };
}

/// Replaces `old` by `new`, of the same type, which also takes its name. `old` is deleted with its body.
///
/// # Safety
/// Nobody keeps `old` or anything of its body.
pub(crate) unsafe fn replace(new: Function<'_>, old: Function<'_>) {
    let name = old.name();
    old.set_name("");
    new.set_name(&name);
    old.replace_all_uses_with(**new);
    // SAFETY: it has no uses any longer, and our caller promises that nobody keeps it.
    unsafe { old.delete() };
}

/// Removes the body: a function of this name and type is only declared afterwards.
///
/// # Safety
/// Nobody keeps `old` or anything of its body.
pub(crate) unsafe fn remove_body(module: &Module, old: Function<'_>) -> Result<(), CodegenError> {
    let new = declare_like(module, old)?;
    new.set_linkage(LLVMLinkage::LLVMExternalLinkage);
    // SAFETY: our caller promises it.
    unsafe { replace(new, old) };
    Ok(())
}
