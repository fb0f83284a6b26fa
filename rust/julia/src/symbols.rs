//! Symbols by their names.
//!
//! All symbols of a process stand in one tree (symbol.c, `symtab`), some twenty levels deep, and to find one costs
//! nearly a microsecond. Most names in a library are those of bindings of its packages, whose symbols stand in the
//! modules' own tables: these are walked once. A symbol is never freed or moved, and there is one for each name.

use rustc_hash::FxHashMap;

use crate::handles::{Module, Symbol};
use crate::stopped::Stopped;

/// The symbols of some modules.
#[derive(Default)]
pub struct Symbols<'j> {
    known: FxHashMap<&'j str, Symbol<'j>>,
}

impl<'j> Symbols<'j> {
    /// Those of the bindings of `modules`, but of none that has more than `most` of them: to walk over so many is not
    /// worth it.
    pub fn of(modules: impl Iterator<Item = Module<'j>>, most: usize) -> Self {
        let mut known = FxHashMap::default();
        for module in modules {
            module.add_symbols(most, &mut |symbol: Symbol<'j>| {
                known.insert(symbol.as_str(), symbol);
            });
        }
        Symbols { known }
    }

    /// The symbol of this name.
    pub fn get(&self, julia: &'j Stopped, name: &str) -> Symbol<'j> {
        self.known.get(name).copied().unwrap_or_else(|| Symbol::new(julia, name))
    }
}
