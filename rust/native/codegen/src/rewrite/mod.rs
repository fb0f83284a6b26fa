//! The first stage: every use of an address becomes a load from a slot.
//!
//! This runs on the module as code generation left it. There an address always has the form `inttoptr (i64 C to T)`,
//! alone or inside of other constants, or is a plain integer. Once a pass has run, it may be folded into anything.
//!
//! * `addresses`: the questions about addresses of this process
//! * `thunks`: calls of functions that are not in the module; they are rewritten first
//! * `variables`: addresses in the data of variables
//! * `literals`: which constants hold an address; `use_site`: where they are used
//! * `materialise`: turns a constant expression into an instruction, so that its operand can be a load
//! * `slots`: the loads
//! * `references`: what a function reaches
//! * `findings`: what is reported of each function

pub(crate) mod addresses;
pub(crate) mod findings;
pub(crate) mod literals;
pub(crate) mod materialise;
pub(crate) mod references;
pub(crate) mod slots;
mod thunks;
mod use_site;
mod variables;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use inkwell::llvm_sys::{LLVMOpcode, LLVMValueKind};

use self::addresses::{Addresses, Answer, Use};
use self::findings::{Emitted, Rewritten, UnknownAddress};
use self::literals::{components, pointer_literal, words, Literals};
use self::materialise::rebuild;
use self::references::References;
use self::slots::{as_type, Slots};
use self::thunks::{ThunkRewriter, Thunks};
use self::use_site::UseSite;
use self::variables::{own_lookups, tainted, Tainted};
use crate::error::CodegenError;
use crate::julia_1_5 as julia;
use crate::llvm::{aggregate, is_used, Block, Builder, Function, Instruction, Module, Value, Variable};

/// What was found in the function that is being rewritten.
#[derive(Default)]
struct Findings {
    slots: BTreeSet<u32>,
    unknown: Vec<UnknownAddress>,
}

/// What `rewrite` leaves for `finish`.
pub(crate) struct Outcome {
    pub(crate) rewritten: Rewritten,
    /// The names of the variables that stand for slots.
    pub(crate) placeholders: BTreeMap<u32, String>,
}

/// Replaces the addresses in all functions of a module.
pub(crate) fn rewrite(module: &Module, addresses: &mut dyn Addresses) -> Result<Outcome, CodegenError> {
    let builder = module.builder();
    let mut slots = Slots::new(module)?;
    own_lookups(module)?;
    let thunks = ThunkRewriter { module, builder: &builder, slots: &mut slots, addresses }.run()?;
    let mut literals = Literals::default();
    for &thunk in thunks.slots.keys() {
        literals.mark(**thunk);
    }
    let tainted = tainted(module, &mut literals, addresses)?;
    let rewriter = Rewriter {
        module,
        builder,
        slots,
        literals,
        addresses,
        function_slots: HashMap::new(),
        tainted,
        loaded: HashMap::new(),
        findings: Findings::default(),
    };
    rewriter.all(thunks)
}

struct Rewriter<'m, 'a> {
    module: &'m Module,
    builder: Builder<'m>,
    slots: Slots<'m>,
    literals: Literals<'m>,
    addresses: &'a mut dyn Addresses,
    /// Thunks whose uses become the content of a slot.
    function_slots: HashMap<Function<'m>, u32>,
    tainted: HashMap<Variable<'m>, Tainted<'m>>,
    /// Slots that were loaded before, in the block that is being rewritten.
    loaded: HashMap<u32, Value<'m>>,
    findings: Findings,
}

/// The values of a PHI that were made at the end of the blocks from which they come.
type Incoming<'m> = HashMap<(Block<'m>, Value<'m>), Value<'m>>;

