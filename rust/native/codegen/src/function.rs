//! Functions made anew: LLVM-C can neither move a function within its module nor take its body away.

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::*;
use inkwell::llvm_sys::{LLVMAttributeFunctionIndex, LLVMAttributeReturnIndex, LLVMLinkage};

use crate::handle::Handle;
use crate::value::Value;

/// Where attributes stand: on the function, on what it returns, on each parameter.
fn attribute_places(parameters: usize) -> impl Iterator<Item = u32> {
    [LLVMAttributeFunctionIndex, LLVMAttributeReturnIndex].into_iter().chain(1..=parameters as u32)
}

fn attributes(function: Value, place: u32) -> Vec<LLVMAttributeRef> {
    // SAFETY: `function` is a function of a living module; LLVM writes as many attributes as it counted
    // before.
    unsafe {
        let count = LLVMGetAttributeCountAtIndex(function.raw(), place) as usize;
        let mut attributes = vec![std::ptr::null_mut(); count];
        LLVMGetAttributesAtIndex(function.raw(), place, attributes.as_mut_ptr());
        attributes
    }
}

/// Declares a function with the type, calling convention, attributes, section and debug information of `old`,
/// but without name and body.
pub(crate) fn declare_like(handle: &Handle, old: Value) -> Value {
    let new = handle.add_function(old.value_type(), "");
    // SAFETY: both are functions of the same living module and have the same type.
    unsafe {
        for place in attribute_places(old.params().len()) {
            for attribute in attributes(old, place) {
                LLVMAddAttributeAtIndex(new.raw(), place, attribute);
            }
        }
        LLVMSetFunctionCallConv(new.raw(), LLVMGetFunctionCallConv(old.raw()));
        LLVMSetLinkage(new.raw(), LLVMGetLinkage(old.raw()));
        LLVMSetVisibility(new.raw(), LLVMGetVisibility(old.raw()));
        LLVMSetUnnamedAddress(new.raw(), LLVMGetUnnamedAddress(old.raw()));
        LLVMSetAlignment(new.raw(), LLVMGetAlignment(old.raw()));
        let collector = LLVMGetGC(old.raw());
        if !collector.is_null() {
            LLVMSetGC(new.raw(), collector);
        }
        if LLVMHasPersonalityFn(old.raw()) != 0 {
            LLVMSetPersonalityFn(new.raw(), LLVMGetPersonalityFn(old.raw()));
        }
        let section = LLVMGetSection(old.raw());
        if !section.is_null() && *section != 0 {
            LLVMSetSection(new.raw(), section);
        }
    }
    new
}

/// Gives a call the attributes and the calling convention of the function `like`, which has the same
/// signature.
pub(crate) fn call_like(call: Value, like: Value) {
    // SAFETY: `call` is a call of a living module, `like` a function in it; their arguments agree.
    unsafe {
        for place in attribute_places(like.params().len()) {
            for attribute in attributes(like, place) {
                // What the function says of itself as text ("thunk", frame pointers) is not true of its
                // callee.
                if LLVMIsStringAttribute(attribute) == 0 {
                    LLVMAddCallSiteAttribute(call.raw(), place, attribute);
                }
            }
        }
        call.set_call_convention(LLVMGetFunctionCallConv(like.raw()));
    }
}

/// Does the callee write its result where the first argument points (`sret`)?
pub(crate) fn returns_by_argument(call: Value) -> bool {
    let called = call.called().filter(|called| called.is_function());
    // SAFETY: `call` is a call of a living module; LLVM answers null for an attribute that is not there.
    unsafe {
        let kind = LLVMGetEnumAttributeKindForName(c"sret".as_ptr(), 4);
        call.argument_count() > 0
            && (!LLVMGetCallSiteEnumAttribute(call.raw(), 1, kind).is_null()
                || called.is_some_and(|called| !LLVMGetEnumAttributeAtIndex(called.raw(), 1, kind).is_null()))
    }
}

/// Adds the attribute `name`, one without a value, to a function.
pub(crate) fn add_attribute(handle: &Handle, function: Value, name: &str) {
    // SAFETY: `function` belongs to the module, and the attribute is made in its context.
    unsafe {
        let kind = LLVMGetEnumAttributeKindForName(name.as_ptr().cast(), name.len());
        let context = LLVMGetModuleContext(handle.module().as_mut_ptr());
        let attribute = LLVMCreateEnumAttribute(context, kind, 0);
        LLVMAddAttributeAtIndex(function.raw(), LLVMAttributeFunctionIndex, attribute);
    }
}

/// Moves the body of `old` to `new`, a function without body of the same type, which takes its place
/// everywhere.
///
/// # Safety
/// Nobody keeps the `Value` of `old`: it is deleted.
pub(crate) unsafe fn take_over(new: Value, old: Value) {
    move_body(new, old);
    // SAFETY: as demanded of our caller.
    unsafe { replace(new, old) };
}

/// Moves body and debug information; `old` is only declared afterwards. `new` may be in another module of the context.
pub(crate) fn move_body(new: Value, old: Value) {
    for block in old.blocks() {
        block.move_to(new);
    }
    for (from, to) in old.params().into_iter().zip(new.params()) {
        from.replace_all_uses_with(to);
        to.set_name(&from.name());
    }
    move_metadata(new, old);
}

/// Puts `new` in the place of `old`, which is deleted with its body.
///
/// # Safety
/// Nobody keeps the `Value` of `old` or of anything in its body. Both have the same type.
pub(crate) unsafe fn replace(new: Value, old: Value) {
    let name = old.name();
    old.set_name("");
    new.set_name(&name);
    old.replace_all_uses_with(new);
    // SAFETY: it has no uses any longer, and its caller promises that nobody keeps it.
    unsafe { old.delete_function() };
}

/// Debug information and other attachments. A `DISubprogram` belongs to one function, so it is taken from
/// `old`.
fn move_metadata(new: Value, old: Value) {
    // SAFETY: both are functions of a living module. The entries are copied by LLVM into an array of our own,
    // which is freed here; the metadata itself belongs to the context.
    unsafe {
        let mut count = 0;
        let entries = LLVMGlobalCopyAllMetadata(old.raw(), &mut count);
        for index in 0..count as u32 {
            let kind = LLVMValueMetadataEntriesGetKind(entries, index);
            let node = LLVMValueMetadataEntriesGetMetadata(entries, index);
            LLVMGlobalSetMetadata(new.raw(), kind, node);
        }
        LLVMDisposeValueMetadataEntries(entries);
        LLVMGlobalClearMetadata(old.raw());
    }
}

/// Takes the body away: the function is only declared afterwards.
///
/// # Safety
/// Nobody keeps the `Value` of `old` or of anything in its body.
pub(crate) unsafe fn remove_body(handle: &Handle, old: Value) {
    let new = declare_like(handle, old);
    new.set_linkage(LLVMLinkage::LLVMExternalLinkage);
    // SAFETY: as demanded of our caller.
    unsafe { replace(new, old) };
}
