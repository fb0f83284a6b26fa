//! Splits a module into parts that are optimised and written by themselves: in parallel, or not at all if an earlier
//! build has the object.
//!
//! Each part holds whole functions, and refers to everything else by symbols that the linker resolves. Their names do
//! not depend on the rest of the library, so the text of a part ([`Part::text`]) determines its object. The tables stay
//! in the original module.
//!
//! LLVM's own `SplitModule` would not do: its C interface lacks it, and the part that a function gets into depends on
//! all others.

use std::collections::{BTreeMap, HashMap};

use inkwell::llvm_sys::{LLVMLinkage, LLVMValueKind};
use nativecache_mutation::mutation;

use super::compile_units::list_compile_units;
use super::part::Part;
use crate::error::CodegenError;
use crate::llvm::{
    aggregate, array_element, declare_like, move_body, AliasVisibility, Builder, Function, Instruction,
    Module, Value, Variable,
};
use crate::names;
use crate::rewrite::materialise::rebuild;
use crate::rewrite::references::References;
use crate::symbols::{self, symbol, HIDDEN_TLS_OFFSET, SLOT_TABLE};

/// Texts that do not depend on the rest of the library.
#[derive(Debug, Clone, Default)]
pub struct StableNames {
    /// For each slot, a text that identifies its content.
    pub slots: Vec<String>,
    /// For functions, by their name in [`Emitted`](crate::Emitted), a text that identifies them.
    pub functions: HashMap<String, String>,
}

/// The usual number of functions in a part; see [`boundaries`].
const USUAL_SIZE: u64 = 16;
/// The largest number of functions in a part.
const LARGEST: usize = 64;

/// Where parts begin, in a list of functions by name.
///
/// The name of a function alone decides whether it begins a part. So adding or removing a function changes only the
/// part that it is in.
fn boundaries(names: &[String]) -> Vec<usize> {
    let mut starts: Vec<usize> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let size = starts.last().map_or(LARGEST, |start| index - start);
        if size >= LARGEST || hash(name).is_multiple_of(USUAL_SIZE) {
            starts.push(index);
        }
    }
    starts
}

/// FNV-1a, which is the same in every process and with every compiler. Colliding names get a number.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Makes names unique.
#[derive(Default)]
struct Unique(HashMap<String, u32>);

impl Unique {
    fn name(&mut self, wanted: String) -> String {
        let count = self.0.entry(wanted.clone()).or_insert(0);
        *count += 1;
        if *count == 1 {
            wanted
        } else {
            // Nothing else ends in a letter and a number behind a hash of eight digits.
            format!("{wanted}n{count}")
        }
    }
}

/// Renames what parts will refer to, and moves all functions out of the module. Their order does not matter.
///
/// `placeholders` are the variables that stand for slots.
pub(super) fn split(
    whole: &Module,
    names: &StableNames,
    placeholders: &BTreeMap<u32, Variable<'_>>,
) -> Result<Vec<Part>, CodegenError> {
    if whole.has_inline_assembly() {
        return Err(CodegenError::Unsplittable { what: "assembly outside of functions".to_owned() });
    }
    let mut unique = Unique::default();
    for (&slot, placeholder) in placeholders {
        let text = names.slots.get(slot as usize);
        let text = text.ok_or(CodegenError::SlotOutOfRange { slot, slots: names.slots.len() as u32 })?;
        placeholder.set_name(&unique.name(symbols::slot(hash(text) as u32)));
        placeholder.hide();
    }
    let functions = whole.defined_functions();
    let finals = name_functions(&functions, names, &mut unique);
    let starts = boundaries(&finals);
    let mut parts = Vec::new();
    let mut shared = Vec::new();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(functions.len());
        let (Some(members), Some(names)) = (functions.get(start..end), finals.get(start..end)) else {
            break;
        };
        let part = whole.create_beside()?;
        let mut mover = Mover::new(&part, &mut shared);
        for &function in members {
            mover.take(function)?;
        }
        list_compile_units(&part);
        parts.push(Part::new(part, names.to_vec()));
    }
    mutation!("order: variables stay where they came up", put_in_order(whole, shared)?, drop(shared));
    Ok(parts)
}

/// Replaces these variables by new ones in this order. The place of a variable in Julia's module (that of a `ccall`'s
/// symbol, say) depends on what the process compiled before, and the object keeps the module's order.
fn put_in_order<'m>(whole: &'m Module, variables: Vec<Variable<'m>>) -> Result<(), CodegenError> {
    for old in variables {
        let name = old.name();
        old.set_name("");
        let new = whole.add_variable(old.value_type(), &name)?;
        new.copy_from(old);
        new.hide();
        old.replace_all_uses_with(**new);
        // SAFETY: nothing uses it now. The list of the parts' makers is used up here, and they are gone.
        unsafe { old.delete() };
    }
    Ok(())
}