impl<'m> Rewriter<'m, '_> {
    fn all(mut self, mut thunks: Thunks<'m>) -> Result<Outcome, CodegenError> {
        self.function_slots = std::mem::take(&mut thunks.slots);
        let mut by_function = HashMap::new();
        for function in self.module.defined_functions() {
            let mut findings = match thunks.done.remove(&function) {
                Some(slots) => Findings { slots: slots.into_iter().collect(), unknown: Vec::new() },
                None => self.function(function, &function.name())?,
            };
            findings.unknown.extend(thunks.unknown.remove(&function));
            by_function.insert(function, findings);
        }
        for &thunk in self.function_slots.keys() {
            // Its callers use the slot now. Only unused constants can still refer to it.
            if !is_used(**thunk) {
                by_function.remove(&thunk);
                thunk.replace_all_uses_with(thunk.ty().undef()?);
                // SAFETY: nothing uses it any longer. Of the collections that hold it, only these keys are read again,
                // each once.
                unsafe { thunk.delete() };
            }
        }
        let placeholders = self.slots.into_placeholders();
        let rewritten = Rewritten::new(summary(by_function, placeholders.values().copied().collect()));
        let placeholders = placeholders.into_iter().map(|(slot, variable)| (slot, variable.name())).collect();
        Ok(Outcome { rewritten, placeholders })
    }

    fn holds_address(&mut self, constant: Value<'m>) -> bool {
        self.literals.holds_address(constant, &*self.addresses)
    }

    // ---- functions ----

    fn function(&mut self, function: Function<'m>, name: &str) -> Result<Findings, CodegenError> {
        let mut incoming = Incoming::new();
        for block in function.blocks() {
            self.loaded.clear();
            let mut next = block.first_instruction();
            while let Some(instruction) = next {
                next = instruction.next();
                self.instruction(instruction, name, &mut incoming)?;
            }
        }
        Ok(std::mem::take(&mut self.findings))
    }

    fn instruction(
        &mut self,
        instruction: Instruction<'m>,
        function: &str,
        incoming: &mut Incoming<'m>,
    ) -> Result<(), CodegenError> {
        let interesting: Vec<u32> = (0..instruction.operand_count())
            .filter(|&index| {
                instruction
                    .operand(index)
                    .is_some_and(|operand| operand.is_constant() && self.holds_address(operand))
            })
            .collect();
        if interesting.is_empty() || self.replace_load(instruction, function)? {
            return Ok(());
        }
        for index in interesting {
            if instruction.opcode() == LLVMOpcode::LLVMPHI {
                self.incoming(instruction, index, function, incoming)?;
            } else {
                self.operand(instruction, index, function)?;
            }
        }
        Ok(())
    }

    fn operand(
        &mut self,
        instruction: Instruction<'m>,
        index: u32,
        function: &str,
    ) -> Result<(), CodegenError> {
        let Some(operand) = instruction.operand(index) else { return Ok(()) };
        self.builder.before(instruction);
        if let Some(new) = self.constant(operand, UseSite::new(function, instruction, index))? {
            instruction.set_operand(index, new);
        }
        Ok(())
    }

    /// Replaces an incoming value of a PHI by one that is made at the end of the incoming block. A block that is listed
    /// twice must give the same value twice.
    fn incoming(
        &mut self,
        phi: Instruction<'m>,
        index: u32,
        function: &str,
        incoming: &mut Incoming<'m>,
    ) -> Result<(), CodegenError> {
        let Some((operand, block)) = phi.operand(index).zip(phi.incoming_block(index)) else {
            return Ok(());
        };
        if let Some(&made) = incoming.get(&(block, operand)) {
            phi.set_operand(index, made);
            return Ok(());
        }
        let Some(terminator) = block.terminator() else { return Ok(()) };
        self.builder.before(terminator);
        // That block may be rewritten later. What is loaded at its end must not count as loaded at its beginning.
        let here = std::mem::take(&mut self.loaded);
        let made = self.constant(operand, UseSite::new(function, phi, index))?;
        self.loaded = here;
        if let Some(made) = made {
            incoming.insert((block, operand), made);
            phi.set_operand(index, made);
        }
        Ok(())
    }

    /// If the instruction loads a whole constant variable with an address in it, replaces it by the initialiser. Says
    /// whether it did.
    fn replace_load(&mut self, instruction: Instruction<'m>, function: &str) -> Result<bool, CodegenError> {
        if instruction.opcode() != LLVMOpcode::LLVMLoad {
            return Ok(false);
        }
        let initializer = instruction
            .operand(0)
            .and_then(Value::as_variable)
            .and_then(|variable| self.tainted.get(&variable))
            .and_then(|tainted| tainted.replacement)
            .filter(|initializer| initializer.ty() == instruction.ty());
        let Some(initializer) = initializer else { return Ok(false) };
        self.builder.before(instruction);
        let site = UseSite::new(function, instruction, 0).inside();
        let Some(new) = self.constant(initializer, site)? else { return Ok(false) };
        instruction.replace_all_uses_with(new);
        // SAFETY: nothing uses it any longer, and the callers continue with the next instruction.
        unsafe { instruction.delete() };
        Ok(true)
    }

    // ---- constants ----

    /// Replaces a constant by a value without addresses, which is made where the builder stands. `None` if the constant
    /// stays.
    fn constant(
        &mut self,
        constant: Value<'m>,
        site: UseSite<'m, '_>,
    ) -> Result<Option<Value<'m>>, CodegenError> {
        use LLVMValueKind::*;
        if !self.holds_address(constant) {
            return Ok(None);
        }
        if let Some(address) = pointer_literal(constant) {
            return self.pointer(constant, address, site);
        }
        match constant.kind() {
            LLVMConstantIntValueKind => self.integer(constant, site),
            LLVMFunctionValueKind => {
                let slot = constant.as_function().and_then(|function| self.function_slots.get(&function));
                slot.copied().map(|slot| self.load(slot, constant)).transpose()
            }
            LLVMGlobalVariableValueKind => {
                let tainted = constant.as_variable().and_then(|variable| self.tainted.get(&variable));
                self.findings.unknown.extend(tainted.into_iter().flat_map(|known| known.unknown.clone()));
                Ok(None)
            }
            LLVMConstantExprValueKind => self.expression(constant, site.inside()),
            _ => self.aggregate(constant, site.inside()),
        }
    }

    /// Replaces `inttoptr (i64 address to T)`. `T`, and the function that is called with it, tell what the address can
    /// be.
    fn pointer(
        &mut self,
        constant: Value<'m>,
        address: u64,
        site: UseSite<'m, '_>,
    ) -> Result<Option<Value<'m>>, CodegenError> {
        let argument = site.argument().filter(|(callee, index)| julia::is_string_parameter(callee, *index));
        let (usage, text) = match &argument {
            _ if constant.ty().is_function_pointer() => (Use::Function, "function pointer".to_owned()),
            Some((callee, argument)) => {
                (Use::CString { callee, argument: *argument }, format!("C string of {callee}"))
            }
            None => (Use::Value, "pointer".to_owned()),
        };
        match self.addresses.resolve(site.function, address, usage) {
            Answer::Slot(slot) if !site.must_be_constant() => self.load(slot, constant).map(Some),
            _ => {
                self.unknown(address, text, site);
                Ok(None)
            }
        }
    }

    /// Replaces an integer of 64 bits that is an address. A wider integer with an address in it cannot be replaced.
    fn integer(
        &mut self,
        constant: Value<'m>,
        site: UseSite<'m, '_>,
    ) -> Result<Option<Value<'m>>, CodegenError> {
        let bits = constant.ty().int_bits();
        for number in words(constant, self.module.word())? {
            if !self.addresses.is_candidate(number) {
                continue;
            }
            match self.addresses.resolve(site.function, number, Use::Integer { bits }) {
                Answer::Slot(slot) if bits == 64 && !site.must_be_constant() => {
                    return self.load(slot, constant).map(Some)
                }
                _ => self.unknown(number, format!("integer of {bits} bits"), site),
            }
        }
        Ok(None)
    }

    /// Replaces a constant expression with an address in it by an instruction.
    fn expression(
        &mut self,
        constant: Value<'m>,
        site: UseSite<'m, '_>,
    ) -> Result<Option<Value<'m>>, CodegenError> {
        let mut changed = false;
        let mut operands = Vec::new();
        for operand in constant.operands() {
            let new = self.constant(operand, site)?;
            changed |= new.is_some();
            operands.push(new.unwrap_or(operand));
        }
        if !changed {
            return Ok(None);
        }
        let rebuilt = rebuild(&self.builder, constant, &operands)?;
        if rebuilt.is_none() {
            let opcode = constant.const_opcode();
            self.findings.unknown.push(UnknownAddress {
                address: 0,
                usage: format!("constant expression {opcode:?}"),
                instruction: site.describe(),
                reason: "this kind of constant expression cannot be made an instruction",
            });
        }
        Ok(rebuilt)
    }

    /// Replaces a struct, array or vector: starts with a constant that has holes, and inserts the changed elements.
    fn aggregate(
        &mut self,
        constant: Value<'m>,
        site: UseSite<'m, '_>,
    ) -> Result<Option<Value<'m>>, CodegenError> {
        let ty = constant.ty();
        let mut changed = Vec::new();
        let mut elements = Vec::new();
        for (index, element) in (0_u32..).zip(components(constant)) {
            match self.constant(element, site)? {
                Some(new) => {
                    changed.push((index, new));
                    elements.push(element.ty().undef()?);
                }
                None => elements.push(element),
            }
        }
        if changed.is_empty() {
            return Ok(None);
        }
        let Some(mut whole) = aggregate(ty, &elements)? else { return Ok(None) };
        for (index, new) in changed {
            whole = if ty.is_vector() {
                let index = self.module.half_word().int(u64::from(index))?;
                self.builder.insert_element(whole, new, index)?
            } else {
                self.builder.insert_value(whole, new, &[index])?
            };
        }
        Ok(Some(whole))
    }

    /// Loads what is in the slot, as a value of the type of `constant`.
    fn load(&mut self, slot: u32, constant: Value<'m>) -> Result<Value<'m>, CodegenError> {
        self.findings.slots.insert(slot);
        let content = match self.loaded.get(&slot) {
            Some(&content) => content,
            None => {
                let content = self.slots.load(&self.builder, slot)?;
                self.loaded.insert(slot, content);
                content
            }
        };
        as_type(&self.builder, content, constant.ty())
    }

    fn unknown(&mut self, address: u64, usage: String, site: UseSite<'m, '_>) {
        self.findings.unknown.push(UnknownAddress {
            address,
            usage,
            instruction: site.describe(),
            reason: if site.must_be_constant() {
                "only a constant can stand there"
            } else {
                "nobody knows what is there"
            },
        });
    }
}

