//! From a rewritten module to one that means the same in every process: what stays, in which order, under
//! which names, and the tables by which the loader finds it.

use std::collections::{BTreeMap, HashSet};

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::LLVMValueRef;
use inkwell::llvm_sys::LLVMLinkage;

use crate::builder::{constant_aggregate, constant_array_slot, constant_offset};
use crate::emitted::Rewritten;
use crate::error::CodegenError;
use crate::function::{declare_like, take_over};
use crate::handle::Handle;
use crate::julia_1_5 as julia;
use crate::literal::{parts, pointer_literal};
use crate::names;
use crate::pipeline;
use crate::references::References;
use crate::split::{self, Names, Part};
use crate::value::{is_used, Value};

/// Where the loader finds things in the library.
pub mod symbol {
    /// `void *[n]`, zero: the loader fills it.
    pub const SLOTS: &str = "nativecache_slots";
    /// `int32_t[n]`: each exported function, as its address minus the address of this array.
    pub const FUNCTIONS: &str = "nativecache_functions";
    /// `uint8_t[16]`: ties the code to its tables.
    pub const BUILD_ID: &str = "nativecache_build_id";
    /// `int64_t`, zero: the loader stores the offset of the thread-local state from the thread pointer.
    pub const TLS_OFFSET: &str = crate::julia_1_5::TLS_OFFSET;
}

/// The slot table, as the code of the library calls it.
pub(crate) const SLOT_TABLE: &str = "nativecache_slots.real";

/// A function that the loader can find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportedFunction {
    /// The function, as `jl_get_llvm_function` returned it or
    /// [`NativeModule::function`](crate::NativeModule::function) found it.
    pub value: LLVMValueRef,
}

/// How a function is called before and after [`finish`](crate::NativeModule::finish).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalName {
    /// As in [`Emitted`](crate::Emitted).
    pub before: String,
    /// As in the object file, and in errors of later steps.
    pub after: String,
}

/// What `finish` made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finished {
    /// All functions that are left, in the order of the object file.
    pub functions: Vec<FinalName>,
}

/// What the loader is to find.
pub(crate) struct Tables<'a> {
    pub(crate) exported: &'a [ExportedFunction],
    pub(crate) slots: u32,
    pub(crate) build_id: [u8; 16],
    pub(crate) placeholders: BTreeMap<u32, Value>,
}

pub(crate) fn finish(
    handle: &Handle,
    rewritten: &Rewritten,
    tables: Tables<'_>,
) -> Result<Finished, CodegenError> {
    let exported = checked_exports(handle, rewritten, &tables)?;
    make_slot_table(handle, tables.slots, tables.placeholders);
    make_function_table(handle, &exported);
    make_build_id(handle, &tables.build_id);
    let functions = order_functions(handle);
    order_globals(handle);
    handle.set_module_name();
    Ok(Finished { functions })
}

/// The same in several modules, see [`crate::split`]; in the one of `handle` only the tables are left.
pub(crate) fn finish_in_parts(
    handle: &Handle,
    rewritten: &Rewritten,
    tables: Tables<'_>,
    names: &Names,
    is_mutable: &dyn Fn(u32) -> bool,
) -> Result<Vec<Part>, CodegenError> {
    let exported = checked_exports(handle, rewritten, &tables)?;
    let parts = split::split(handle, names, &tables.placeholders, is_mutable)?;
    split::make_slot_table(handle, tables.slots, tables.placeholders);
    split::make_loader_variable(handle);
    make_function_table(handle, &exported);
    make_build_id(handle, &tables.build_id);
    // Declarations of what functions referred to, and data of which the parts have copies.
    pipeline::delete_unused(handle);
    handle.set_module_name();
    Ok(parts)
}

