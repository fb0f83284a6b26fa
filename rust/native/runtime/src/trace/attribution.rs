//! Finds the packages to which a method belongs: those that it needs, or if no package owns it, those whose code calls it.

use std::collections::{HashMap, HashSet};

use nativecache_julia::handles::{MethodInstance, Module};
use nativecache_julia::packages::{Packages, References};

use crate::trace::callers::callers_of;
use crate::trace::package_name::PackageName;
use crate::trace::references::{references, types_and_module};

/// Decides to which packages' profiles methods belong.
pub(crate) struct Attribution<'j> {
    /// The package for which a run was made.
    focus: Option<Module<'j>>,
    /// NativeCache.
    home: Option<Module<'j>>,
    packages: Packages<'j>,
    /// What `Main` is called, where it is a script's.
    script: Option<PackageName>,
    /// The packages that the user loaded.
    asked_for: Vec<Module<'j>>,
    references: HashMap<MethodInstance<'j>, References<'j>>,
    /// For each method instance, the packages whose methods its code calls, without the package of its own method.
    called: HashMap<MethodInstance<'j>, Vec<Module<'j>>>,
}

impl<'j> Attribution<'j> {
    /// `focus` is the package for which a run was made, `home` is NativeCache. `called` has, for each method instance, the
    /// packages whose methods its code calls.
    pub(crate) fn new(
        focus: Option<Module<'j>>,
        home: Option<Module<'j>>,
        packages: Packages<'j>,
        script: Option<PackageName>,
        called: HashMap<MethodInstance<'j>, Vec<Module<'j>>>,
    ) -> Self {
        let asked_for = match script {
            // What only dispatch has asked for, the script has.
            Some(_) => vec![packages.main()],
            None => packages.asked_for().into_iter().filter(|m| Some(*m) != home).collect(),
        };
        Attribution { focus, home, packages, script, asked_for, references: HashMap::new(), called }
    }

    /// What names a package in the store.
    pub(crate) fn name(&self, module: Module<'j>) -> PackageName {
        match &self.script {
            Some(script) if module.is_main() => script.clone(),
            _ => PackageName::of(module),
        }
    }

    fn names(&self, modules: &[Module<'j>]) -> Vec<PackageName> {
        modules.iter().map(|module| self.name(*module)).collect()
    }

    /// The packages outside of the sysimage.
    pub(crate) fn loaded(&self) -> Vec<PackageName> {
        self.packages.loaded().map(|module| self.name(module)).collect()
    }

    /// The modules to which a method instance refers.
    pub(crate) fn references(&mut self, instance: MethodInstance<'j>) -> &References<'j> {
        self.references
            .entry(instance)
            .or_insert_with(|| references(types_and_module(instance).rev(), &self.packages))
    }

    /// The profiles to which it belongs: each for a package, or for several that must be loaded together.
    pub(crate) fn profiles(
        &mut self,
        instance: MethodInstance<'j>,
        before_mark: bool,
    ) -> Vec<Vec<PackageName>> {
        let references = self.references(instance);
        let mut needed = references.packages.clone();
        // Methods of the standard library Test belong to no package.
        let tests = references.everywhere.iter().any(|module| module.as_str() == "Test");
        if let Some(focus) = self.focus {
            return match self.focused(focus, &needed) {
                Some(owners) if !needed.is_empty() || !(before_mark || tests) => vec![self.names(&owners)],
                _ => Vec::new(),
            };
        }
        for package in self.called.get(&instance).into_iter().flatten() {
            if !needed.contains(package) && Some(*package) != self.home {
                needed.push(*package);
            }
        }
        let owners = match needed.len() {
            0 => self.needed_by(instance),
            _ => vec![self.packages.last(&needed)],
        };
        owners.iter().map(|owners| self.names(owners)).collect()
    }

    /// The packages for an entry after a run of `focus`: `focus`, if it loads what the entry needs; `focus` and other needed
    /// packages, if the entry involves `focus`.
    fn focused(&mut self, focus: Module<'j>, needed: &[Module<'j>]) -> Option<Vec<Module<'j>>> {
        // NativeCache's own functions are not part of a workload.
        if self.home.is_some_and(|home| home != focus && needed.contains(&home)) {
            return None;
        }
        let has = self.packages.closure(focus);
        if needed.iter().all(|package| has.contains(package)) {
            return Some(vec![focus]);
        }
        let last = self.packages.last(needed);
        last.contains(&focus).then_some(last)
    }

    /// The packages that needed a specialisation of Base for types of Base: those whose code calls it; if it is only known
    /// from dispatch, those that the user loaded.
    fn needed_by(&mut self, instance: MethodInstance<'j>) -> Vec<Vec<Module<'j>>> {
        let owners = self.owners_of_callers(instance);
        if !owners.is_empty() {
            return owners;
        }
        if self.asked_for.is_empty() {
            return self.home.map(|home| vec![home]).into_iter().collect();
        }
        self.asked_for.iter().map(|package| vec![*package]).collect()
    }

    /// The packages of the nearest callers that belong to packages.
    fn owners_of_callers(&mut self, instance: MethodInstance<'j>) -> Vec<Vec<Module<'j>>> {
        let mut owners: Vec<Vec<Module<'j>>> = Vec::new();
        let mut seen = HashSet::from([instance]);
        let mut stack = vec![instance];
        while let Some(at) = stack.pop() {
            for caller in callers_of(at) {
                if !seen.insert(caller) || caller.method().is_none() {
                    continue;
                }
                let references = self.references(caller);
                if references.nowhere {
                    continue;
                }
                if references.packages.is_empty() {
                    stack.push(caller);
                    continue;
                }
                let needed = references.packages.clone();
                let last = self.packages.last(&needed);
                if !owners.contains(&last) {
                    owners.push(last);
                }
            }
        }
        owners
    }
}

/// Those of the packages `of` to which an entry belongs that needs these packages: one that loads them all, or several that
/// do so together.
pub(crate) fn owners<'j>(
    of: &[Module<'j>],
    needed: &[Module<'j>],
    packages: &mut Packages<'j>,
) -> Vec<Module<'j>> {
    let last = packages.last(needed);
    let mut loading: Vec<Module<'j>> = Vec::new();
    for package in of {
        let has = packages.closure(*package);
        if needed.iter().all(|package| has.contains(package)) {
            loading.push(*package);
        }
    }
    if let Some(own) = loading.iter().find(|package| last.contains(package)).or(loading.first()) {
        return vec![*own];
    }
    // No single package loads all of them. Use the packages that the entry names, or else those that load a part of them.
    if last.iter().all(|package| of.contains(package)) {
        return last;
    }
    let mut together: Vec<Module<'j>> = Vec::new();
    for package in of {
        let has = packages.closure(*package);
        if last.iter().any(|package| has.contains(package)) {
            together.push(*package);
        }
    }
    if together.is_empty() {
        of.to_vec()
    } else {
        together
    }
}
