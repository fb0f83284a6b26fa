//! Every use of an address becomes a load from a slot.
//!
//! This runs on the module as code generation left it: there an address always stands as `inttoptr (i64 C to
//! T)`, bare or inside of other constants, or as a plain integer. Once a pass has run it may have been folded
//! into anything.

use nativecache_mutation::mutation;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use inkwell::llvm_sys::LLVMLinkage;
use inkwell::llvm_sys::LLVMOpcode;
use inkwell::llvm_sys::LLVMValueKind;

use crate::addresses::{Addresses, Answer, SlotUse, Use};
use crate::builder::{constant_aggregate, Builder};
use crate::emitted::{Emitted, Rewritten, UnknownAddress};
use crate::handle::Handle;
use crate::julia_1_5 as julia;
use crate::literal::{parts, pointer_literal, words, Literals};
use crate::materialise::rebuild;
use crate::references::References;
use crate::site::Site;
use crate::slots::{as_type, Slots};
use crate::thunk::{ThunkRewriter, Thunks};
use crate::value::{is_used, Block, Value};

/// What is known of the function or variable that is being rewritten.
#[derive(Default)]
struct Findings {
    slots: BTreeSet<u32>,
    unknown: Vec<UnknownAddress>,
}

/// A variable with an address in its initialiser.
struct Tainted {
    /// A load of the whole variable can be replaced by its initialiser.
    replaceable: Option<Value>,
    unknown: Vec<UnknownAddress>,
}

pub(crate) struct Rewriter<'a> {
    handle: &'a Handle,
    builder: Builder,
    slots: Slots,
    literals: Literals,
    addresses: &'a mut dyn Addresses,
    function_slots: HashMap<Value, SlotUse>,
    tainted: HashMap<Value, Tainted>,
    /// Slots that were loaded before, in the block that is being rewritten.
    loaded: HashMap<u32, Value>,
    findings: Findings,
}

/// What `rewrite` leaves for `finish`.
pub(crate) struct Outcome {
    pub(crate) rewritten: Rewritten,
    pub(crate) placeholders: BTreeMap<u32, Value>,
    /// Slots that may change while code runs.
    pub(crate) mutable: BTreeSet<u32>,
}

impl<'a> Rewriter<'a> {
    pub(crate) fn run(handle: &'a Handle, addresses: &'a mut dyn Addresses) -> Outcome {
        let builder = handle.builder();
        let mut slots = Slots::new(handle);
        own_lookups(handle);
        let thunks = ThunkRewriter { handle, builder: &builder, slots: &mut slots, addresses }.run();
        let rewriter = Self {
            handle,
            builder,
            slots,
            literals: Literals::default(),
            addresses,
            function_slots: HashMap::new(),
            tainted: HashMap::new(),
            loaded: HashMap::new(),
            findings: Findings::default(),
        };
        rewriter.all(thunks)
    }

    fn all(mut self, mut thunks: Thunks) -> Outcome {
        for (&thunk, &slot) in &thunks.slots {
            self.literals.mark(thunk);
            self.function_slots.insert(thunk, slot);
        }
        self.taint_globals();
        let mut by_function = HashMap::new();
        for function in self.handle.defined_functions() {
            let name = function.name();
            let mut findings = match thunks.done.remove(&function) {
                Some(slots) => Findings { slots: slots.into_iter().collect(), unknown: Vec::new() },
                None => self.function(function, &name),
            };
            findings.unknown.extend(thunks.unknown.remove(&function));
            by_function.insert(function, findings);
        }
        for &thunk in self.function_slots.keys() {
            // Its callers have the slot now; only constants that nothing uses can still refer to it.
            if !is_used(thunk) {
                by_function.remove(&thunk);
                thunk.replace_all_uses_with(thunk.ty().undef());
                // SAFETY: nothing uses it any longer, and of the lists that it is in only the keys here are
                // read again.
                unsafe { thunk.delete_function() };
            }
        }
        let (placeholders, mutable) = self.slots.into_parts();
        let rewritten = Rewritten::new(summary(by_function, &placeholders));
        Outcome { rewritten, placeholders, mutable }
    }

