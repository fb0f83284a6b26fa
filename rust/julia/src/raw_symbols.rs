//! Symbols by their names.
//!
//! All symbols of a process stand in one tree (symbol.c, `symtab`), some twenty levels deep, and to find one costs
//! nearly a microsecond. Most names in a library are those of bindings of its packages, whose symbols stand in the
//! modules' own tables: these are walked once. A symbol is never freed or moved, and there is one for each name.

use jl_sys::{jl_module_t, jl_sym_t};

use crate::julia_1_5::{RuntimeLock, HT_NOTFOUND};
use crate::object::{symbol, symbol_str};
use rustc_hash::FxHashMap;

/// The symbols of some modules.
#[derive(Default)]
pub struct Names {
    known: FxHashMap<&'static str, *mut jl_sym_t>,
}

impl Names {
    /// Those of the bindings of `modules`, but of none that has more than `most` of them: to walk over so many is not
    /// worth it.
    ///
    /// # Safety
    /// On a Julia thread with the collector off; `modules` are live.
    pub unsafe fn of(modules: impl Iterator<Item = *mut jl_module_t>, most: usize) -> Self {
        let mut known = FxHashMap::default();
        for module in modules {
            // SAFETY: another thread that looks for a name may make the table larger, under the same lock (module.c);
            // the table is an open hash of (key, value) words (htable.h), `size` words long, whose keys are symbols.
            unsafe {
                let _lock = RuntimeLock::of_module(module);
                let table = &(*module).bindings;
                let words = std::slice::from_raw_parts(table.table, table.size);
                if words.len() / 2 > most {
                    continue;
                }
                let symbols = words.as_chunks::<2>().0.iter().filter(|pair| pair[1] != HT_NOTFOUND);
                known.extend(symbols.map(|pair| {
                    let symbol = pair[0].cast::<jl_sym_t>();
                    (symbol_str(symbol), symbol)
                }));
            }
        }
        Names { known }
    }

    /// The symbol of this name.
    ///
    /// # Safety
    /// On a Julia thread.
    pub unsafe fn symbol(&self, name: &str) -> *mut jl_sym_t {
        // SAFETY: as the caller says.
        self.known.get(name).copied().unwrap_or_else(|| unsafe { symbol(name) })
    }
}