/// Renames the functions by what they are, and returns the names.
fn name_functions(functions: &[Function<'_>], names: &StableNames, unique: &mut Unique) -> Vec<String> {
    let before: Vec<String> = functions.iter().map(|function| function.name()).collect();
    for function in functions {
        function.set_name(""); // a new name may be the old one of another
    }
    let mut finals = vec![String::new(); functions.len()];
    let mut helpers: HashMap<Value<'_>, usize> = HashMap::new();
    for (index, (function, name)) in functions.iter().zip(&before).enumerate() {
        match (names.functions.get(name), finals.get_mut(index)) {
            (Some(text), Some(place)) => *place = give_name(*function, name, hash(text), unique),
            _ => {
                helpers.insert(***function, index);
            }
        }
    }
    // What is not asked for by itself (a prototype, a thunk) belongs to the function that refers to it first.
    let mut references = References::default();
    let mut pending: Vec<usize> = (0..functions.len())
        .rev()
        .filter(|index| finals.get(*index).is_some_and(|name| !name.is_empty()))
        .collect();
    while let Some(index) = pending.pop() {
        let (Some(&owner), Some(name)) = (functions.get(index), finals.get(index).cloned()) else { continue };
        let mut found = Vec::new();
        for global in references.of_function(owner) {
            let Some(&helper) = helpers.get(&global) else { continue };
            let (Some(&function), Some(place), Some(before)) =
                (functions.get(helper), finals.get_mut(helper), before.get(helper))
            else {
                continue;
            };
            if place.is_empty() {
                *place = give_name(function, before, hash(&format!("{name} {}", found.len())), unique);
                found.push(helper);
            }
        }
        pending.extend(found.into_iter().rev());
    }
    for (index, name) in finals.iter_mut().enumerate().filter(|(_, name)| name.is_empty()) {
        if let (Some(&function), Some(before)) = (functions.get(index), before.get(index)) {
            *name = give_name(function, before, 0, unique);
        }
    }
    finals
}

/// Names a function by its name `before`, without the number, and a hash of what it is.
fn give_name(function: Function<'_>, before: &str, hash: u64, unique: &mut Unique) -> String {
    let name = unique.name(format!("{}.{:08x}", names::split(before).0, hash as u32));
    function.set_name(&name);
    function.hide();
    name
}

/// Moves functions from the module that is split, `'w`, to one of the parts, `'p`.
///
/// The lifetimes keep apart what stands in the whole module and what stands in the part. They do not keep a value of
/// one from becoming an operand in the other: that is so for a moment, between the move of a body and the end of `take`.
struct Mover<'w, 'p, 's> {
    part: &'p Module,
    builder: Builder<'p>,
    references: References<'w>,
    /// The counterparts in the part of constants of the whole module.
    known: HashMap<Value<'w>, Value<'p>>,
    /// How many constant variables were copied to the part.
    copies: usize,
    /// Variables that parts share, in the order in which functions refer to them.
    shared: &'s mut Vec<Variable<'w>>,
}