    fn holds_address(&mut self, constant: Value) -> bool {
        self.literals.hold_address(constant, &*self.addresses)
    }

    // ---- variables ----

    /// Finds the variables with an address in their initialiser, and those that refer to one of them.
    fn taint_globals(&mut self) {
        let globals: Vec<(Value, Value)> = References::default()
            .reachable(self.handle.defined_functions())
            .into_iter()
            .filter(|global| global.is_global_variable())
            .filter_map(|global| Some((global, global.initializer()?)))
            .collect();
        let mut changed = true;
        while changed {
            changed = false;
            for &(global, initializer) in &globals {
                if self.tainted.contains_key(&global) || !self.holds_address(initializer) {
                    continue;
                }
                let mut unknown = Vec::new();
                self.addresses_in(initializer, &format!("@{}", global.name()), &mut unknown);
                if !unknown.is_empty() {
                    let replaceable = global.is_global_constant().then_some(initializer);
                    self.tainted.insert(global, Tainted { replaceable, unknown });
                    self.literals.mark(global);
                    changed = true;
                }
            }
        }
    }

    /// What in the constant data of a variable cannot stay there.
    fn addresses_in(&mut self, constant: Value, variable: &str, found: &mut Vec<UnknownAddress>) {
        let entry = |address, usage: &str| UnknownAddress {
            address,
            usage: usage.to_owned(),
            instruction: format!("data of {variable}"),
            reason: "it stands in constant data that is not only loaded as a whole",
        };
        if !self.holds_address(constant) {
            return;
        }
        if let Some(address) = pointer_literal(constant) {
            found.push(entry(address, "pointer"));
        } else if constant.is_constant_int() {
            let bits = constant.ty().int_bits();
            for number in words(constant, self.handle.word()) {
                if self.addresses.is_candidate(number)
                    && self.addresses.resolve(variable, number, Use::Integer { bits }) != Answer::NotAnAddress
                {
                    found.push(entry(number, "integer"));
                }
            }
        } else if constant.is_function() || constant.is_global_variable() {
            found.push(entry(0, "pointer to what has an address in it"));
        } else {
            for part in parts(constant) {
                self.addresses_in(part, variable, found);
            }
        }
    }

    // ---- functions ----

    fn function(&mut self, function: Value, name: &str) -> Findings {
        let mut edges: HashMap<(Block, Value), Value> = HashMap::new();
        for block in function.blocks() {
            self.loaded.clear();
            let mut next = block.first_instruction();
            while let Some(instruction) = next {
                next = instruction.next_instruction();
                let interesting: Vec<u32> = (0..instruction.operand_count())
                    .filter(|&index| {
                        instruction
                            .operand(index)
                            .is_some_and(|operand| operand.is_constant() && self.holds_address(operand))
                    })
                    .collect();
                if interesting.is_empty() || self.replace_load(instruction, name) {
                    continue;
                }
                for index in interesting {
                    if instruction.opcode() == LLVMOpcode::LLVMPHI {
                        self.incoming(instruction, index, name, &mut edges);
                    } else {
                        self.operand(instruction, index, name);
                    }
                }
            }
        }
        std::mem::take(&mut self.findings)
    }

    fn operand(&mut self, instruction: Value, index: u32, function: &str) {
        let Some(operand) = instruction.operand(index) else { return };
        let site = Site::new(function, instruction, index);
        self.builder.before(instruction);
        if let Some(new) = self.constant(operand, site) {
            instruction.set_operand(index, new);
        }
    }