/// The functions to export, in a module that holds what they reach and nothing else, and no address.
fn checked_exports(
    handle: &Handle,
    rewritten: &Rewritten,
    tables: &Tables<'_>,
) -> Result<Vec<Value>, CodegenError> {
    let exported = exported_functions(handle, tables.exported)?;
    if let Some((&slot, _)) = tables.placeholders.iter().next_back().filter(|(&slot, _)| slot >= tables.slots)
    {
        return Err(CodegenError::SlotOutOfRange { slot, slots: tables.slots });
    }
    let reached = References::default().reachable(exported.iter().copied());
    refuse_addresses(rewritten, &reached)?;
    delete_unreached(handle, &reached);
    Ok(exported)
}

/// The functions of the list, which must be defined here.
fn exported_functions(handle: &Handle, exported: &[ExportedFunction]) -> Result<Vec<Value>, CodegenError> {
    let defined: HashSet<LLVMValueRef> = handle.defined_functions().into_iter().map(Value::raw).collect();
    exported
        .iter()
        .enumerate()
        .map(|(index, function)| {
            let known = defined.contains(&function.value);
            // SAFETY: it is one of the module's functions.
            let value = known.then(|| unsafe { Value::from_raw(function.value) }).flatten();
            value.ok_or(CodegenError::NotAFunction { index })
        })
        .collect()
}

/// The last line of defence: nothing that goes into the library may hold an address of this process.
fn refuse_addresses(rewritten: &Rewritten, reached: &[Value]) -> Result<(), CodegenError> {
    let mut seen = HashSet::new();
    for &global in reached {
        let name = global.name();
        let left = |address| CodegenError::AddressLeft { function: name.clone(), address };
        if global.is_defined_function() {
            if let Some(unknown) = rewritten.get(&name).and_then(|function| function.unknown.first()) {
                return Err(left(unknown.address));
            }
            for operand in
                global.instructions().flat_map(Value::operands).filter(|operand| operand.is_constant())
            {
                if let Some(address) = first_address(operand, &mut seen) {
                    return Err(left(address));
                }
            }
        } else if let Some(initializer) = global.is_global_variable().then(|| global.initializer()).flatten()
        {
            if let Some(address) = first_address(initializer, &mut seen) {
                return Err(left(address));
            }
        }
    }
    Ok(())
}

fn first_address(constant: Value, seen: &mut HashSet<Value>) -> Option<u64> {
    if let Some(address) = pointer_literal(constant) {
        return Some(address);
    }
    let parts = parts(constant);
    if parts.is_empty() || !seen.insert(constant) {
        return None;
    }
    parts.into_iter().find_map(|part| first_address(part, seen))
}

fn delete_unreached(handle: &Handle, reached: &[Value]) {
    let reached: HashSet<Value> = reached.iter().copied().collect();
    let unreached = |value: &Value| !reached.contains(value) && !value.is_declaration();
    let functions: Vec<Value> =
        handle.functions().into_iter().filter(|f| unreached(f) || is_leftover(*f)).collect();
    let globals: Vec<Value> = handle.globals().into_iter().filter(unreached).collect();
    for &dead in functions.iter().chain(&globals) {
        // Among themselves they may refer to each other.
        dead.replace_all_uses_with(dead.ty().undef());
    }
    // SAFETY: nothing uses them any longer, and their values are in the two lists alone, which end here.
    unsafe {
        for dead in functions {
            dead.delete_function();
        }
        for dead in globals {
            dead.delete_global();
        }
    }
}

/// A declaration of which nothing is left: its name depends on the process and may be in the way of another.
fn is_leftover(function: Value) -> bool {
    function.is_declaration() && julia::is_made_up(&function.name()) && !is_used(function)
}

fn make_slot_table(handle: &Handle, slots: u32, placeholders: BTreeMap<u32, Value>) {
    // A table without room would have no address of its own.
    let table = handle.add_loader_variable(handle.byte_pointer().array(slots.max(1)), symbol::SLOTS);
    for (index, placeholder) in placeholders {
        placeholder.replace_all_uses_with(constant_array_slot(table, index, handle.word()));
        // SAFETY: it is declared only, nothing uses it any longer, and this was the last list that it was in.
        unsafe { placeholder.delete_global() };
    }
}

