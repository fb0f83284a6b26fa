//! The compile units of the debug information in a module.
//!
//! `llvm.dbg.cu` must list every unit that the functions refer to. If it listed more, the text of a module would depend
//! on the module that it was split from.

use std::collections::{HashMap, HashSet};

use inkwell::llvm_sys::debuginfo::LLVMMetadataKind;

use crate::llvm::{Metadata, Module};

/// Lists the compile units of `module`, which has no list yet, in the order in which its functions refer to them.
pub(super) fn list_compile_units(module: &Module) {
    let mut units = CompileUnits { module, known: HashMap::new() };
    let mut listed = HashSet::new();
    for function in module.defined_functions() {
        let mut scopes: Vec<Metadata<'_>> = function.subprogram().into_iter().collect();
        scopes.extend(function.instructions().flat_map(|instruction| instruction.scopes()));
        for unit in scopes.into_iter().flat_map(|scope| units.of_scope(scope)) {
            if listed.insert(unit) {
                module.add_compile_unit(unit);
            }
        }
    }
}

/// Remembers the units of each scope.
struct CompileUnits<'m> {
    module: &'m Module,
    known: HashMap<Metadata<'m>, Vec<Metadata<'m>>>,
}

impl<'m> CompileUnits<'m> {
    fn of_scope(&mut self, scope: Metadata<'m>) -> Vec<Metadata<'m>> {
        use LLVMMetadataKind::*;
        if let Some(known) = self.known.get(&scope) {
            return known.clone();
        }
        // A scope may be its own parent only in what the verifier rejects.
        self.known.insert(scope, Vec::new());
        let mut units = Vec::new();
        for operand in self.module.node_operands(scope) {
            match operand.kind() {
                LLVMDICompileUnitMetadataKind => units.push(operand),
                LLVMDISubprogramMetadataKind
                | LLVMDILexicalBlockMetadataKind
                | LLVMDILexicalBlockFileMetadataKind => units.extend(self.of_scope(operand)),
                _ => {}
            }
        }
        self.known.insert(scope, units.clone());
        units
    }
}
