//! Which functions and variables a function refers to.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use inkwell::llvm_sys::LLVMValueKind;

use crate::llvm::{Function, Value};

/// Remembers what each constant refers to.
#[derive(Default)]
pub(crate) struct References<'m> {
    known: HashMap<Value<'m>, Rc<[Value<'m>]>>,
}

impl<'m> References<'m> {
    /// The global values in a constant, including those in the initialisers of variables.
    pub(crate) fn of_constant(&mut self, value: Value<'m>) -> Rc<[Value<'m>]> {
        use LLVMValueKind::*;
        match value.kind() {
            LLVMFunctionValueKind | LLVMGlobalAliasValueKind => Rc::new([value]),
            LLVMGlobalVariableValueKind
            | LLVMConstantExprValueKind
            | LLVMConstantStructValueKind
            | LLVMConstantArrayValueKind
            | LLVMConstantVectorValueKind => {
                if let Some(known) = self.known.get(&value) {
                    return Rc::clone(known);
                }
                let mut found: Vec<Value<'m>> = Vec::new();
                if let Some(variable) = value.as_variable() {
                    // A variable may refer to itself.
                    self.known.insert(value, Rc::new([value]));
                    found.push(value);
                    if let Some(initializer) = variable.initializer() {
                        found.extend_from_slice(&self.of_constant(initializer));
                    }
                } else {
                    for part in value.operands() {
                        found.extend_from_slice(&self.of_constant(part));
                    }
                }
                let found: Rc<[Value<'m>]> = found.into();
                self.known.insert(value, Rc::clone(&found));
                found
            }
            _ => Rc::new([]),
        }
    }

    /// The global values to which a function refers, in the order of its body.
    pub(crate) fn of_function(&mut self, function: Function<'m>) -> Vec<Value<'m>> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for instruction in function.instructions() {
            for operand in instruction.operands().filter(|operand| operand.is_constant()) {
                for &global in self.of_constant(operand).iter() {
                    if seen.insert(global) {
                        found.push(global);
                    }
                }
            }
        }
        found
    }

    /// Everything that the `roots` reach, including themselves, in the order in which they reach it.
    pub(crate) fn reachable(&mut self, roots: impl IntoIterator<Item = Function<'m>>) -> Vec<Value<'m>> {
        let mut seen = HashSet::new();
        let mut order = Vec::new();
        let mut pending: Vec<Value<'m>> = roots.into_iter().map(|root| **root).collect();
        pending.reverse();
        while let Some(next) = pending.pop() {
            if !seen.insert(next) {
                continue;
            }
            order.push(next);
            let mut further = match next.as_function() {
                Some(function) => self.of_function(function),
                None if next.as_variable().is_some() => self.of_constant(next).to_vec(),
                None => Vec::new(),
            };
            further.reverse();
            pending.extend(further);
        }
        order
    }
}
