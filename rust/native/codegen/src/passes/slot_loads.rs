//! Improves loads from slots, before and after frames of the garbage collector are added.
//!
//! LLVM drops the metadata of a load that it moves out of a loop. From this metadata, `LateLowerGCFrame` knows what is
//! rooted for ever. Without it, the constant would get a place in the frame, and each round of the loop would write to
//! it. So the metadata is added again before that pass runs.
//!
//! `LateLowerGCFrame` itself drops `!invariant.load` from all loads, because it may only be true while something is
//! rooted. For the slot table it is always true. With it restored, the register allocator can load a slot again instead
//! of keeping it in a register. And a load that is only needed after a call (such as the type of what the call
//! allocates) is moved behind the call. So slots cost no more than the constants that the just-in-time compiler uses.

use std::collections::{BTreeSet, HashMap};

use inkwell::llvm_sys::LLVMOpcode;

use crate::error::CodegenError;
use crate::llvm::{Block, Builder, Function, Instruction, Module, Value};
use crate::rewrite::slots::LoadMetadata;
use crate::symbols::{self, SLOT_TABLE};

/// How code loads from slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotLoads {
    /// From the table, which the module has.
    FromTable,
    /// By a symbol for each slot.
    BySymbol,
}

/// Does a constant, which may be a cast, point to an element of the table? That is `getelementptr ([n x i8*], [n x
/// i8*]* @table, i64 0, i64 slot)`, or a cast of the table for the first slot.
fn is_element(mut pointer: Value<'_>, table: Value<'_>) -> bool {
    while pointer.const_opcode() == Some(LLVMOpcode::LLVMBitCast) {
        let Some(inner) = pointer.operand(0) else { return false };
        pointer = inner;
        if pointer == table {
            return true;
        }
    }
    pointer.const_opcode() == Some(LLVMOpcode::LLVMGetElementPtr)
        && pointer.operand(0) == Some(table)
        && pointer.operand(2).and_then(Value::small_int).is_some()
}

/// Is this constant, which may be a cast, the symbol of a slot?
fn is_slot_symbol(mut pointer: Value<'_>) -> bool {
    while pointer.const_opcode() == Some(LLVMOpcode::LLVMBitCast) {
        let Some(inner) = pointer.operand(0) else { return false };
        pointer = inner;
    }
    pointer.as_variable().is_some_and(|variable| variable.is_declaration())
        && symbols::is_slot(&pointer.name())
}

/// The loads from slots, block by block.
fn loads_from_slots<'m>(module: &'m Module, kind: SlotLoads) -> Vec<(Block<'m>, Vec<Instruction<'m>>)> {
    let table = module.variable(SLOT_TABLE);
    let mut known = HashMap::new();
    let mut is_slot = |pointer: Value<'m>| match kind {
        SlotLoads::BySymbol => {
            pointer.is_constant() && *known.entry(pointer).or_insert_with(|| is_slot_symbol(pointer))
        }
        SlotLoads::FromTable => table.is_some_and(|table| is_element(pointer, **table)),
    };
    let mut found = Vec::new();
    for block in module.defined_functions().into_iter().flat_map(Function::blocks) {
        let loads: Vec<Instruction<'_>> = block
            .instructions()
            .filter(|instruction| instruction.opcode() == LLVMOpcode::LLVMLoad)
            .filter(|load| load.operand(0).is_some_and(&mut is_slot))
            .collect();
        if !loads.is_empty() {
            found.push((block, loads));
        }
    }
    found
}

/// Restores the metadata of loads from slots, for `LateLowerGCFrame`.
pub(super) fn promise_slot_loads(module: &Module, kind: SlotLoads) -> Result<(), CodegenError> {
    let metadata = LoadMetadata::new(module)?;
    for load in loads_from_slots(module, kind).into_iter().flat_map(|(_, loads)| loads) {
        metadata.promise(module, load);
    }
    Ok(())
}

/// Marks and moves the loads from slots, after `LateLowerGCFrame`.
pub(super) fn improve_slot_loads(module: &Module, kind: SlotLoads) -> Result<(), CodegenError> {
    let builder = module.builder();
    let metadata = LoadMetadata::new(module)?;
    for (block, loads) in loads_from_slots(module, kind) {
        for load in &loads {
            metadata.promise_invariant(module, *load);
        }
        let order = Order::of(block);
        for load in loads {
            order.sink(load, &builder);
        }
    }
    Ok(())
}

/// Where the instructions of a block stand, and which of them are calls.
struct Order<'m> {
    places: HashMap<Value<'m>, usize>,
    calls: BTreeSet<usize>,
}

impl<'m> Order<'m> {
    fn of(block: Block<'m>) -> Self {
        let mut order = Self { places: HashMap::new(), calls: BTreeSet::new() };
        for (place, instruction) in block.instructions().enumerate() {
            order.places.insert(*instruction, place);
            if instruction.as_call().is_some() {
                order.calls.insert(place);
            }
        }
        order
    }

    /// Moves a load, with the casts of what it loads, behind the calls that come before its first use.
    fn sink(&self, load: Instruction<'m>, builder: &Builder<'m>) {
        let mut chain = vec![load];
        let mut uses = load.users();
        while let [only] = uses[..] {
            let Some(cast) = self.cast_of_this_block(only) else { break };
            chain.push(cast);
            uses = cast.users();
        }
        // A use in another block, or by a PHI of this block, counts as one at the end.
        let first = uses
            .iter()
            .map(|user| self.places.get(user).filter(|_| !is_phi(*user)))
            .min_by_key(|place| place.copied().unwrap_or(usize::MAX));
        let (Some(&from), Some(Some(&to))) = (self.places.get(&*load), first) else { return };
        if self.calls.range(from..to).next().is_none() {
            return;
        }
        let user = uses.iter().find(|user| self.places.get(user) == Some(&to));
        let Some(user) = user.and_then(|user| user.as_instruction()) else { return };
        builder.before(user);
        for instruction in chain {
            builder.move_here(instruction);
        }
    }

    fn cast_of_this_block(&self, user: Value<'m>) -> Option<Instruction<'m>> {
        user.as_instruction().filter(|instruction| {
            matches!(instruction.opcode(), LLVMOpcode::LLVMBitCast | LLVMOpcode::LLVMAddrSpaceCast)
                && self.places.contains_key(&user)
        })
    }
}

fn is_phi(user: Value<'_>) -> bool {
    user.as_instruction().is_some_and(|instruction| instruction.opcode() == LLVMOpcode::LLVMPHI)
}
