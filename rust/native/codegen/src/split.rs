//! One module as several, each of which is optimised and written by itself: at the same time as others, or not at
//! all if an earlier build has its object.
//!
//! Each part holds some functions whole. What they refer to outside of it they refer to by symbols that the linker
//! resolves, and whose names do not depend on what else is in the library: so the text of a part ([`Part::text`])
//! says all that its object depends on. What is left of the module that was split holds the tables.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::{LLVMLinkage, LLVMValueKind, LLVMVisibility};
use nativecache_mutation::mutation;

use crate::builder::{constant_aggregate, constant_array_slot, Builder};
use crate::compile_units::CompileUnits;
use crate::error::CodegenError;
use crate::finish::{copy_properties, symbol, SLOT_TABLE};
use crate::function::{declare_like, move_body};
use crate::handle::Handle;
use crate::materialise::rebuild;
use crate::names;
use crate::object;
use crate::pipeline::{self, SlotLoads};
use crate::references::References;
use crate::target::Target;
use crate::value::Value;

/// What does not depend on what else is in the library.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// For each slot a text that says what it holds.
    pub slots: Vec<String>,
    /// For functions, by their name as in [`Emitted`](crate::Emitted), a text that says what they are.
    pub functions: HashMap<String, String>,
}

/// Start of the symbol of a slot whose content never changes; that of another begins with [`MUTABLE_SLOT`].
pub(crate) const FIXED_SLOT: &str = "slot.";
/// See [`FIXED_SLOT`].
pub(crate) const MUTABLE_SLOT: &str = "mutable_slot.";

/// How parts call what the loader tells the library of thread-local state: [`symbol::TLS_OFFSET`] would be reached through
/// the global offset table.
const OWN_TLS_OFFSET: &str = "nativecache_tls_offset";

/// A part has about so many functions; see [`boundaries`].
const USUAL_SIZE: u64 = 16;
/// No part has more.
const LARGEST: usize = 64;

/// Some functions of a library.
#[derive(Debug)]
pub struct Part {
    handle: Handle,
    functions: Vec<String>,
}

impl Part {
    /// The names of its functions in the object file.
    #[must_use]
    pub fn functions(&self) -> &[String] {
        &self.functions
    }

    /// All that the object depends on besides the target and this program.
    ///
    /// Without the linkage names of debug information: Julia's code generator puts a number into them that depends on
    /// what it emitted before, and the object does not have them.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        without_linkage_names(self.handle.module().print_to_string().to_bytes())
    }

    /// Runs Julia's passes and writes the object file.
    ///
    /// # Errors
    /// As [`NativeModule::optimise`](crate::NativeModule::optimise) and
    /// [`NativeModule::emit_object`](crate::NativeModule::emit_object), and `Verify`.
    pub fn write(self, target: &Target, path: &Path) -> Result<(), CodegenError> {
        self.handle.module().verify().map_err(|text| CodegenError::Verify { text: text.to_string() })?;
        pipeline::optimise(&self.handle, target, &SlotLoads::Symbols)?;
        import_loader_variable(&self.handle);
        object::emit(&self.handle, target, path)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // SAFETY: `Handle::create` made it, only this part knows it, and no value of it outlives this.
        unsafe { self.handle.dispose() };
    }
}

/// Cuts `"julia_name_123"` behind each `linkageName: ` down to what does not depend on the process.
fn without_linkage_names(text: &[u8]) -> Vec<u8> {
    const FIELD: &[u8] = b"linkageName: \"";
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, FIELD) {
        let (before, behind) = rest.split_at(at + FIELD.len());
        kept.extend_from_slice(before);
        let end = behind.iter().position(|byte| *byte == b'"').unwrap_or(behind.len());
        let (name, after) = behind.split_at(end);
        let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        kept.extend_from_slice(name.get(..name.len() - digits).unwrap_or_default());
        rest = after;
    }
    kept.extend_from_slice(rest);
    kept
}

/// Where parts begin, in a list of functions by name.
///
/// Whether a function begins a part depends on its name alone, so one that is added or gone changes the part it is
/// in, and no other.
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

/// FNV-1a: the same in every process and with every compiler. Names that collide get a number.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Gives out names that nothing else has.
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

fn hide(global: Value) {
    global.set_linkage(LLVMLinkage::LLVMExternalLinkage);
    // SAFETY: a global value of a living module.
    unsafe { LLVMSetVisibility(global.raw(), LLVMVisibility::LLVMHiddenVisibility) };
}

