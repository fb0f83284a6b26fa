//! Turns a rewritten module into one that means the same in every process: decides what stays, in which order and under
//! which names, and adds the tables by which the loader finds it.

use std::collections::{BTreeMap, HashMap, HashSet};

use inkwell::llvm_sys::prelude::LLVMValueRef;
use inkwell::llvm_sys::LLVMLinkage;

use super::part::Part;
use super::split::{self, StableNames};
use crate::error::CodegenError;
use crate::julia_1_5 as julia;
use crate::llvm::{
    aggregate, array_element, declare_like, difference, is_used, take_over, Function, Global, Module, Value,
    Variable,
};
use crate::names;
use crate::rewrite::findings::Rewritten;
use crate::rewrite::literals::{components, pointer_literal};
use crate::rewrite::references::References;
use crate::symbols::{symbol, SLOT_TABLE};

/// A function that the loader must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportedFunction {
    /// The function, as `jl_get_llvm_function` returned it or
    /// [`NativeModule::function`](crate::NativeModule::function) found it.
    pub value: LLVMValueRef,
}

/// What a function is called before and after [`finish`](crate::NativeModule::finish).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalName {
    /// Its name in [`Emitted`](crate::Emitted).
    pub before: String,
    /// Its name in the object file, and in errors of later steps.
    pub after: String,
}

/// What [`finish`](crate::NativeModule::finish) made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finished {
    /// All functions that are left, in the order of the object file.
    pub functions: Vec<FinalName>,
}

/// What the loader must find.
pub(crate) struct LoaderTables<'a> {
    pub(crate) exported: &'a [ExportedFunction],
    pub(crate) slots: u32,
    pub(crate) build_id: [u8; 16],
    /// The names of the variables that stand for slots.
    pub(crate) placeholders: &'a BTreeMap<u32, String>,
}

/// Gives a module its order, names and tables.
pub(crate) fn finish(
    module: &Module,
    rewritten: &Rewritten,
    tables: &LoaderTables<'_>,
) -> Result<Finished, CodegenError> {
    let exported = checked_exports(module, rewritten, tables)?;
    make_slot_table(module, tables.slots, placeholders(module, tables))?;
    make_function_table(module, &exported)?;
    make_build_id(module, &tables.build_id)?;
    let functions = order_functions(module)?;
    order_variables(module)?;
    module.set_name();
    Ok(Finished { functions })
}

/// Moves the functions to parts, see [`split`], and leaves the tables in the module.
pub(crate) fn finish_in_parts(
    module: &mut Module,
    rewritten: &Rewritten,
    tables: &LoaderTables<'_>,
    names: &StableNames,
) -> Result<Vec<Part>, CodegenError> {
    let exported = checked_exports(module, rewritten, tables)?;
    let placeholders = placeholders(module, tables);
    let parts = split::split(module, names, &placeholders)?;
    split::make_slot_table(module, tables.slots, placeholders)?;
    split::make_thread_state_variable(module)?;
    make_function_table(module, &exported)?;
    make_build_id(module, &tables.build_id)?;
    // Declarations of what functions referred to, and data of which the parts have copies.
    module.delete_unused();
    module.set_name();
    Ok(parts)
}

/// The variables that stand for slots. A missing one had no uses.
fn placeholders<'m>(module: &'m Module, tables: &LoaderTables<'_>) -> BTreeMap<u32, Variable<'m>> {
    let variable = |(slot, name): (&u32, &String)| Some((*slot, module.variable(name)?));
    tables.placeholders.iter().filter_map(variable).collect()
}

/// Deletes what the exported functions do not reach, and returns them. Fails if they reach an address.
fn checked_exports<'m>(
    module: &'m Module,
    rewritten: &Rewritten,
    tables: &LoaderTables<'_>,
) -> Result<Vec<Function<'m>>, CodegenError> {
    let exported = exported_functions(module, tables.exported)?;
    let last = tables.placeholders.keys().next_back();
    if let Some(&slot) = last.filter(|slot| **slot >= tables.slots) {
        return Err(CodegenError::SlotOutOfRange { slot, slots: tables.slots });
    }
    let reached = References::default().reachable(exported.iter().copied());
    refuse_addresses(rewritten, &reached)?;
    delete_unreached(module, reached.into_iter().collect())?;
    Ok(exported)
}

/// Finds the exported functions, which must be defined in the module.
fn exported_functions<'m>(
    module: &'m Module,
    exported: &[ExportedFunction],
) -> Result<Vec<Function<'m>>, CodegenError> {
    let defined: HashMap<LLVMValueRef, Function<'m>> =
        module.defined_functions().into_iter().map(|function| (function.raw(), function)).collect();
    let known = |(index, function): (usize, &ExportedFunction)| {
        defined.get(&function.value).copied().ok_or(CodegenError::NotAFunction { index })
    };
    exported.iter().enumerate().map(known).collect()
}

/// The last line of defence: nothing that goes into the library may hold an address of this process.
fn refuse_addresses(rewritten: &Rewritten, reached: &[Value<'_>]) -> Result<(), CodegenError> {
    let mut seen = HashSet::new();
    for &global in reached {
        let name = global.name();
        let left = |address| CodegenError::AddressLeft { function: name.clone(), address };
        if let Some(function) = global.as_defined_function() {
            if let Some(unknown) = rewritten.get(&name).and_then(|function| function.unknown.first()) {
                return Err(left(unknown.address));
            }
            for operand in function.instructions().flat_map(|instruction| instruction.operands()) {
                if let Some(address) = first_address(operand, &mut seen) {
                    return Err(left(address));
                }
            }
        } else if let Some(initializer) = global.as_variable().and_then(Variable::initializer) {
            if let Some(address) = first_address(initializer, &mut seen) {
                return Err(left(address));
            }
        }
    }
    Ok(())
}

/// The first address in a constant. Other values have none.
fn first_address<'m>(constant: Value<'m>, seen: &mut HashSet<Value<'m>>) -> Option<u64> {
    if let Some(address) = pointer_literal(constant) {
        return Some(address);
    }
    let components = components(constant);
    if components.is_empty() || !seen.insert(constant) {
        return None;
    }
    components.into_iter().find_map(|component| first_address(component, seen))
}

