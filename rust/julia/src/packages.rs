//! Which packages a signature needs: those that its types and its method belong to.
//!
//! What the sysimage holds is there in every session and counts as no package. What lies in `Main`, in
//! a module that was made there (test modules are), or in an anonymous one, no other session has.

use std::collections::{HashMap, HashSet};

use crate::handles::{DataType, Module, Object, TypeVar, Union, UnionAll};
use crate::stopped::Stopped;
use crate::sysimage::Sysimage;
use crate::walk;

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
pub struct References<'j> {
    /// Packages outside of the sysimage, each once.
    pub packages: Vec<Module<'j>>,
    /// Standard libraries of the sysimage, Base and Core.
    pub everywhere: Vec<Module<'j>>,
    /// Something that no other session has.
    pub nowhere: bool,
}

/// The root modules of this session.
pub struct Packages<'j> {
    main: Module<'j>,
    kinds: HashMap<Module<'j>, Kind>,
    dependencies: HashMap<Module<'j>, HashSet<Module<'j>>>,
}

/// Types nest; deeper than this nothing that a profile keeps goes.
const MAX_DEPTH: u32 = 100;

impl<'j> Packages<'j> {
    /// `roots` are the root modules that are loaded, Core, Base and Main.
    #[must_use]
    pub fn new(julia: &'j Stopped, roots: &[Module<'j>], sysimage: Option<&Sysimage>) -> Self {
        let (core, base, main) = (Module::core(julia), Module::base(julia), Module::main(julia));
        let kind = |root: Module<'j>| {
            if root == main {
                Kind::Nowhere
            } else if root == core
                || root == base
                || sysimage.is_some_and(|s| s.data.contains(&root.address()))
            {
                Kind::Everywhere
            } else {
                Kind::Package
            }
        };
        let kinds = roots.iter().map(|root| (*root, kind(*root))).collect();
        Packages { main, kinds, dependencies: HashMap::new() }
    }

    /// The packages outside of the sysimage.
    pub fn loaded(&self) -> impl Iterator<Item = Module<'j>> + '_ {
        self.kinds.iter().filter(|(_, kind)| **kind == Kind::Package).map(|(module, _)| *module)
    }

    /// The package outside of the sysimage that a module is of.
    #[must_use]
    pub fn package_of(&self, module: Module<'j>) -> Option<Module<'j>> {
        let root = module.root();
        (self.kinds.get(&root) == Some(&Kind::Package)).then_some(root)
    }

    fn add_module(&self, module: Module<'j>, out: &mut References<'j>) {
        let root = module.root();
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
    pub fn add(&self, value: Object<'j>, out: &mut References<'j>) {
        self.add_nested(value, out, 0);
    }

    fn add_nested(&self, value: Object<'j>, out: &mut References<'j>, depth: u32) {
        if out.nowhere {
            return;
        }
        if depth > MAX_DEPTH {
            out.nowhere = true;
            return;
        }
        if let Some(ty) = value.as_kind::<DataType<'j>>() {
            self.add_module(ty.name().module(), out);
            for parameter in ty.parameters().items() {
                self.add_nested(parameter, out, depth + 1);
            }
        } else if let Some(all) = value.as_kind::<UnionAll<'j>>() {
            self.add_nested(all.variable().into(), out, depth + 1);
            self.add_nested(all.body(), out, depth + 1);
        } else if let Some(union) = value.as_kind::<Union<'j>>() {
            for member in union.members() {
                self.add_nested(member, out, depth + 1);
            }
        } else if let Some(variable) = value.as_kind::<TypeVar<'j>>() {
            for bound in variable.bounds() {
                self.add_nested(bound, out, depth + 1);
            }
        } else if let Some(module) = value.as_kind::<Module<'j>>() {
            self.add_module(module, out);
        } else if !value.is_type() {
            // A value as a parameter: its type must be there too.
            self.add_nested(value.type_of().into(), out, depth + 1);
        }
    }

    /// All packages that `package` loads, itself included.
    pub fn closure(&mut self, package: Module<'j>) -> &HashSet<Module<'j>> {
        if !self.dependencies.contains_key(&package) {
            let mut all = HashSet::from([package]);
            let mut stack = vec![package];
            while let Some(at) = stack.pop() {
                stack.extend(self.direct(at).into_iter().filter(|next| all.insert(*next)));
            }
            self.dependencies.insert(package, all);
        }
        &self.dependencies[&package]
    }

    /// The packages that modules of `package` have imported something from.
    fn direct(&self, package: Module<'j>) -> HashSet<Module<'j>> {
        let mut found = HashSet::new();
        let mut add = |module: Module<'j>| {
            let root = module.root();
            if root != package && self.kinds.get(&root) == Some(&Kind::Package) {
                found.insert(root);
            }
        };
        for module in walk::modules(&[package]) {
            module.used().into_iter().for_each(&mut add);
            for (_, binding) in module.bindings() {
                binding.owner().into_iter().for_each(&mut add);
                binding.constant().and_then(Object::as_kind::<Module<'j>>).into_iter().for_each(&mut add);
            }
        }
        found
    }

    /// Of several packages those that no other of them loads anyway, by name.
    pub fn last(&mut self, packages: &[Module<'j>]) -> Vec<Module<'j>> {
        let mut last: Vec<Module<'j>> = Vec::new();
        for (at, package) in packages.iter().enumerate() {
            let implied = packages.iter().enumerate().any(|(other, by)| {
                // Two that load each other: the first stays.
                other != at
                    && self.closure(*by).contains(package)
                    && (other < at || !self.closure(*package).contains(by))
            });
            if !implied {
                last.push(*package);
            }
        }
        last.sort_unstable_by_key(|module| (module.as_str(), module.uuid()));
        last
    }

    /// The packages that `Main` has by name: those that the session itself asked for.
    #[must_use]
    pub fn asked_for(&self) -> Vec<Module<'j>> {
        let values = self.main.own_bindings().into_iter().filter_map(|(_, binding)| binding.value());
        let mut found: Vec<Module<'j>> = values
            .filter_map(Object::as_kind::<Module<'j>>)
            .filter(|module| self.kinds.get(module) == Some(&Kind::Package))
            .collect();
        found.dedup();
        found
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