/// Must something outside of the library provide this name?
fn is_import(value: Value<'_>) -> bool {
    // LLVM and Julia's passes lower their own functions.
    let is_lowered = value
        .as_function()
        .is_some_and(|function| function.is_intrinsic() || julia::is_lowered(&function.name()));
    value.as_global().is_some_and(|global| global.is_declaration()) && !is_lowered
}

/// The findings, and what each function refers to after rewriting.
fn summary<'m>(
    findings: HashMap<Function<'m>, Findings>,
    placeholders: HashSet<Variable<'m>>,
) -> BTreeMap<String, Emitted> {
    let mut references = References::default();
    let mut emitted = BTreeMap::new();
    for (function, findings) in findings {
        let mut calls = BTreeSet::new();
        let mut imports = BTreeSet::new();
        for value in references.of_function(function) {
            let is_slot = value.as_variable().is_some_and(|variable| placeholders.contains(&variable));
            if value.as_defined_function().is_some() {
                calls.insert(value.name());
            } else if is_import(value) && !is_slot {
                imports.insert(value.name());
            }
        }
        let function = Emitted {
            name: function.name(),
            slots: findings.slots.into_iter().collect(),
            calls: calls.into_iter().collect(),
            imports: imports.into_iter().collect(),
            unknown: findings.unknown,
        };
        emitted.insert(function.name.clone(), function);
    }
    emitted
}