/// An operand that may need to be replaced in the part.
enum Operand<'w> {
    Constant(Value<'w>),
    /// A constant that is wrapped in metadata.
    Metadata(Value<'w>),
}

impl<'w: 'p, 'p, 's> Mover<'w, 'p, 's> {
    fn new(part: &'p Module, shared: &'s mut Vec<Variable<'w>>) -> Self {
        let references = References::default();
        Self { part, builder: part.builder(), references, known: HashMap::new(), copies: 0, shared }
    }

    /// Moves the body of a function, and replaces its references to the whole module by references to the part.
    fn take(&mut self, old: Function<'w>) -> Result<(), CodegenError> {
        let new = self.function(old)?;
        // Listed before the move, while they belong to the whole module as their lifetimes say.
        let operands: Vec<_> = old.instructions().flat_map(operands).collect();
        // SAFETY: the list is used up here, and the part lives longer than this call.
        unsafe { move_body(new, old) };
        for (instruction, index, operand) in operands {
            match operand {
                Operand::Constant(old) => {
                    let here = self.constant(old)?;
                    if here != old {
                        instruction.set_operand(index, here);
                    }
                }
                Operand::Metadata(old) => {
                    let here = self.constant(old)?;
                    if here != old {
                        instruction.set_operand(index, self.part.constant_as_metadata(here)?);
                    }
                }
            }
        }
        Ok(())
    }

    /// The counterpart of a constant in the part.
    fn constant(&mut self, constant: Value<'w>) -> Result<Value<'p>, CodegenError> {
        use LLVMValueKind::*;
        match constant.kind() {
            LLVMFunctionValueKind | LLVMGlobalVariableValueKind => self.global(constant),
            LLVMGlobalAliasValueKind | LLVMGlobalIFuncValueKind | LLVMBlockAddressValueKind => {
                Err(CodegenError::Unsplittable { what: format!("{:?} {}", constant.kind(), constant.name()) })
            }
            LLVMConstantExprValueKind
            | LLVMConstantStructValueKind
            | LLVMConstantArrayValueKind
            | LLVMConstantVectorValueKind => {
                if self.references.of_constant(constant).is_empty() {
                    return Ok(constant);
                }
                if let Some(&known) = self.known.get(&constant) {
                    return Ok(known);
                }
                let made = self.compound(constant)?;
                self.known.insert(constant, made);
                Ok(made)
            }
            _ => Ok(constant),
        }
    }

    /// Rebuilds an expression or an aggregate from the counterparts of its operands.
    fn compound(&mut self, constant: Value<'w>) -> Result<Value<'p>, CodegenError> {
        let parts: Vec<Value<'p>> =
            constant.operands().map(|part| self.constant(part)).collect::<Result<_, _>>()?;
        let made = match constant.kind() {
            LLVMValueKind::LLVMConstantExprValueKind => rebuild(&self.builder, constant, &parts)?,
            _ => aggregate(constant.ty(), &parts)?,
        };
        let made = made.filter(|made| made.is_constant() && made.ty() == constant.ty());
        made.ok_or_else(|| CodegenError::Unsplittable {
            what: format!("a constant {:?}", constant.const_opcode()),
        })
    }

    /// The counterpart of a function or variable in the part.
    fn global(&mut self, old: Value<'w>) -> Result<Value<'p>, CodegenError> {
        if let Some(function) = old.as_function() {
            self.function(function).map(|function| **function)
        } else if let Some(variable) = old.as_variable() {
            self.variable(variable)
        } else {
            Ok(old)
        }
    }

    fn function(&mut self, old: Function<'w>) -> Result<Function<'p>, CodegenError> {
        if let Some(known) = self.known.get(&**old).and_then(|known| known.as_function()) {
            return Ok(known);
        }
        if old.has_personality() {
            return Err(CodegenError::Unsplittable { what: format!("{} with a personality", old.name()) });
        }
        let new = declare_like(self.part, old)?;
        new.set_name(&old.name());
        self.known.insert(**old, **new);
        Ok(new)
    }

    fn variable(&mut self, old: Variable<'w>) -> Result<Value<'p>, CodegenError> {
        if let Some(&known) = self.known.get(&**old) {
            return Ok(known);
        }
        let copied = old.initializer().filter(|_| old.is_constant_data());
        if old.initializer().is_some() && copied.is_none() {
            self.share(old);
        }
        let name = match copied {
            Some(_) => names::numbered(&old.name(), self.copies),
            None => old.name(),
        };
        let new = self.part.add_variable(old.value_type(), &name)?;
        new.copy_properties(old);
        // It may refer to itself.
        self.known.insert(**old, **new);
        if let Some(initializer) = copied {
            self.copies += 1;
            let initializer = self.constant(initializer)?;
            new.set_initializer(initializer);
            // Without a symbol in the object file.
            new.set_linkage(LLVMLinkage::LLVMPrivateLinkage);
        }
        Ok(**new)
    }

    /// Makes a variable with changing content visible to all parts. It stays in the whole module.
    fn share(&mut self, variable: Variable<'w>) {
        if variable.linkage() != LLVMLinkage::LLVMExternalLinkage {
            let name = names::numbered(&variable.name(), self.shared.len());
            self.shared.push(variable);
            variable.set_name(&name);
            variable.hide();
        }
    }
}

/// The constant operands of an instruction, with their indices.
fn operands(instruction: Instruction<'_>) -> Vec<(Instruction<'_>, u32, Operand<'_>)> {
    let mut found = Vec::new();
    for index in 0..instruction.operand_count() {
        let Some(operand) = instruction.operand(index) else { continue };
        if operand.is_constant() {
            found.push((instruction, index, Operand::Constant(operand)));
        } else if let Some(constant) = operand.constant_in_metadata() {
            found.push((instruction, index, Operand::Metadata(constant)));
        }
    }
    found
}

/// Adds the slot table, and a symbol for each slot that code refers to.
pub(super) fn make_slot_table(
    whole: &Module,
    slots: u32,
    placeholders: BTreeMap<u32, Variable<'_>>,
) -> Result<(), CodegenError> {
    let table = whole.add_loader_variable(whole.byte_pointer().array(slots.max(1)), symbol::SLOTS)?;
    debug_assert_eq!(table.name(), SLOT_TABLE);
    for (index, placeholder) in placeholders {
        let name = placeholder.name();
        // Constants that nothing uses any longer still refer to it.
        placeholder.replace_all_uses_with(placeholder.ty().undef()?);
        // SAFETY: it is declared only, all functions have been moved out, and the list that it is in ends here.
        unsafe { placeholder.delete() };
        let slot = array_element(**table, index, whole.word())?;
        whole.add_alias(slot, &name, AliasVisibility::Hidden)?;
    }
    Ok(())
}

/// Defines the variable that `LowerPTLS` declares, for the loader and for the parts.
pub(super) fn make_thread_state_variable(whole: &Module) -> Result<(), CodegenError> {
    let variable = whole.add_loader_variable(whole.word(), symbol::TLS_OFFSET)?;
    whole.add_alias(**variable, HIDDEN_TLS_OFFSET, AliasVisibility::Hidden)
}