/// Constant data that is visible outside.
fn export_data(handle: &Handle, name: &str, data: Value) -> Value {
    let global = handle.add_global(data.ty(), name);
    global.set_initializer(data);
    global.set_constant();
    global
}

fn make_function_table(handle: &Handle, exported: &[Value]) {
    let half_word = handle.half_word();
    let ty = half_word.array(exported.len().max(1) as u32);
    let table = export_data(handle, symbol::FUNCTIONS, ty.null());
    let mut offsets: Vec<Value> =
        exported.iter().map(|function| constant_offset(*function, table, handle.word(), half_word)).collect();
    if offsets.is_empty() {
        offsets.push(half_word.int(0));
    }
    if let Some(data) = constant_aggregate(ty, &offsets) {
        table.set_initializer(data);
    }
}

fn make_build_id(handle: &Handle, build_id: &[u8; 16]) {
    let byte = handle.byte();
    let bytes: Vec<Value> = build_id.iter().map(|&number| byte.int(u64::from(number))).collect();
    if let Some(data) = constant_aggregate(byte.array(16), &bytes) {
        export_data(handle, symbol::BUILD_ID, data);
    }
}

/// Puts the functions into the order in which they were emitted, and names them by it.
///
/// `jl_create_native` merges them in the order of the addresses of their code instances.
fn order_functions(handle: &Handle) -> Vec<FinalName> {
    let functions: Vec<(String, Value)> =
        handle.defined_functions().into_iter().map(|function| (function.name(), function)).collect();
    // A new name may be the old one of another.
    for (_, function) in &functions {
        function.set_name("");
    }
    functions
        .into_iter()
        .enumerate()
        .map(|(position, (before, old))| {
            let new = declare_like(handle, old);
            // SAFETY: the list that `old` is in ends here.
            unsafe { take_over(new, old) };
            let after = names::numbered(&before, position);
            new.set_name(&after);
            new.set_linkage(LLVMLinkage::LLVMInternalLinkage);
            FinalName { before, after }
        })
        .collect()
}

/// Puts the variables of the library into the order in which the functions refer to them.
fn order_globals(handle: &Handle) {
    let reached = References::default().reachable(handle.defined_functions());
    let own: Vec<Value> = reached
        .into_iter()
        .filter(|value| value.is_global_variable() && !value.is_declaration() && value.name() != SLOT_TABLE)
        .collect();
    let named: Vec<(String, Value)> = own.into_iter().map(|global| (global.name(), global)).collect();
    for (_, global) in &named {
        global.set_name("");
    }
    for (position, (before, old)) in named.into_iter().enumerate() {
        let new = handle.add_global(old.value_type(), &names::numbered(&before, position));
        copy_global(new, old);
        old.replace_all_uses_with(new);
        // SAFETY: nothing uses it any longer, and the list that it is in ends here.
        unsafe { old.delete_global() };
    }
}

/// Gives a variable the properties of another of the same type, but neither its content nor its linkage.
pub(crate) fn copy_properties(new: Value, old: Value) {
    // SAFETY: both are variables of living modules of one context.
    unsafe {
        LLVMSetVisibility(new.raw(), LLVMGetVisibility(old.raw()));
        LLVMSetGlobalConstant(new.raw(), LLVMIsGlobalConstant(old.raw()));
        LLVMSetUnnamedAddress(new.raw(), LLVMGetUnnamedAddress(old.raw()));
        LLVMSetAlignment(new.raw(), LLVMGetAlignment(old.raw()));
        LLVMSetThreadLocalMode(new.raw(), LLVMGetThreadLocalMode(old.raw()));
        LLVMSetExternallyInitialized(new.raw(), LLVMIsExternallyInitialized(old.raw()));
        let section = LLVMGetSection(old.raw());
        if !section.is_null() && *section != 0 {
            LLVMSetSection(new.raw(), section);
        }
    }
}

fn copy_global(new: Value, old: Value) {
    copy_properties(new, old);
    if let Some(initializer) = old.initializer() {
        new.set_initializer(initializer);
    }
    new.set_linkage(LLVMLinkage::LLVMInternalLinkage);
}