/// Renames what parts will refer to, and takes all functions out of the module, whose order does not matter.
///
/// `placeholders` are the variables that stand for slots, `mutable` those slots whose content may change.
pub(crate) fn split(
    whole: &Handle,
    names: &Names,
    placeholders: &BTreeMap<u32, Value>,
    is_mutable: &dyn Fn(u32) -> bool,
) -> Result<Vec<Part>, CodegenError> {
    if whole.has_inline_assembly() {
        return Err(CodegenError::Unsplittable { what: "assembly outside of functions".to_owned() });
    }
    let mut unique = Unique::default();
    for (&slot, placeholder) in placeholders {
        let text = names.slots.get(slot as usize);
        let text = text.ok_or(CodegenError::SlotOutOfRange { slot, slots: names.slots.len() as u32 })?;
        let start = if is_mutable(slot) { MUTABLE_SLOT } else { FIXED_SLOT };
        placeholder.set_name(&unique.name(format!("{start}{:08x}", hash(text) as u32)));
        hide(*placeholder);
    }
    let functions = whole.defined_functions();
    let finals = name_functions(&functions, names, &mut unique);
    let starts = boundaries(&finals);
    let mut units = CompileUnits::default();
    let mut parts = Vec::new();
    let mut shared = Vec::new();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(functions.len());
        let (Some(members), Some(functions)) = (functions.get(start..end), finals.get(start..end)) else {
            break;
        };
        let part = Part { handle: whole.create_beside(), functions: functions.to_vec() };
        let mut mover = Mover {
            part: &part.handle,
            builder: part.handle.builder(),
            references: References::default(),
            known: HashMap::new(),
            data: 0,
            shared: &mut shared,
        };
        for &function in members {
            mover.take(function)?;
        }
        units.list(&part.handle);
        parts.push(part);
    }
    mutation!("order: variables stay where they came up", put_in_order(whole, shared), drop(shared));
    Ok(parts)
}

/// Makes variables anew, in this order. Where Julia's code generator puts a variable into a module (that of a `ccall`'s
/// symbol, say) depends on what the process compiled before, and the object has them in the module's order.
fn put_in_order(whole: &Handle, variables: Vec<Value>) {
    for old in variables {
        let name = old.name();
        old.set_name("");
        let new = whole.add_global(old.value_type(), &name);
        copy_properties(new, old);
        if let Some(initializer) = old.initializer() {
            new.set_initializer(initializer);
        }
        hide(new);
        old.replace_all_uses_with(new);
        // SAFETY: nothing uses it now; the list of the parts' makers is consumed here, and they are gone.
        unsafe { old.delete_global() };
    }
}

/// Names the functions by what they are, in place; returns the names.
fn name_functions(functions: &[Value], names: &Names, unique: &mut Unique) -> Vec<String> {
    let before: Vec<String> = functions.iter().map(|function| function.name()).collect();
    for function in functions {
        function.set_name(""); // a new name may be the old one of another
    }
    let mut finals = vec![String::new(); functions.len()];
    let mut helpers = Vec::new();
    for (index, (function, name)) in functions.iter().zip(&before).enumerate() {
        match (names.functions.get(name), finals.get_mut(index)) {
            (Some(text), Some(place)) => *place = give(*function, name, hash(text), unique),
            _ => helpers.push((*function, index)),
        }
    }
    // What is not asked for by itself (a prototype, a thunk) belongs to the function that refers to it first.
    let helpers: HashMap<Value, usize> = helpers.into_iter().collect();
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
            let (Some(place), Some(before)) = (finals.get_mut(helper), before.get(helper)) else { continue };
            if place.is_empty() {
                *place = give(global, before, hash(&format!("{name} {}", found.len())), unique);
                found.push(helper);
            }
        }
        pending.extend(found.into_iter().rev());
    }
    for (index, name) in finals.iter_mut().enumerate().filter(|(_, name)| name.is_empty()) {
        if let (Some(&function), Some(before)) = (functions.get(index), before.get(index)) {
            *name = give(function, before, 0, unique);
        }
    }
    finals
}

fn give(function: Value, before: &str, hash: u64, unique: &mut Unique) -> String {
    let name = unique.name(format!("{}.{:08x}", names::split(before).0, hash as u32));
    function.set_name(&name);
    hide(function);
    name
}

/// Moves functions from the module that is split to one of the parts.
struct Mover<'a> {
    part: &'a Handle,
    builder: Builder,
    references: References,
    /// What stands in the part for a constant of the whole module.
    known: HashMap<Value, Value>,
    /// Constant data that the part has a copy of.
    data: usize,
    /// Variables that parts share, in the order in which functions come to them.
    shared: &'a mut Vec<Value>,
}