    /// A value of a PHI is made at the end of the block from which it comes. A block that is listed twice
    /// must give the same value twice.
    fn incoming(
        &mut self,
        phi: Value,
        index: u32,
        function: &str,
        edges: &mut HashMap<(Block, Value), Value>,
    ) {
        let Some(operand) = phi.operand(index) else { return };
        let block = phi.incoming_block(index);
        if let Some(&made) = edges.get(&(block, operand)) {
            phi.set_operand(index, made);
            return;
        }
        let Some(terminator) = block.terminator() else { return };
        self.builder.before(terminator);
        // The block may come later: what is loaded at its end must not be taken for loaded at its beginning.
        let here = std::mem::take(&mut self.loaded);
        let made = self.constant(operand, Site::new(function, phi, index));
        self.loaded = here;
        if let Some(made) = made {
            edges.insert((block, operand), made);
            phi.set_operand(index, made);
        }
    }

    /// A load of a whole constant variable with an address in it becomes the initialiser.
    fn replace_load(&mut self, instruction: Value, function: &str) -> bool {
        if instruction.opcode() != LLVMOpcode::LLVMLoad {
            return false;
        }
        let initializer = instruction
            .operand(0)
            .and_then(|pointer| self.tainted.get(&pointer))
            .and_then(|tainted| tainted.replaceable)
            .filter(|initializer| initializer.ty() == instruction.ty());
        let Some(initializer) = initializer else { return false };
        self.builder.before(instruction);
        let site = Site::new(function, instruction, 0).inside();
        let Some(new) = self.constant(initializer, site) else { return false };
        instruction.replace_all_uses_with(new);
        // SAFETY: nothing uses it any longer, and the caller goes on with the instruction behind it.
        unsafe { instruction.delete_instruction() };
        true
    }

    // ---- constants ----

    /// The same value without an address in it, made where the builder stands; `None` if the constant is to
    /// stay.
    fn constant(&mut self, constant: Value, site: Site<'_>) -> Option<Value> {
        use LLVMValueKind::*;
        if !self.holds_address(constant) {
            return None;
        }
        if let Some(address) = pointer_literal(constant) {
            return self.pointer(constant, address, site);
        }
        match constant.kind() {
            LLVMConstantIntValueKind => self.integer(constant, site),
            LLVMFunctionValueKind => {
                let slot = *self.function_slots.get(&constant)?;
                Some(self.load(slot, constant))
            }
            LLVMGlobalVariableValueKind => {
                if let Some(tainted) = self.tainted.get(&constant) {
                    self.findings.unknown.extend(tainted.unknown.iter().cloned());
                }
                None
            }
            LLVMConstantExprValueKind => self.expression(constant, site.inside()),
            _ => self.aggregate(constant, site.inside()),
        }
    }

    fn pointer(&mut self, constant: Value, address: u64, site: Site<'_>) -> Option<Value> {
        let argument = site.argument().filter(|(callee, index)| julia::is_string_parameter(callee, *index));
        let (usage, text) = match &argument {
            _ if constant.ty().is_function_pointer() => (Use::Function, "function pointer".to_owned()),
            Some((callee, argument)) => {
                (Use::CString { callee, argument: *argument }, format!("C string of {callee}"))
            }
            None => (Use::Value, "pointer".to_owned()),
        };
        match self.addresses.resolve(site.function, address, usage) {
            Answer::Slot(slot) if !site.is_fixed() => Some(self.load(slot, constant)),
            _ => {
                self.unknown(address, text, site);
                None
            }
        }
    }

    fn integer(&mut self, constant: Value, site: Site<'_>) -> Option<Value> {
        let bits = constant.ty().int_bits();
        for number in words(constant, self.handle.word()) {
            if !self.addresses.is_candidate(number) {
                continue;
            }
            match self.addresses.resolve(site.function, number, Use::Integer { bits }) {
                Answer::NotAnAddress => {}
                Answer::Slot(slot) if bits == 64 && !site.is_fixed() => {
                    return Some(self.load(slot, constant))
                }
                _ => self.unknown(number, format!("integer of {bits} bits"), site),
            }
        }
        None
    }

