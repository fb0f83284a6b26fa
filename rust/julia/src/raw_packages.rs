//! Which packages a signature needs: those that its types and its method belong to.
//!
//! What the sysimage holds is there in every session and counts as no package. What lies in `Main`, in
//! a module that was made there (test modules are), or in an anonymous one, no other session has.

use std::collections::{HashMap, HashSet};

use jl_sys::{jl_datatype_t, jl_module_t, jl_tvar_t, jl_unionall_t, jl_uniontype_t};

use crate::julia_1_5::HT_NOTFOUND;
use crate::object::{is, is_type, module_name, root_module, svec_items, type_of, Value};
use crate::sysimage::Sysimage;
use crate::{inspect, root_modules};

type Module = *mut jl_module_t;

/// What a root module is to a profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// In every session: Core, Base, standard libraries of the sysimage.
    Everywhere,
    /// A package that was loaded.
    Package,
    /// `Main`, and what is not registered as a package.
    Nowhere,
}

/// What a type or a method refers to.
#[derive(Default, Debug)]
pub struct References {
    /// Packages outside of the sysimage, each once.
    pub packages: Vec<Module>,
    /// Standard libraries of the sysimage, Base and Core.
    pub everywhere: Vec<Module>,
    /// Something that no other session has.
    pub nowhere: bool,
}

/// The root modules of this session.
pub struct Packages {
    kinds: HashMap<Module, Kind>,
    dependencies: HashMap<Module, HashSet<Module>>,
}

/// Types nest; deeper than this nothing that a profile keeps goes.
const MAX_DEPTH: u32 = 100;

impl Packages {
    /// # Safety
    /// `roots` are live root modules: the loaded ones, Core, Base and Main.
    #[must_use]
    pub unsafe fn new(roots: &[Module], sysimage: Option<&Sysimage>) -> Self {
        let mut kinds = HashMap::new();
        for root in roots {
            // SAFETY: the three modules exist from start-up on.
            let kind = unsafe {
                if *root == jl_sys::jl_main_module {
                    Kind::Nowhere
                } else if *root == jl_sys::jl_core_module
                    || *root == jl_sys::jl_base_module
                    || sysimage.is_some_and(|s| s.data.contains(&(*root as usize)))
                {
                    Kind::Everywhere
                } else {
                    Kind::Package
                }
            };
            kinds.insert(*root, kind);
        }
        Packages { kinds, dependencies: HashMap::new() }
    }

