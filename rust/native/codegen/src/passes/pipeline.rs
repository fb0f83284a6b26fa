//! The passes that the just-in-time compiler would run, in its order.
//!
//! `addOptimizationPasses(level, lower_intrinsics = true)` cannot be called: it would write the offset of this
//! process's thread-local state into the code (`LowerPTLS(false)`). So it runs without the passes that lower Julia's
//! IR, and these follow here. The passes that come after them in the original (`RemoveNI`, `CombineMulAdd`,
//! `DivRemPairs`, `LowerSimdLoop`) now run before them; none of these depends on the lowering. `RemoveNI` removes the
//! address spaces of the garbage collector from the data layout, which is restored until the lowering is done.

use std::ffi::{CStr, CString};
use std::sync::{Mutex, PoisonError};

use inkwell::targets::TargetMachine;

use super::arguments::load_before_cast;
use super::gc_frame::merge_root_arrays;
use super::invariants::violations;
use super::slot_loads::{improve_slot_loads, promise_slot_loads, SlotLoads};
use super::thread_state::assume_constant_offset;
use crate::error::CodegenError;
use crate::julia_1_5 as julia;
use crate::llvm::{Module, Pass, PassList};
use crate::symbols::symbol;
use crate::target::{OptLevel, Target};

/// Julia's passes have global state, which Julia protects by the lock of its code generator.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Alignment of functions in bytes: a cache line. The position of a loop in its cache lines changes its speed by some
/// per cent, and should not depend on the rest of the library. The just-in-time compiler aligns functions to 16 bytes.
const CODE_ALIGNMENT: u32 = 64;

/// Runs all passes on a finished module.
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

    optimisation(module, &machine, target.level).run(module);
    module.set_data_layout(&layout);

    // The next passes may abort the process where a rule is broken.
    let broken = violations(module);
    if !broken.is_empty() {
        return Err(CodegenError::GcInvariant(broken));
    }

    merge_root_arrays(module)?;
    promise_slot_loads(module, slot_loads)?;
    load_before_cast(module)?;
    lowering(module, &machine, target.level).run(module);
    assume_constant_offset(module)?;
    clean_up(module, &machine, target.level).run(module);
    improve_slot_loads(module, slot_loads)?;
    if target.level >= OptLevel::O2 {
        module.defined_functions().into_iter().for_each(|function| function.set_alignment(CODE_ALIGNMENT));
    }
    // As `RemoveNI` does.
    module.set_data_layout(&without_garbage_collector(&layout));

    // The loader expects it, whether or not any function needs it.
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

/// An empty list for passes that know the target as those of the just-in-time compiler do (`addTargetPasses`).
fn for_target(module: &Module, machine: &TargetMachine) -> PassList {
    let passes = PassList::new();
    julia::add_target_library(&passes, module.inkwell().get_triple().as_str());
    passes.add_costs_of(machine);
    passes
}

/// The passes that optimise Julia's IR without lowering it.
fn optimisation(module: &Module, machine: &TargetMachine, level: OptLevel) -> PassList {
    let passes = for_target(module, machine);
    julia::add_optimisation(&passes, level.number());
    passes
}

/// The passes that lower Julia's IR.
fn lowering(module: &Module, machine: &TargetMachine, level: OptLevel) -> PassList {
    let passes = for_target(module, machine);
    passes.add(julia::BARRIER);
    passes.add(julia::LOWER_EXCEPTION_HANDLERS);
    passes.add(julia::LATE_LOWER_GC_FRAME);
    passes.add(julia::FINAL_LOWER_GC);
    if level >= OptLevel::O2 {
        // Removes dead uses of the thread-local state. Julia runs the plain DCE pass here, which LLVM's C interface
        // lacks. This one ran just before, so it finds nothing else.
        passes.add(Pass::AGGRESSIVE_DCE);
    }
    julia::add_lower_thread_state(&passes);
    passes
}

/// The passes that come last.
fn clean_up(module: &Module, machine: &TargetMachine, level: OptLevel) -> PassList {
    let passes = for_target(module, machine);
    if level >= OptLevel::O2 {
        passes.add(Pass::CFG_SIMPLIFICATION);
        passes.add(julia::COMBINE_MUL_ADD);
    }
    // These delete prototypes that were inlined everywhere, and declarations that only passes needed.
    passes.add(Pass::GLOBAL_DCE);
    passes.add(Pass::STRIP_DEAD_PROTOTYPES);
    passes
}