impl Mover<'_> {
    fn take(&mut self, old: Value) -> Result<(), CodegenError> {
        let new = self.global(old)?;
        move_body(new, old);
        for instruction in new.instructions() {
            for index in 0..instruction.operand_count() {
                let Some(operand) = instruction.operand(index) else { continue };
                if operand.is_constant() {
                    let here = self.constant(operand)?;
                    if here != operand {
                        instruction.set_operand(index, here);
                    }
                } else if let Some(constant) = self.part.metadata_constant(operand) {
                    let here = self.constant(constant)?;
                    if here != constant {
                        instruction.set_operand(index, self.part.constant_metadata(here));
                    }
                }
            }
        }
        Ok(())
    }

    fn constant(&mut self, constant: Value) -> Result<Value, CodegenError> {
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
                let parts: Vec<Value> =
                    constant.operands().map(|part| self.constant(part)).collect::<Result<_, _>>()?;
                let made = if constant.kind() == LLVMConstantExprValueKind {
                    rebuild(&self.builder, constant, &parts)
                } else {
                    constant_aggregate(constant.ty(), &parts)
                };
                let made = made.filter(|made| made.is_constant() && made.ty() == constant.ty());
                let made = made.ok_or_else(|| CodegenError::Unsplittable {
                    what: format!("a constant {:?}", constant.const_opcode()),
                })?;
                self.known.insert(constant, made);
                Ok(made)
            }
            _ => Ok(constant),
        }
    }

    /// What stands in the part for a function or variable of the whole module.
    fn global(&mut self, old: Value) -> Result<Value, CodegenError> {
        if let Some(&known) = self.known.get(&old) {
            return Ok(known);
        }
        if old.is_function() {
            // SAFETY: a function of a living module.
            if unsafe { LLVMHasPersonalityFn(old.raw()) } != 0 {
                return Err(CodegenError::Unsplittable {
                    what: format!("{} with a personality", old.name()),
                });
            }
            let new = declare_like(self.part, old);
            new.set_name(&old.name());
            self.known.insert(old, new);
            return Ok(new);
        }
        if old.initializer().is_some() && !old.is_global_constant() {
            // One variable for all parts; it stays in the module that is split.
            // SAFETY: a global value of a living module.
            if unsafe { LLVMGetLinkage(old.raw()) } != LLVMLinkage::LLVMExternalLinkage {
                let name = names::numbered(&old.name(), self.shared.len());
                self.shared.push(old);
                old.set_name(&name);
                hide(old);
            }
        }
        let is_copy = old.initializer().filter(|_| old.is_global_constant());
        let name = match is_copy {
            Some(_) => names::numbered(&old.name(), self.data),
            None => old.name(),
        };
        let new = self.part.add_global(old.value_type(), &name);
        copy_properties(new, old);
        // It may refer to itself.
        self.known.insert(old, new);
        if let Some(initializer) = is_copy {
            self.data += 1;
            let initializer = self.constant(initializer)?;
            new.set_initializer(initializer);
            // Without a symbol in the object file.
            new.set_linkage(LLVMLinkage::LLVMPrivateLinkage);
        }
        Ok(new)
    }
}

/// Makes the slot table, and a symbol for each slot that code refers to.
pub(crate) fn make_slot_table(whole: &Handle, slots: u32, placeholders: BTreeMap<u32, Value>) {
    let table = whole.add_loader_variable(whole.byte_pointer().array(slots.max(1)), symbol::SLOTS);
    debug_assert_eq!(table.name(), SLOT_TABLE);
    for (index, placeholder) in placeholders {
        let name = placeholder.name();
        // Constants that nothing uses any longer still refer to it.
        placeholder.replace_all_uses_with(placeholder.ty().undef());
        // SAFETY: it is declared only, all functions have been moved out, and the list that it is in ends here.
        unsafe { placeholder.delete_global() };
        whole.add_alias(constant_array_slot(table, index, whole.word()), &name, true);
    }
}

/// Defines, for the loader and for the parts, what `LowerPTLS` declares.
pub(crate) fn make_loader_variable(whole: &Handle) {
    let variable = whole.add_loader_variable(whole.word(), symbol::TLS_OFFSET);
    whole.add_alias(variable, OWN_TLS_OFFSET, true);
}

/// `LowerPTLS` defines its variable in each module that it sees: here it becomes that of the whole library.
fn import_loader_variable(part: &Handle) {
    let (Some(alias), Some(real)) =
        (part.alias(symbol::TLS_OFFSET), part.aliased_variable(symbol::TLS_OFFSET))
    else {
        return;
    };
    let import = part.add_global(real.value_type(), OWN_TLS_OFFSET);
    hide(import);
    real.replace_all_uses_with(import);
    alias.set_linkage(LLVMLinkage::LLVMInternalLinkage);
    // SAFETY: an alias must have something that is defined here; it is of the same type.
    unsafe { LLVMAliasSetAliasee(alias.raw(), real.raw()) };
    pipeline::delete_unused(part);
}
