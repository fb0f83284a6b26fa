//! Whose method is it? The packages that it needs, and for what no package owns those whose code calls it.

use std::collections::{HashMap, HashSet};

use nativecache_julia::handles::{MethodInstance, Module};
use nativecache_julia::packages::{Packages, References};

use crate::trace::callers::callers_of;
use crate::trace::package_name::PackageName;
use crate::trace::references::{references, types_and_module};

/// Which packages' profiles a method belongs into.
pub(crate) struct Attribution<'j> {
    /// The package that a run was for.
    focus: Option<Module<'j>>,
    /// NativeCache.
    home: Option<Module<'j>>,
    packages: Packages<'j>,
    /// The packages that the session itself asked for.
    asked_for: Vec<Module<'j>>,
    references: HashMap<MethodInstance<'j>, References<'j>>,
    /// The packages whose methods the code of a method instance calls, and which its own method is not of.
    called: HashMap<MethodInstance<'j>, Vec<Module<'j>>>,
}

impl<'j> Attribution<'j> {
    /// `focus` is the package that a run was for, `home` is NativeCache; `called` are the packages whose methods the code of a method instance calls.
    pub(crate) fn new(
        focus: Option<Module<'j>>,
        home: Option<Module<'j>>,
        packages: Packages<'j>,
        called: HashMap<MethodInstance<'j>, Vec<Module<'j>>>,
    ) -> Self {
        let asked_for = packages.asked_for().into_iter().filter(|m| Some(*m) != home).collect();
        Attribution { focus, home, packages, asked_for, references: HashMap::new(), called }
    }

    /// What a method instance of a method refers to.
    pub(crate) fn references(&mut self, instance: MethodInstance<'j>) -> &References<'j> {
        self.references
            .entry(instance)
            .or_insert_with(|| references(types_and_module(instance).rev(), &self.packages))
    }

    /// The profiles it goes to: each a package, or several that must be loaded together.
    pub(crate) fn profiles(
        &mut self,
        instance: MethodInstance<'j>,
        before_mark: bool,
    ) -> Vec<Vec<PackageName>> {
        let references = self.references(instance);
        let mut needed = references.packages.clone();
        // The test library's own machinery belongs to no package.
        let tests = references.everywhere.iter().any(|module| module.as_str() == "Test");
        if let Some(focus) = self.focus {
            return match self.focused(focus, &needed) {
                Some(owners) if !needed.is_empty() || !(before_mark || tests) => vec![names(&owners)],
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
        owners.iter().map(|owners| names(owners)).collect()
    }

    /// Where an entry goes when `focus` was run: to it if it loads what the entry needs; to it and what
    /// else is needed if the entry has something to do with it.
    fn focused(&mut self, focus: Module<'j>, needed: &[Module<'j>]) -> Option<Vec<Module<'j>>> {
        // Our own functions run beside a workload, not in it.
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

    /// Where a specialisation of Base for types of Base was needed: by the packages whose code calls it;
    /// where only dispatch knows, by those that the session asked for.
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

    /// The packages of the nearest callers that belong to any.
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

/// Which of the packages `of` something belongs to that needs these: one that loads them all, or several that do so
/// together.
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
    // No one package loads it all: those that it names, or else those that bring a part of it.
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

fn names(modules: &[Module<'_>]) -> Vec<PackageName> {
    modules.iter().map(|module| PackageName::of(*module)).collect()
}
