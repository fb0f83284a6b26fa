//! Loads from slots, before and after the garbage collector's frames come into the code.
//!
//! LLVM takes all promises from a load that it moves out of a loop. `LateLowerGCFrame` knows by them what is rooted for
//! ever, and would give such a constant a place in the frame, written in each round of the loop: so before it runs, the
//! promises are made again.
//!
//! `LateLowerGCFrame` takes from all loads the promise that what they read never changes: it may have been true only
//! because a root was held. Of the slot table it is true for ever. The promise given back, the register allocator
//! loads a slot again rather than keep it; and a load that is needed behind a call (the type of what the call
//! allocates) need not stand before it. So slots cost no more than the constants that the just-in-time compiler has
//! in their place.

use std::collections::{BTreeSet, HashMap};

use inkwell::llvm_sys::LLVMOpcode;

use crate::builder::Builder;
use crate::finish::SLOT_TABLE;
use crate::handle::Handle;
use crate::pipeline::SlotLoads;
use crate::slots::LoadMetadata;
use crate::split::FIXED_SLOT;
use crate::value::{Block, Value};

/// The slot that a constant points to: `getelementptr ([n x i8*], [n x i8*]* @table, i64 0, i64 slot)`, cast or not.
fn slot_of(mut pointer: Value, table: Value) -> Option<u64> {
    while pointer.const_opcode()? == LLVMOpcode::LLVMBitCast {
        pointer = pointer.operand(0)?;
        if pointer == table {
            return Some(0); // LLVM makes a cast of the first element
        }
    }
    let is_element = pointer.const_opcode()? == LLVMOpcode::LLVMGetElementPtr && pointer.operand(0)? == table;
    pointer.operand(2).filter(|_| is_element)?.small_int()
}

/// Is this constant the address of a slot that has a symbol of its own, and whose content never changes?
fn is_fixed_symbol(mut pointer: Value) -> bool {
    while pointer.const_opcode() == Some(LLVMOpcode::LLVMBitCast) {
        let Some(inner) = pointer.operand(0) else { return false };
        pointer = inner;
    }
    pointer.is_global_variable() && pointer.is_declaration() && pointer.name().starts_with(FIXED_SLOT)
}

/// The loads of slots whose content does not change, block by block.
fn fixed_loads(handle: &Handle, slots: &SlotLoads<'_>) -> Vec<(Block, Vec<Value>)> {
    let table = handle.global(SLOT_TABLE);
    let mut known: HashMap<Value, bool> = HashMap::new();
    let mut is_fixed = |pointer: Value| match slots {
        SlotLoads::Symbols => {
            pointer.is_constant() && *known.entry(pointer).or_insert_with(|| is_fixed_symbol(pointer))
        }
        SlotLoads::Table { mutable } => table
            .and_then(|table| slot_of(pointer, table))
            .is_some_and(|slot| !u32::try_from(slot).is_ok_and(|slot| mutable.contains(&slot))),
    };
    let mut found = Vec::new();
    for block in handle.defined_functions().into_iter().flat_map(Value::blocks) {
        let loads: Vec<Value> = block
            .instructions()
            .filter(|instruction| instruction.opcode() == LLVMOpcode::LLVMLoad)
            .filter(|load| load.operand(0).is_some_and(&mut is_fixed))
            .collect();
        if !loads.is_empty() {
            found.push((block, loads));
        }
    }
    found
}

/// Makes the promises again that these loads had: for `LateLowerGCFrame`.
pub(crate) fn promise_slot_loads(handle: &Handle, slots: &SlotLoads<'_>) {
    let metadata = LoadMetadata::new(handle);
    for load in fixed_loads(handle, slots).into_iter().flat_map(|(_, loads)| loads) {
        metadata.promise(handle, load);
    }
}

/// Marks and moves the loads of all slots whose content does not change.
pub(crate) fn improve_slot_loads(handle: &Handle, slots: &SlotLoads<'_>) {
    let builder = handle.builder();
    let (kind, empty) = (handle.metadata_kind("invariant.load"), handle.metadata_node(&[]));
    for (block, loads) in fixed_loads(handle, slots) {
        for load in &loads {
            handle.attach(*load, kind, empty);
        }
        let order = Order::of(block);
        for load in loads {
            order.sink(load, &builder);
        }
    }
}

/// Where the instructions of a block stand, and which of them are calls.
struct Order {
    places: HashMap<Value, usize>,
    calls: BTreeSet<usize>,
}

impl Order {
    fn of(block: Block) -> Self {
        let mut order = Self { places: HashMap::new(), calls: BTreeSet::new() };
        for (place, instruction) in block.instructions().enumerate() {
            order.places.insert(instruction, place);
            if instruction.opcode() == LLVMOpcode::LLVMCall {
                order.calls.insert(place);
            }
        }
        order
    }

    /// Moves a load, with the casts of what it loads, behind the calls that come before its first use.
    fn sink(&self, load: Value, builder: &Builder) {
        let mut chain = vec![load];
        let mut uses = load.users();
        while let [cast] = uses[..] {
            let is_cast = matches!(cast.opcode(), LLVMOpcode::LLVMBitCast | LLVMOpcode::LLVMAddrSpaceCast);
            if !is_cast || !self.places.contains_key(&cast) {
                break;
            }
            chain.push(cast);
            uses = cast.users();
        }
        // A use in another block, or by a PHI of this one, is at its end.
        let first = uses
            .iter()
            .map(|user| self.places.get(user).filter(|_| user.opcode() != LLVMOpcode::LLVMPHI))
            .min_by_key(|place| place.copied().unwrap_or(usize::MAX));
        let (Some(&from), Some(Some(&to))) = (self.places.get(&load), first) else { return };
        if self.calls.range(from..to).next().is_none() {
            return;
        }
        let Some(user) = uses.iter().find(|user| self.places.get(user) == Some(&to)) else { return };
        builder.before(*user);
        for instruction in chain {
            builder.move_here(instruction);
        }
    }
}