    fn expression(&mut self, constant: Value, site: Site<'_>) -> Option<Value> {
        let mut changed = false;
        let operands: Vec<Value> = constant
            .operands()
            .map(|operand| match self.constant(operand, site) {
                Some(new) => {
                    changed = true;
                    new
                }
                None => operand,
            })
            .collect();
        if !changed {
            return None;
        }
        let rebuilt = rebuild(&self.builder, constant, &operands);
        if rebuilt.is_none() {
            let opcode = constant.const_opcode();
            self.findings.unknown.push(UnknownAddress {
                address: 0,
                usage: format!("constant expression {opcode:?}"),
                instruction: site.describe(),
                reason: "this kind of constant expression cannot be made an instruction",
            });
        }
        rebuilt
    }

    /// Struct, array or vector: the constant with holes, into which the changed elements are put.
    fn aggregate(&mut self, constant: Value, site: Site<'_>) -> Option<Value> {
        let ty = constant.ty();
        let mut changed = Vec::new();
        let mut elements = Vec::new();
        for (index, element) in (0_u32..).zip(parts(constant)) {
            match self.constant(element, site) {
                Some(new) => {
                    changed.push((index, new));
                    elements.push(element.ty().undef());
                }
                None => elements.push(element),
            }
        }
        if changed.is_empty() {
            return None;
        }
        let is_vector = ty.is_vector();
        let start = constant_aggregate(ty, &elements)?;
        Some(changed.into_iter().fold(start, |aggregate, (index, new)| {
            if is_vector {
                self.builder.insert_element(aggregate, new, self.handle.half_word().int(u64::from(index)))
            } else {
                self.builder.insert_value(aggregate, new, &[index])
            }
        }))
    }

    /// What is in the slot, as a value of the type of `constant`.
    fn load(&mut self, slot: SlotUse, constant: Value) -> Value {
        self.findings.slots.insert(slot.index);
        let content = match self.loaded.get(&slot.index) {
            Some(&content) => content,
            None => {
                let content = self.slots.load(self.handle, &self.builder, slot);
                self.loaded.insert(slot.index, content);
                content
            }
        };
        as_type(self.handle, &self.builder, content, slot.addend, constant.ty())
    }

    fn unknown(&mut self, address: u64, usage: String, site: Site<'_>) {
        self.findings.unknown.push(UnknownAddress {
            address,
            usage,
            instruction: site.describe(),
            reason: if site.is_fixed() {
                "only a constant can stand there"
            } else {
                "nobody knows what is there"
            },
        });
    }
}

/// Defines here what functions keep of the symbols that they look up when they first run.
///
/// The code generator has one variable for each symbol in the whole process. The module in which the symbol first
/// came up defines it, perhaps one of the JIT or of an earlier round; every other module declares it only.
fn own_lookups(handle: &Handle) {
    for variable in handle.globals().into_iter().filter(|global| julia::is_lookup(&global.name())) {
        if mutation!("symbols: what another module defines is left to it", variable.is_declaration(), false) {
            variable.set_initializer(variable.value_type().null());
        }
        variable.set_linkage(LLVMLinkage::LLVMInternalLinkage);
    }
}

/// Must something outside of the library provide this name?
fn is_import(global: Value) -> bool {
    if !global.is_declaration() {
        return false;
    }
    // Functions of LLVM and of Julia's passes, which lower them.
    !(global.is_function() && (global.is_intrinsic() || julia::is_lowered(&global.name())))
}

/// What was found, with what each function refers to now that nothing changes any more.
fn summary(
    findings: HashMap<Value, Findings>,
    placeholders: &BTreeMap<u32, Value>,
) -> BTreeMap<String, Emitted> {
    let slots: HashSet<Value> = placeholders.values().copied().collect();
    let mut references = References::default();
    let mut emitted = BTreeMap::new();
    for (function, findings) in findings {
        let mut calls = BTreeSet::new();
        let mut imports = BTreeSet::new();
        for global in references.of_function(function) {
            if global.is_defined_function() {
                calls.insert(global.name());
            } else if is_import(global) && !slots.contains(&global) {
                imports.insert(global.name());
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
