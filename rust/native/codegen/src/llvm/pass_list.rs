//! Lists of passes that run over a whole module.

use inkwell::llvm_sys::core::{LLVMCreatePassManager, LLVMDisposePassManager, LLVMRunPassManager};
use inkwell::llvm_sys::prelude::LLVMPassManagerRef;
use inkwell::llvm_sys::target_machine::LLVMAddAnalysisPasses;
use inkwell::llvm_sys::transforms::ipo::{LLVMAddGlobalDCEPass, LLVMAddStripDeadPrototypesPass};
use inkwell::llvm_sys::transforms::scalar::{LLVMAddAggressiveDCEPass, LLVMAddCFGSimplificationPass};
use inkwell::targets::TargetMachine;

use super::Module;

/// A pass that has no options.
#[derive(Clone, Copy)]
pub(crate) struct Pass(unsafe extern "C" fn(LLVMPassManagerRef));

impl Pass {
    /// Deletes instructions that nothing needs.
    pub(crate) const AGGRESSIVE_DCE: Self = Self(LLVMAddAggressiveDCEPass);
    /// Merges and deletes blocks.
    pub(crate) const CFG_SIMPLIFICATION: Self = Self(LLVMAddCFGSimplificationPass);
    /// Deletes what is only visible in the module and used nowhere.
    pub(crate) const GLOBAL_DCE: Self = Self(LLVMAddGlobalDCEPass);
    /// Deletes declarations that nothing uses.
    pub(crate) const STRIP_DEAD_PROTOTYPES: Self = Self(LLVMAddStripDeadPrototypesPass);

    /// A pass that is not LLVM's own.
    ///
    /// # Safety
    /// `add` adds a pass to the list that it is given, and does nothing else.
    pub(crate) const unsafe fn new(add: unsafe extern "C" fn(LLVMPassManagerRef)) -> Self {
        Self(add)
    }
}

/// A list of passes, to be run once.
pub(crate) struct PassList(LLVMPassManagerRef);

impl PassList {
    pub(crate) fn new() -> Self {
        // SAFETY: LLVM makes a list that is ours.
        Self(unsafe { LLVMCreatePassManager() })
    }

    /// The list, to add a pass with options to it.
    pub(crate) fn raw(&self) -> LLVMPassManagerRef {
        self.0
    }

    pub(crate) fn add(&self, pass: Pass) {
        // SAFETY: a list of ours, to which a pass is added.
        unsafe { pass.0(self.0) };
    }

    /// Tells passes what instructions cost on the machine.
    pub(crate) fn add_costs_of(&self, machine: &TargetMachine) {
        // SAFETY: a list of ours and a living machine, of which LLVM copies what it needs.
        unsafe { LLVMAddAnalysisPasses(machine.as_mut_ptr(), self.0) };
    }

    /// Runs the passes. The module is taken as `&mut`: no value of it outlives a pass, which may delete it.
    pub(crate) fn run(self, module: &mut Module) {
        // SAFETY: a list of ours and a living module, of which nobody has a value.
        unsafe { LLVMRunPassManager(self.0, module.raw()) };
    }
}

impl Drop for PassList {
    fn drop(&mut self) {
        // SAFETY: made in `new`, and disposed of once. It owns its passes.
        unsafe { LLVMDisposePassManager(self.0) };
    }
}
