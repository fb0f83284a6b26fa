//! What rewriting found out about each function.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An address that nobody could name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAddress {
    /// The address; 0 if it could not be read.
    pub address: u64,
    /// How it is used: "pointer", "function pointer", "integer of 64 bits", ...
    pub usage: String,
    /// The kind of instruction in which it stands, and the function that is called there.
    pub instruction: String,
    /// Why it could not be replaced.
    pub reason: &'static str,
}

/// A function that is defined in the module. Thunks and prototypes are functions too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Emitted {
    /// Its name before [`finish`](crate::NativeModule::finish).
    pub name: String,
    /// Slots that its own body uses, sorted.
    pub slots: Vec<u32>,
    /// Functions of this module that it calls or otherwise refers to, sorted.
    pub calls: Vec<String>,
    /// Functions and variables outside of this module that it refers to by name, sorted. If no library of a process
    /// defines one of them, the finished library cannot be loaded there.
    pub imports: Vec<String>,
    /// Addresses that stay in its body. A function that has any cannot be kept.
    pub unknown: Vec<UnknownAddress>,
}

/// Everything that a function and the functions that it reaches need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Closure {
    /// The functions that are reached, including the first one, sorted.
    pub functions: Vec<String>,
    /// Their slots, sorted.
    pub slots: Vec<u32>,
    /// Their imports, sorted.
    pub imports: Vec<String>,
    /// Their unknown addresses, each with the function in which it stands.
    pub unknown: Vec<(String, UnknownAddress)>,
    /// Functions that are referred to but were not entered, sorted.
    pub stopped_at: Vec<String>,
}

/// What [`rewrite`](crate::NativeModule::rewrite) found.
#[derive(Debug, Clone, Default)]
pub struct Rewritten {
    functions: Vec<Emitted>,
    by_name: HashMap<String, usize>,
}

impl Rewritten {
    pub(crate) fn new(functions: BTreeMap<String, Emitted>) -> Self {
        let functions: Vec<Emitted> = functions.into_values().collect();
        let by_name =
            functions.iter().enumerate().map(|(index, function)| (function.name.clone(), index)).collect();
        Self { functions, by_name }
    }

    /// Every function that is defined in the module, sorted by name.
    #[must_use]
    pub fn functions(&self) -> &[Emitted] {
        &self.functions
    }

    /// The function of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Emitted> {
        self.by_name.get(name).and_then(|&index| self.functions.get(index))
    }

    /// Everything that the function `name` needs.
    #[must_use]
    pub fn closure(&self, name: &str) -> Closure {
        self.closure_until(name, |_| false)
    }

    /// Everything that the function `name` needs. Functions for which `stop` holds are not entered; `name` always is.
    pub fn closure_until(&self, name: &str, stop: impl Fn(&str) -> bool) -> Closure {
        let mut functions = BTreeSet::new();
        let mut slots = BTreeSet::new();
        let mut imports = BTreeSet::new();
        let mut stopped_at = BTreeSet::new();
        let mut unknown = Vec::new();
        let mut pending = vec![name];
        while let Some(next) = pending.pop() {
            if next != name && stop(next) {
                stopped_at.insert(next);
                continue;
            }
            let Some(function) = self.get(next) else { continue };
            if !functions.insert(next) {
                continue;
            }
            slots.extend(function.slots.iter().copied());
            imports.extend(function.imports.iter().map(String::as_str));
            unknown.extend(function.unknown.iter().map(|address| (next.to_owned(), address.clone())));
            pending.extend(function.calls.iter().map(String::as_str));
        }
        unknown.sort_by(|a, b| (&a.0, a.1.address).cmp(&(&b.0, b.1.address)));
        let owned = |set: BTreeSet<&str>| set.into_iter().map(str::to_owned).collect();
        Closure {
            functions: owned(functions),
            slots: slots.into_iter().collect(),
            imports: owned(imports),
            unknown,
            stopped_at: owned(stopped_at),
        }
    }
}