    /// The packages outside of the sysimage.
    pub fn loaded(&self) -> impl Iterator<Item = Module> + '_ {
        self.kinds.iter().filter(|(_, kind)| **kind == Kind::Package).map(|(module, _)| *module)
    }

    /// The package outside of the sysimage that a module is of.
    ///
    /// # Safety
    /// `module` is a live module.
    #[must_use]
    pub unsafe fn package_of(&self, module: Module) -> Option<Module> {
        // SAFETY: as the caller says.
        let root = unsafe { root_module(module) };
        (self.kinds.get(&root) == Some(&Kind::Package)).then_some(root)
    }

    /// # Safety
    /// `module` is a live module.
    unsafe fn add_module(&self, module: Module, out: &mut References) {
        // SAFETY: as the caller says.
        let root = unsafe { root_module(module) };
        match self.kinds.get(&root) {
            Some(Kind::Everywhere) => {
                if !out.everywhere.contains(&root) {
                    out.everywhere.push(root);
                }
            }
            Some(Kind::Package) => {
                if !out.packages.contains(&root) {
                    out.packages.push(root);
                }
            }
            _ => out.nowhere = true,
        }
    }

    /// What a module, a type or a type parameter refers to.
    ///
    /// # Safety
    /// `value` is a live object.
    pub unsafe fn add(&self, value: Value, out: &mut References) {
        // SAFETY: as the caller says.
        unsafe { self.add_nested(value, out, 0) }
    }

    unsafe fn add_nested(&self, value: Value, out: &mut References, depth: u32) {
        if value.is_null() || out.nowhere {
            return;
        }
        if depth > MAX_DEPTH {
            out.nowhere = true;
            return;
        }
        // SAFETY: each object is of the kind that its tag says; parts of live objects are alive.
        unsafe {
            if is(value, jl_sys::jl_datatype_type) {
                let ty = value.cast::<jl_datatype_t>();
                let name = (*ty).name;
                self.add_module((*name).module, out);
                for parameter in svec_items((*ty).parameters) {
                    self.add_nested(*parameter, out, depth + 1);
                }
            } else if is(value, jl_sys::jl_unionall_type) {
                let all = value.cast::<jl_unionall_t>();
                self.add_nested((*all).var.cast(), out, depth + 1);
                self.add_nested((*all).body, out, depth + 1);
            } else if is(value, jl_sys::jl_uniontype_type) {
                let union = value.cast::<jl_uniontype_t>();
                self.add_nested((*union).a, out, depth + 1);
                self.add_nested((*union).b, out, depth + 1);
            } else if is(value, jl_sys::jl_tvar_type) {
                let var = value.cast::<jl_tvar_t>();
                self.add_nested((*var).lb, out, depth + 1);
                self.add_nested((*var).ub, out, depth + 1);
            } else if is(value, jl_sys::jl_module_type) {
                self.add_module(value.cast(), out);
            } else if !is_type(value) {
                // A value as a parameter: its type must be there too.
                self.add_nested(type_of(value).cast(), out, depth + 1);
            }
        }
    }

    /// All packages that `package` loads, itself included.
    ///
    /// # Safety
    /// `package` is a live root module, nothing adds bindings meanwhile.
    pub unsafe fn closure(&mut self, package: Module) -> HashSet<Module> {
        if let Some(known) = self.dependencies.get(&package) {
            return known.clone();
        }
        let mut all = HashSet::from([package]);
        let mut stack = vec![package];
        while let Some(at) = stack.pop() {
            // SAFETY: as the caller says.
            for next in unsafe { self.direct(at) } {
                if all.insert(next) {
                    stack.push(next);
                }
            }
        }
        self.dependencies.insert(package, all.clone());
        all
    }

    /// The packages that modules of `package` have imported something from.
    unsafe fn direct(&self, package: Module) -> HashSet<Module> {
        let mut found = HashSet::new();
        // SAFETY: as `closure`.
        unsafe {
            let mut add = |module: Module| {
                let root = root_module(module);
                if root != package && self.kinds.get(&root) == Some(&Kind::Package) {
                    found.insert(root);
                }
            };
            for module in inspect::all_modules(&[package]) {
                let usings = &(*module).usings;
                if usings.len > 0 {
                    std::slice::from_raw_parts(usings.items, usings.len)
                        .iter()
                        .for_each(|used| add(used.cast()));
                }
                let table = &(*module).bindings;
                let words = std::slice::from_raw_parts(table.table, table.size);
                for pair in words.chunks_exact(2).filter(|pair| pair[1] != HT_NOTFOUND) {
                    let binding = pair[1].cast::<crate::julia_1_5::Binding>();
                    if !(*binding).owner.is_null() {
                        add((*binding).owner);
                    }
                    let value = (*binding).value;
                    if !value.is_null() && (*binding).constp != 0 && is(value, jl_sys::jl_module_type) {
                        add(value.cast());
                    }
                }
            }
        }
        found
    }

    /// Of several packages those that no other of them loads anyway, by name.
    ///
    /// # Safety
    /// As [`Packages::closure`].
    pub unsafe fn last(&mut self, packages: &[Module]) -> Vec<Module> {
        let mut last: Vec<Module> = Vec::new();
        for (at, package) in packages.iter().enumerate() {
            let implied = packages.iter().enumerate().any(|(other, by)| {
                // SAFETY: as the caller says. Two that load each other: the first stays.
                other != at
                    && unsafe { self.closure(*by).contains(package) }
                    && (other < at || unsafe { !self.closure(*package).contains(by) })
            });
            if !implied {
                last.push(*package);
            }
        }
        // SAFETY: as the caller says.
        last.sort_unstable_by_key(|m| unsafe { (module_name(*m), root_modules::uuid(*m)) });
        last
    }

    /// The packages that `Main` has by name: those that the session itself asked for.
    ///
    /// # Safety
    /// As [`Packages::closure`].
    #[must_use]
    pub unsafe fn asked_for(&self) -> Vec<Module> {
        // SAFETY: Main is a live module.
        unsafe {
            let mut found: Vec<Module> = inspect::own_bindings(jl_sys::jl_main_module)
                .into_iter()
                .map(|(_, binding)| (*binding).value)
                .filter(|value| !value.is_null() && is(*value, jl_sys::jl_module_type))
                .map(|value| value.cast::<jl_module_t>())
                .filter(|module| self.kinds.get(module) == Some(&Kind::Package))
                .collect();
            found.dedup();
            found
        }
    }
}

/// Did the parser make up this name? `#3#4`, `#f#5`; but not `#f##kw`.
#[must_use]
pub fn is_generated(name: &str) -> bool {
    let Some(rest) = name.strip_prefix('#') else { return false };
    let Some((_, number)) = rest.rsplit_once('#') else { return false };
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::is_generated;

    #[test]
    fn names_that_the_parser_made_up() {
        for name in ["#3#4", "#f#5", "##f#5", "#inner#12"] {
            assert!(is_generated(name), "{name}");
        }
        for name in ["f", "#f", "#f##kw", "#3", "##kw", "#a#b"] {
            assert!(!is_generated(name), "{name}");
        }
    }
}
