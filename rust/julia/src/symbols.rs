//! Symbols by their names.
//!
//! All symbols of a process are in one tree (symbol.c, `symtab`), about twenty levels deep, and a lookup takes nearly a
//! microsecond. Most names in a library are names of bindings of its packages, and the modules' own tables have their
//! symbols. So these tables are walked once. A symbol is never freed or moved, and there is one for each name.

use rustc_hash::FxHashMap;

use crate::handles::{Module, Symbol};
use crate::stopped::Stopped;

/// The symbols of some modules.
#[derive(Default)]
pub struct Symbols<'j> {
    known: FxHashMap<&'j str, Symbol<'j>>,
}

impl<'j> Symbols<'j> {
    /// The symbols of the bindings of `modules`. Modules with more than `most` bindings are left out: walking over that many
    /// is not worth it.
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