fn delete_unreached(module: &Module, reached: HashSet<Value<'_>>) -> Result<(), CodegenError> {
    let unreached = |global: Global<'_>| !global.is_declaration() && !reached.contains(&*global);
    let functions: Vec<Function<'_>> = module
        .functions()
        .into_iter()
        .filter(|function| unreached(**function) || is_leftover(*function))
        .collect();
    let variables: Vec<Variable<'_>> =
        module.variables().into_iter().filter(|variable| unreached(**variable)).collect();
    // Among themselves they may refer to each other.
    for dead in
        functions.iter().map(|function| ***function).chain(variables.iter().map(|variable| ***variable))
    {
        dead.replace_all_uses_with(dead.ty().undef()?);
    }
    for dead in functions {
        // SAFETY: nothing uses it any longer, and the list that it is in ends here.
        unsafe { dead.delete() };
    }
    for dead in variables {
        // SAFETY: nothing uses it any longer, and the list that it is in ends here.
        unsafe { dead.delete() };
    }
    Ok(())
}

/// Is this an unused declaration with a made-up name? Such a name depends on the process, and may collide with another.
fn is_leftover(function: Function<'_>) -> bool {
    function.is_declaration() && julia::is_made_up(&function.name()) && !is_used(**function)
}

fn make_slot_table(
    module: &Module,
    slots: u32,
    placeholders: BTreeMap<u32, Variable<'_>>,
) -> Result<(), CodegenError> {
    // A table without room would have no address of its own.
    let table = module.add_loader_variable(module.byte_pointer().array(slots.max(1)), symbol::SLOTS)?;
    for (index, placeholder) in placeholders {
        placeholder.replace_all_uses_with(array_element(**table, index, module.word())?);
        // SAFETY: it is declared only, nothing uses it any longer, and this was the last list that it was in.
        unsafe { placeholder.delete() };
    }
    Ok(())
}

/// Adds exported constant data.
fn export_data<'m>(module: &'m Module, name: &str, data: Value<'m>) -> Result<Variable<'m>, CodegenError> {
    let variable = module.add_variable(data.ty(), name)?;
    variable.set_initializer(data);
    variable.set_constant_data();
    Ok(variable)
}

fn make_function_table(module: &Module, exported: &[Function<'_>]) -> Result<(), CodegenError> {
    let (word, half_word) = (module.word(), module.half_word());
    let ty = half_word.array(exported.len().max(1) as u32);
    let table = export_data(module, symbol::FUNCTIONS, ty.null()?)?;
    let mut offsets: Vec<Value<'_>> = exported
        .iter()
        .map(|function| difference(***function, **table, word, half_word))
        .collect::<Result<_, _>>()?;
    if offsets.is_empty() {
        offsets.push(half_word.int(0)?);
    }
    if let Some(data) = aggregate(ty, &offsets)? {
        table.set_initializer(data);
    }
    Ok(())
}

fn make_build_id(module: &Module, build_id: &[u8; 16]) -> Result<(), CodegenError> {
    let byte = module.byte();
    let bytes: Vec<Value<'_>> =
        build_id.iter().map(|&number| byte.int(u64::from(number))).collect::<Result<_, _>>()?;
    if let Some(data) = aggregate(byte.array(16), &bytes)? {
        export_data(module, symbol::BUILD_ID, data)?;
    }
    Ok(())
}

/// Sorts the functions by the order in which they were emitted, and numbers their names by it.
///
/// `jl_create_native` puts them in the order of the addresses of their code instances.
fn order_functions(module: &Module) -> Result<Vec<FinalName>, CodegenError> {
    let functions: Vec<(String, Function<'_>)> =
        module.defined_functions().into_iter().map(|function| (function.name(), function)).collect();
    // A new name may be the old one of another.
    for (_, function) in &functions {
        function.set_name("");
    }
    let mut names = Vec::new();
    for (position, (before, old)) in functions.into_iter().enumerate() {
        let new = declare_like(module, old)?;
        // SAFETY: both are in `module`, and the list that `old` is in ends here.
        unsafe { take_over(new, old) };
        let after = names::numbered(&before, position);
        new.set_name(&after);
        new.set_linkage(LLVMLinkage::LLVMInternalLinkage);
        names.push(FinalName { before, after });
    }
    Ok(names)
}

/// Sorts the variables of the library by the order in which functions refer to them, and numbers their names by it.
fn order_variables(module: &Module) -> Result<(), CodegenError> {
    let own: Vec<(String, Variable<'_>)> = References::default()
        .reachable(module.defined_functions())
        .into_iter()
        .filter_map(Value::as_variable)
        .filter(|variable| !variable.is_declaration())
        .map(|variable| (variable.name(), variable))
        .filter(|(name, _)| name != SLOT_TABLE)
        .collect();
    for (_, variable) in &own {
        variable.set_name("");
    }
    for (position, (before, old)) in own.into_iter().enumerate() {
        let new = module.add_variable(old.value_type(), &names::numbered(&before, position))?;
        new.copy_from(old);
        new.set_linkage(LLVMLinkage::LLVMInternalLinkage);
        old.replace_all_uses_with(**new);
        // SAFETY: nothing uses it any longer, and the list that it is in ends here.
        unsafe { old.delete() };
    }
    Ok(())
}
