//! Whose method is it? The packages that it needs, and for what no package owns those whose code calls it.

use super::*;

/// Which packages' profiles a method belongs into.
pub(super) struct Attribution {
    pub(super) options: Options,
    pub(super) asked_for: Vec<Module>,
    pub(super) references: HashMap<Instance, References>,
    pub(super) callees: HashMap<Instance, Vec<Module>>,
}

impl Attribution {
    pub(super) unsafe fn references(&mut self, mi: Instance, packages: &Packages) -> &References {
        self.references.entry(mi).or_insert_with(|| {
            let mut references = References::default();
            // SAFETY: as `trace`.
            unsafe {
                packages.add((*(*mi).def.method).module.cast(), &mut references);
                packages.add((*mi).specTypes, &mut references);
            }
            references
        })
    }

    pub(super) unsafe fn profiles(
        &mut self,
        mi: Instance,
        packages: &mut Packages,
        before_mark: bool,
    ) -> Vec<Vec<PackageName>> {
        // SAFETY: as `trace`.
        unsafe {
            let references = self.references(mi, packages);
            let mut needed = references.packages.clone();
            // The test library's own machinery belongs to no package.
            let tests = references.everywhere.iter().any(|m| module_name(*m) == "Test");
            if let Some(focus) = self.options.focus {
                return match self.focused(focus, &needed, packages) {
                    Some(owners) if !needed.is_empty() || !(before_mark || tests) => vec![names(&owners)],
                    _ => Vec::new(),
                };
            }
            for callee in self.callees.get(&mi).into_iter().flatten() {
                if !needed.contains(callee) && Some(*callee) != self.options.home {
                    needed.push(*callee);
                }
            }
            let owners = match needed.len() {
                0 => self.needed_by(mi, packages),
                _ => vec![packages.last(&needed)],
            };
            owners.iter().map(|owners| names(owners)).collect()
        }
    }

    /// Where an entry goes when `focus` was run: to it if it loads what the entry needs; to it and what
    /// else is needed if the entry has something to do with it.
    pub(super) unsafe fn focused(
        &self,
        focus: Module,
        needed: &[Module],
        packages: &mut Packages,
    ) -> Option<Vec<Module>> {
        // SAFETY: as `trace`.
        unsafe {
            // Our own functions run beside a workload, not in it.
            if self.options.home.is_some_and(|home| home != focus && needed.contains(&home)) {
                return None;
            }
            let has = packages.closure(focus);
            if needed.iter().all(|m| has.contains(m)) {
                return Some(vec![focus]);
            }
            let last = packages.last(needed);
            last.contains(&focus).then_some(last)
        }
    }

    /// Where a specialisation of Base for types of Base was needed: by the packages whose code calls it;
    /// where only dispatch knows, by those that the session asked for.
    pub(super) unsafe fn needed_by(&mut self, mi: Instance, packages: &mut Packages) -> Vec<Vec<Module>> {
        let mut owners: Vec<Vec<Module>> = Vec::new();
        let mut seen = HashSet::from([mi]);
        let mut stack = vec![mi];
        // SAFETY: as `trace`; backedges are method instances.
        unsafe {
            while let Some(at) = stack.pop() {
                for caller in array_items((*at).backedges) {
                    if !is_method_instance(*caller) || !seen.insert(caller.cast()) {
                        continue;
                    }
                    let caller: Instance = caller.cast();
                    if !is((*caller).def.value, jl_sys::jl_method_type) {
                        continue;
                    }
                    let references = self.references(caller, packages);
                    if references.nowhere {
                        continue;
                    }
                    if references.packages.is_empty() {
                        stack.push(caller);
                        continue;
                    }
                    let needed = references.packages.clone();
                    let last = packages.last(&needed);
                    if !owners.contains(&last) {
                        owners.push(last);
                    }
                }
            }
        }
        if !owners.is_empty() {
            return owners;
        }
        if self.asked_for.is_empty() {
            return self.options.home.map(|home| vec![home]).into_iter().collect();
        }
        self.asked_for.iter().map(|m| vec![*m]).collect()
    }
}
