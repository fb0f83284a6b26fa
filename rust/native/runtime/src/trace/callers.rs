//! Who calls whom, as Julia's backedges and caches for dispatch say.

use std::collections::{HashMap, HashSet};

use nativecache_julia::handles::{Method, MethodInstance, MethodTable, Module, Object};
use nativecache_julia::packages::Packages;

/// The method instances that Julia invalidates with this one: those that call it.
pub(crate) fn callers_of<'j>(instance: MethodInstance<'j>) -> impl Iterator<Item = MethodInstance<'j>> {
    instance.backedges().filter_map(Object::as_kind)
}

/// Of these method instances, those that dispatch has met.
pub(crate) fn dispatched<'j>(
    instances: impl Iterator<Item = MethodInstance<'j>>,
) -> HashSet<MethodInstance<'j>> {
    let candidates: HashSet<MethodInstance<'j>> = instances.collect();
    let tables: HashSet<MethodTable<'j>> =
        candidates.iter().filter_map(|instance| MethodTable::of_signature(instance.types())).collect();
    let mut found = HashSet::new();
    for table in tables {
        table.visit_cached(|entry| {
            let instance = entry.function().and_then(Object::as_kind);
            found.extend(instance.filter(|instance| candidates.contains(instance)));
        });
    }
    found
}

/// Of the method instances of libraries, those that something in this session has called: dispatch, or
/// code that was compiled here, or another one that was used.
pub(crate) fn used<'j>(
    cached: &[MethodInstance<'j>],
    jit: &HashSet<MethodInstance<'j>>,
    dispatched: &HashSet<MethodInstance<'j>>,
) -> Vec<MethodInstance<'j>> {
    let mut callees: HashMap<MethodInstance<'j>, Vec<MethodInstance<'j>>> = HashMap::new();
    let mut seen: HashSet<MethodInstance<'j>> = cached.iter().copied().collect();
    let mut down: Vec<MethodInstance<'j>> =
        seen.iter().copied().filter(|instance| dispatched.contains(instance)).collect();
    let mut up: Vec<MethodInstance<'j>> = cached.to_vec();
    while let Some(instance) = up.pop() {
        for caller in callers_of(instance) {
            callees.entry(caller).or_default().push(instance);
            if jit.contains(&caller) {
                down.push(caller);
            } else if seen.insert(caller) {
                up.push(caller);
            }
        }
    }
    let mut reached = HashSet::new();
    while let Some(instance) = down.pop() {
        if reached.insert(instance) {
            down.extend(callees.get(&instance).into_iter().flatten());
        }
    }
    cached.iter().copied().filter(|instance| reached.contains(instance)).collect()
}

/// The packages whose methods the code of a method instance calls or has inlined, itself or through others, and
/// which its own method is not of: their objects are in its slots, and without them it would be other code.
pub(crate) fn packages_called<'j>(
    methods: &[Method<'j>],
    packages: &Packages<'j>,
) -> HashMap<MethodInstance<'j>, Vec<Module<'j>>> {
    let mut found: HashMap<MethodInstance<'j>, Vec<Module<'j>>> = HashMap::new();
    let mut stack: Vec<(MethodInstance<'j>, Module<'j>)> = Vec::new();
    for method in methods {
        let Some(package) = packages.package_of(method.module()) else { continue };
        stack.extend(method.specialisations().map(|instance| (instance, package)));
        while let Some((at, package)) = stack.pop() {
            for caller in callers_of(at) {
                let Some(method) = caller.method() else { continue };
                // The package's own methods are looked at for themselves.
                if packages.package_of(method.module()) == Some(package) {
                    continue;
                }
                let known = found.entry(caller).or_default();
                if !known.contains(&package) {
                    known.push(package);
                    stack.push((caller, package));
                }
            }
        }
    }
    found
}
