//! The compile units of the debug information in a module.
//!
//! `llvm.dbg.cu` must list all that its functions refer to, and what it lists beside them would make the text of the
//! module depend on what it was split from.

use std::collections::{HashMap, HashSet};

use inkwell::llvm_sys::debuginfo::*;
use inkwell::llvm_sys::prelude::*;

use crate::handle::Handle;

/// Remembers the unit of each scope.
#[derive(Default)]
pub(crate) struct CompileUnits {
    known: HashMap<LLVMMetadataRef, Vec<LLVMMetadataRef>>,
}

impl CompileUnits {
    /// Makes the list of `module`, which has none yet, in the order in which its functions refer to them.
    pub(crate) fn list(&mut self, module: &Handle) {
        let mut listed = HashSet::new();
        for function in module.defined_functions() {
            // SAFETY: a function of a living module; null if it has no debug information.
            let mut scopes = vec![unsafe { LLVMGetSubprogram(function.raw()) }];
            for instruction in function.instructions() {
                // SAFETY: an instruction of a living module; null if it has no line.
                let mut location = unsafe { LLVMInstructionGetDebugLoc(instruction.raw()) };
                while !location.is_null() {
                    // SAFETY: a location, as LLVM has just said.
                    unsafe {
                        scopes.push(LLVMDILocationGetScope(location));
                        location = LLVMDILocationGetInlinedAt(location);
                    }
                }
            }
            for scope in scopes {
                for unit in self.of_scope(module, scope) {
                    if listed.insert(unit) {
                        module.add_compile_unit(unit);
                    }
                }
            }
        }
    }

    fn of_scope(&mut self, module: &Handle, scope: LLVMMetadataRef) -> Vec<LLVMMetadataRef> {
        if scope.is_null() {
            return Vec::new();
        }
        if let Some(known) = self.known.get(&scope) {
            return known.clone();
        }
        // A scope may be its own parent only in what the verifier rejects.
        self.known.insert(scope, Vec::new());
        let mut units = Vec::new();
        for operand in module.node_operands(scope) {
            // SAFETY: metadata of a living context.
            match unsafe { LLVMGetMetadataKind(operand) } {
                LLVMMetadataKind::LLVMDICompileUnitMetadataKind => units.push(operand),
                LLVMMetadataKind::LLVMDISubprogramMetadataKind
                | LLVMMetadataKind::LLVMDILexicalBlockMetadataKind
                | LLVMMetadataKind::LLVMDILexicalBlockFileMetadataKind => {
                    units.extend(self.of_scope(module, operand));
                }
                _ => {}
            }
        }
        self.known.insert(scope, units.clone());
        units
    }
}
