//! The passes that the just-in-time compiler would run, in its order.
//!
//! `addOptimizationPasses(level, lower_intrinsics = true)` cannot be called: it would write the offset of this
//! process's thread-local state into the code (`LowerPTLS(false)`). So it is run without the passes that lower Julia's
//! IR, which then follow here. What comes after them in the original (`RemoveNI`, `CombineMulAdd`, `DivRemPairs`,
//! `LowerSimdLoop`) runs before them instead; none of these looks at what the lowering makes. `RemoveNI` takes the
//! address spaces of the garbage collector out of the data layout: that is put back until the lowering is done.

use std::ffi::{CStr, CString};
use std::sync::{Mutex, PoisonError};

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::LLVMPassManagerRef;
use inkwell::llvm_sys::target_machine::LLVMAddAnalysisPasses;
use inkwell::llvm_sys::transforms::ipo::{LLVMAddGlobalDCEPass, LLVMAddStripDeadPrototypesPass};
use inkwell::llvm_sys::transforms::scalar::{LLVMAddAggressiveDCEPass, LLVMAddCFGSimplificationPass};
use inkwell::targets::TargetMachine;

use super::arguments::load_before_cast;
use super::gc_frame::merge_root_arrays;
use super::invariants::violations;
use super::slot_loads::{improve_slot_loads, promise_slot_loads, SlotLoads};
use super::thread_state::assume_constant_offset;
use crate::error::CodegenError;
use crate::julia_1_5 as julia;
use crate::llvm::Module;
use crate::symbols::symbol;
use crate::target::{OptLevel, Target};

/// Julia's passes have global state, and in Julia a lock of the whole code generator around them.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Alignment of functions in bytes: a line of the cache. Where a loop lies in its lines changes its speed by some per
/// cent, and what else is in the library should not decide that. What the just-in-time compiler makes begins at a
/// multiple of 16.
const CODE_ALIGNMENT: u32 = 64;

/// A list of passes over a whole module.
struct Passes(LLVMPassManagerRef);

impl Passes {
    /// An empty list for a target that passes know as those of the just-in-time compiler do (`addTargetPasses`).
    fn new(module: &Module, machine: &TargetMachine) -> Self {
        let triple = module.inkwell().get_triple();
        // SAFETY: LLVM makes a list that is ours.
        let passes = Self(unsafe { LLVMCreatePassManager() });
        // SAFETY: a list of ours. LLVM copies what it needs of the triple, a C string.
        unsafe { julia::LLVMExtraAddTargetLibraryInfoByTiple(triple.as_ptr(), passes.0) };
        // SAFETY: a list of ours and a living machine, of which LLVM copies what it needs.
        unsafe { LLVMAddAnalysisPasses(machine.as_mut_ptr(), passes.0) };
        passes
    }

    /// Runs the passes. The module is taken as `&mut`: no value of it outlives a pass, which may delete it.
    fn run(self, module: &mut Module) {
        // SAFETY: the module is alive. Julia's passes may abort the process on what breaks the rules of its collector,
        // which is why `violations` is asked first.
        unsafe { LLVMRunPassManager(self.0, module.raw()) };
    }
}

impl Drop for Passes {
    fn drop(&mut self) {
        // SAFETY: made in `new`, and disposed of once. It owns its passes.
        unsafe { LLVMDisposePassManager(self.0) };
    }
}

/// Runs all passes. The steps are those of the room's comment.
///
/// # Errors
/// `Target`, `GcInvariant`, `OutOfMemory`.
pub(crate) fn optimise(
    module: &mut Module,
    target: &Target,
    slot_loads: SlotLoads,
) -> Result<(), CodegenError> {
    // The lock guards nothing that a panic could have left half done.
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = target.machine(module)?;
    let layout = module.data_layout();

    let passes = Passes::new(module, &machine);
    // SAFETY: adds passes to a list of ours.
    unsafe { julia::jl_add_optimization_passes(passes.0, target.level.number(), 0) };
    passes.run(module);
    module.set_data_layout(&layout);

    let broken = violations(module);
    if !broken.is_empty() {
        return Err(CodegenError::GcInvariant(broken));
    }

    merge_root_arrays(module)?;
    promise_slot_loads(module, slot_loads)?;
    load_before_cast(module)?;
    let passes = Passes::new(module, &machine);
    lower(&passes, target.level);
    passes.run(module);
    assume_constant_offset(module)?;
    let passes = Passes::new(module, &machine);
    clean_up(&passes, target.level);
    passes.run(module);
    improve_slot_loads(module, slot_loads)?;
    if target.level >= OptLevel::O2 {
        module.defined_functions().into_iter().for_each(|function| function.set_alignment(CODE_ALIGNMENT));
    }
    // What `RemoveNI` does.
    module.set_data_layout(&without_garbage_collector(&layout));

    // For the loader it is there, whether any function needs it or not.
    if slot_loads == SlotLoads::FromTable && module.alias(symbol::TLS_OFFSET).is_none() {
        module.add_loader_variable(module.word(), symbol::TLS_OFFSET)?;
    }
    Ok(())
}

/// The data layout without the address spaces of the garbage collector.
fn without_garbage_collector(layout: &CStr) -> CString {
    let text = layout.to_string_lossy();
    CString::new(text.trim_end_matches(julia::NON_INTEGRAL)).unwrap_or_else(|_| layout.to_owned())
}

/// Adds the passes that make object code of Julia's IR.
fn lower(passes: &Passes, level: OptLevel) {
    // SAFETY: adds passes to a list of ours.
    unsafe {
        julia::LLVMExtraAddBarrierNoopPass(passes.0);
        julia::LLVMExtraAddLowerExcHandlersPass(passes.0);
        julia::LLVMExtraAddLateLowerGCFramePass(passes.0);
        julia::LLVMExtraAddFinalLowerGCPass(passes.0);
    }
    if level >= OptLevel::O2 {
        // Dead uses of the thread-local state. Julia runs the plain pass here, which LLVM's C interface does not have;
        // this one has just been run, so it finds nothing else.
        // SAFETY: adds a pass to a list of ours.
        unsafe { LLVMAddAggressiveDCEPass(passes.0) };
    }
    // SAFETY: adds a pass to a list of ours.
    unsafe { julia::LLVMExtraAddLowerPTLSPass(passes.0, 1) };
}

/// Adds the passes that come last.
fn clean_up(passes: &Passes, level: OptLevel) {
    if level >= OptLevel::O2 {
        // SAFETY: adds passes to a list of ours.
        unsafe {
            LLVMAddCFGSimplificationPass(passes.0);
            julia::LLVMExtraAddCombineMulAddPass(passes.0);
        }
    }
    // Prototypes that were inlined everywhere, declarations that only passes needed.
    // SAFETY: adds passes to a list of ours.
    unsafe {
        LLVMAddGlobalDCEPass(passes.0);
        LLVMAddStripDeadPrototypesPass(passes.0);
    }
}
