//! The passes that the just-in-time compiler would run, in its order.
//!
//! `addOptimizationPasses(level, lower_intrinsics = true)` cannot be called: it would write the offset of
//! this process's thread-local state into the code (`LowerPTLS(false)`). So it is run without the passes that
//! lower Julia's IR, which then follow here. What comes after them in the original (`RemoveNI`,
//! `CombineMulAdd`, `DivRemPairs`, `LowerSimdLoop`) runs before them instead; none of these looks at what the
//! lowering makes. `RemoveNI` takes the address spaces of the garbage collector out of the data layout: that
//! is put back until the lowering is done.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::*;
use inkwell::llvm_sys::target_machine::LLVMAddAnalysisPasses;
use inkwell::llvm_sys::transforms::ipo::{LLVMAddGlobalDCEPass, LLVMAddStripDeadPrototypesPass};
use inkwell::llvm_sys::transforms::scalar::{LLVMAddAggressiveDCEPass, LLVMAddCFGSimplificationPass};
use inkwell::targets::TargetMachine;

use crate::arguments::load_before_cast;
use crate::error::CodegenError;
use crate::finish::symbol;
use crate::gcframe::merge_root_arrays;
use crate::handle::Handle;
use crate::invariants::violations;
use crate::julia_1_5 as julia;
use crate::late::{improve_slot_loads, promise_slot_loads};
use crate::target::{OptLevel, Target};
use crate::thread_state::assume_constant_offset;

/// Julia's passes have global state, and in Julia a lock of the whole code generator around them.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Of functions, in bytes: a line of the cache. Where a loop lies in its lines changes its speed by some per cent, and what
/// else is in the library should not decide that. What the just-in-time compiler makes begins at a multiple of 16.
const CODE_ALIGNMENT: u32 = 64;

/// A list of passes over a whole module.
struct Passes(LLVMPassManagerRef);

impl Passes {
    /// Passes that know the target as those of the just-in-time compiler do (`addTargetPasses`).
    fn new(handle: &Handle, machine: &TargetMachine) -> Self {
        let triple = handle.module().get_triple();
        // SAFETY: the pass manager is new and ours; the passes copy what they need of the triple and the
        // machine.
        unsafe {
            let passes = LLVMCreatePassManager();
            julia::LLVMExtraAddTargetLibraryInfoByTiple(triple.as_ptr(), passes);
            LLVMAddAnalysisPasses(machine.as_mut_ptr(), passes);
            Self(passes)
        }
    }

    fn run(self, handle: &Handle) {
        // SAFETY: the module is alive. Julia's passes may abort the process on what breaks the rules of its
        // collector, which is why `violations` is asked first.
        unsafe { LLVMRunPassManager(self.0, handle.module().as_mut_ptr()) };
    }
}

impl Drop for Passes {
    fn drop(&mut self) {
        // SAFETY: made in `new`, and disposed of once. It owns its passes.
        unsafe { LLVMDisposePassManager(self.0) };
    }
}

/// How code loads from slots.
pub(crate) enum SlotLoads<'a> {
    /// From the table; the content of these may change.
    Table { mutable: &'a BTreeSet<u32> },
    /// By symbols that say it.
    Symbols,
}

pub(crate) fn optimise(handle: &Handle, target: &Target, slots: &SlotLoads<'_>) -> Result<(), CodegenError> {
    // The lock guards nothing that a panic could have left half done.
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = target.machine(handle)?;
    let layout = handle.data_layout();

    let passes = Passes::new(handle, &machine);
    // SAFETY: adds passes to a list of ours.
    unsafe { julia::jl_add_optimization_passes(passes.0, target.level.number(), 0) };
    passes.run(handle);
    handle.set_data_layout(&layout);

    let broken = violations(handle);
    if !broken.is_empty() {
        return Err(CodegenError::GcInvariant(broken));
    }

    merge_root_arrays(handle);
    promise_slot_loads(handle, slots);
    load_before_cast(handle);
    let passes = Passes::new(handle, &machine);
    lower(&passes, target.level);
    passes.run(handle);
    assume_constant_offset(handle);
    let passes = Passes::new(handle, &machine);
    clean_up(&passes, target.level);
    passes.run(handle);
    improve_slot_loads(handle, slots);
    if target.level >= OptLevel::O2 {
        handle.defined_functions().into_iter().for_each(|function| function.set_alignment(CODE_ALIGNMENT));
    }
    // What `RemoveNI` does.
    handle.set_data_layout(layout.trim_end_matches(julia::NON_INTEGRAL));

    if matches!(slots, SlotLoads::Symbols) {
        return Ok(());
    }
    // For the loader it is there, whether any function needs it or not.
    if handle.alias(symbol::TLS_OFFSET).is_none() {
        handle.add_loader_variable(handle.word(), symbol::TLS_OFFSET);
    }
    Ok(())
}

/// Deletes what is only visible in the module and used nowhere.
pub(crate) fn delete_unused(handle: &Handle) {
    // SAFETY: the pass manager is made here, run on a living module and disposed of once.
    unsafe {
        let passes = LLVMCreatePassManager();
        LLVMAddGlobalDCEPass(passes);
        LLVMRunPassManager(passes, handle.module().as_mut_ptr());
        LLVMDisposePassManager(passes);
    }
}

fn lower(passes: &Passes, level: OptLevel) {
    let optimise = level >= OptLevel::O2;
    // SAFETY: adds passes to a list of ours.
    unsafe {
        julia::LLVMExtraAddBarrierNoopPass(passes.0);
        julia::LLVMExtraAddLowerExcHandlersPass(passes.0);
        julia::LLVMExtraAddLateLowerGCFramePass(passes.0);
        julia::LLVMExtraAddFinalLowerGCPass(passes.0);
        if optimise {
            // Dead uses of the thread-local state. Julia runs the plain pass here, which LLVM-C does not
            // have; this one has just been run, so it finds nothing else.
            LLVMAddAggressiveDCEPass(passes.0);
        }
        julia::LLVMExtraAddLowerPTLSPass(passes.0, 1);
    }
}

fn clean_up(passes: &Passes, level: OptLevel) {
    // SAFETY: adds passes to a list of ours.
    unsafe {
        if level >= OptLevel::O2 {
            LLVMAddCFGSimplificationPass(passes.0);
            julia::LLVMExtraAddCombineMulAddPass(passes.0);
        }
        // Prototypes that were inlined everywhere, declarations that only passes needed.
        LLVMAddGlobalDCEPass(passes.0);
        LLVMAddStripDeadPrototypesPass(passes.0);
    }
}
