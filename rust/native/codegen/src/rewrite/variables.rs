//! Global variables: those with an address in their initialiser, and those that cache a symbol look-up.

use std::collections::HashMap;

use inkwell::llvm_sys::LLVMLinkage;
use nativecache_mutation::mutation;

use super::addresses::{Addresses, Use};
use super::findings::UnknownAddress;
use super::literals::{components, pointer_literal, words, Literals};
use super::references::References;
use crate::error::CodegenError;
use crate::julia_1_5 as julia;
use crate::llvm::{Module, Value, Variable};

/// A variable with an address in its initialiser.
pub(super) struct Tainted<'m> {
    /// The initialiser, which replaces a load of the whole variable. `None` if the variable may change.
    pub(super) replacement: Option<Value<'m>>,
    /// The addresses in it. A function that uses the variable in any other way cannot be kept.
    pub(super) unknown: Vec<UnknownAddress>,
}

/// Finds the variables with an address in their initialiser, and those that refer to one of them.
pub(super) fn tainted<'m>(
    module: &'m Module,
    literals: &mut Literals<'m>,
    addresses: &mut dyn Addresses,
) -> Result<HashMap<Variable<'m>, Tainted<'m>>, CodegenError> {
    let variables: Vec<(Variable<'m>, Value<'m>)> = References::default()
        .reachable(module.defined_functions())
        .into_iter()
        .filter_map(Value::as_variable)
        .filter_map(|variable| Some((variable, variable.initializer()?)))
        .collect();
    let mut tainted = HashMap::new();
    let mut changed = true;
    while changed {
        changed = false;
        for &(variable, initializer) in &variables {
            if tainted.contains_key(&variable) || !literals.holds_address(initializer, addresses) {
                continue;
            }
            let name = format!("@{}", variable.name());
            let mut search = Search { module, literals, addresses, variable: &name, found: Vec::new() };
            search.look(initializer)?;
            let unknown = search.found;
            if !unknown.is_empty() {
                let replacement = variable.is_constant_data().then_some(initializer);
                tainted.insert(variable, Tainted { replacement, unknown });
                literals.mark(**variable);
                changed = true;
            }
        }
    }
    Ok(tainted)
}

/// Searches the data of a variable for addresses.
struct Search<'m, 'a> {
    module: &'m Module,
    literals: &'a mut Literals<'m>,
    addresses: &'a mut dyn Addresses,
    variable: &'a str,
    found: Vec<UnknownAddress>,
}

impl<'m> Search<'m, '_> {
    fn look(&mut self, constant: Value<'m>) -> Result<(), CodegenError> {
        if !self.literals.holds_address(constant, self.addresses) {
            return Ok(());
        }
        if let Some(address) = pointer_literal(constant) {
            self.found(address, "pointer");
        } else if constant.is_constant_int() {
            let bits = constant.ty().int_bits();
            for number in words(constant, self.module.word())? {
                if self.addresses.is_candidate(number) {
                    // The answer does not matter, but the implementor may record why it is unknown.
                    self.addresses.resolve(self.variable, number, Use::Integer { bits });
                    self.found(number, "integer");
                }
            }
        } else if constant.as_global().is_some() {
            self.found(0, "pointer to what has an address in it");
        } else {
            for part in components(constant) {
                self.look(part)?;
            }
        }
        Ok(())
    }

    fn found(&mut self, address: u64, usage: &str) {
        self.found.push(UnknownAddress {
            address,
            usage: usage.to_owned(),
            instruction: format!("data of {}", self.variable),
            reason: "it stands in constant data that is not only loaded as a whole",
        });
    }
}

/// Defines the variables in which functions cache the symbols that they look up when they first run.
///
/// The code generator has one variable for each symbol in the whole process. The first module that needs the symbol
/// defines it, which may be one of the JIT or of an earlier round. All other modules only declare it.
pub(super) fn own_lookups(module: &Module) -> Result<(), CodegenError> {
    for variable in module.variables().into_iter().filter(|variable| julia::is_lookup(&variable.name())) {
        if mutation!("symbols: what another module defines is left to it", variable.is_declaration(), false) {
            variable.set_initializer(variable.value_type().null()?);
        }
        variable.set_linkage(LLVMLinkage::LLVMInternalLinkage);
    }
    Ok(())
}
