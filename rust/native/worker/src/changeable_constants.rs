//! Constants of packages that a session could bind anew.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use nativecache_julia::handles::{MethodInstance, Module, Symbol};
use nativecache_julia::stopped::Stopped;

use nativecache_runtime::edges::constants::can_change;

use crate::mentioned_names::{constants, held_by, MentionedNames};

/// The modules that have such a constant, by its name.
#[derive(Default)]
pub(crate) struct ChangeableConstants<'j> {
    by_name: HashMap<&'j str, Vec<Module<'j>>>,
    /// Names that a constant of the name holds.
    held: HashMap<&'j str, Vec<&'j str>>,
}

impl<'j> ChangeableConstants<'j> {
    /// Those of `modules`; `sysimage` is where its objects lie.
    pub(crate) fn collect(modules: &[Module<'j>], sysimage: &Range<usize>) -> Self {
        let mut found = ChangeableConstants::default();
        let of_package =
            |module: &&Module<'j>| !sysimage.contains(&module.address()) && !module.root().is_main();
        for module in modules.iter().filter(of_package) {
            for (name, binding) in module.own_bindings() {
                if can_change(binding) {
                    found.by_name.entry(name).or_default().push(*module);
                }
            }
        }
        for (name, value) in constants(modules) {
            let mut names = Vec::new();
            held_by(value, &mut |held| names.extend(held.as_kind::<Symbol<'j>>().map(Symbol::as_str)));
            names.retain(|held| found.by_name.contains_key(held));
            if !names.is_empty() {
                found.held.entry(name).or_default().extend(names);
            }
        }
        found
    }

    /// Those that `instance`, of a method, may rest on, with the names that its generator was `given`: always in one order.
    pub(crate) fn used_by(
        &self,
        julia: &'j Stopped,
        instance: MethodInstance<'j>,
        mentions: &MentionedNames<'j>,
        given: &[&'j str],
    ) -> Vec<(Module<'j>, &'j str)> {
        let Some(method) = instance.method().filter(|_| !self.by_name.is_empty()) else { return Vec::new() };
        let names = mentions.names(instance);
        let mut all: BTreeSet<&'j str> = names.all().chain(given.iter().copied()).collect();
        held_by(instance.types(), &mut |held| all.extend(held.as_kind::<Symbol<'j>>().map(Symbol::as_str)));
        let held: Vec<_> = all.iter().filter_map(|name| self.held.get(name)).flatten().copied().collect();
        all.extend(held);
        let of = method.module();
        let mut used = Vec::new();
        for name in &all {
            for module in self.by_name.get(name).into_iter().flatten() {
                // Its own package's, one that it has by import, or one of a module that it names.
                let seen = || {
                    of.binding(Symbol::new(julia, name)).and_then(|binding| binding.owner()) == Some(*module)
                };
                if module.root() == of.root() || names.contains(module.as_str()) || seen() {
                    used.push((*module, *name));
                }
            }
        }
        used
    }
}
