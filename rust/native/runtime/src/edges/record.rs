//! What compiled code depends on, collected in the build process.
//!
//! Julia 1.5 keeps no list of edges with a code instance. They stand only the other way round: a
//! method instance lists those that depend on it (`backedges`), and a method table those that depend
//! on which methods match a signature. Walking all of them backwards gives every method instance what
//! it depends on, inlined callees included, as dump.c does for precompile files.

use std::collections::HashMap;

use nativecache_julia::handles::{Method, MethodInstance, MethodTable, Module, Object, TypeName};
use nativecache_julia::origin::Origins;
use nativecache_julia::sysimage::Sysimage;

use crate::edges::tables::Scan;

/// One thing that code depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Target<'j> {
    /// A call, or an inlined call, of this method instance.
    Instance(MethodInstance<'j>),
    /// The methods that match this signature, perhaps none.
    Signature(Object<'j>),
}

impl<'j> Target<'j> {
    /// The signature that is matched against the method table.
    pub fn signature(self) -> Object<'j> {
        match self {
            Target::Instance(instance) => instance.types(),
            Target::Signature(signature) => signature,
        }
    }
}

/// The edges of every method instance.
#[derive(Default)]
pub struct Dependencies<'j> {
    of: HashMap<MethodInstance<'j>, Vec<Target<'j>>>,
}

impl<'j> Dependencies<'j> {
    /// Reads all backedges of this process; `methods` and `tables` are all that are alive.
    pub fn collect(methods: &[Method<'j>], tables: &[MethodTable<'j>]) -> Self {
        let mut found = Dependencies::default();
        for callee in methods.iter().flat_map(|method| method.specialisations()) {
            for caller in callee.backedges() {
                found.add(caller, Target::Instance(callee));
            }
        }
        for (signature, caller) in tables.iter().flat_map(|table| table.backedge_pairs()) {
            found.add(caller, Target::Signature(signature));
        }
        found
    }

    fn add(&mut self, caller: Object<'j>, target: Target<'j>) {
        if let Some(caller) = caller.as_kind() {
            self.of.entry(caller).or_default().push(target);
        }
    }

    /// What each method instance depends on directly.
    pub fn all(&self) -> impl Iterator<Item = (MethodInstance<'j>, &[Target<'j>])> {
        self.of.iter().map(|(of, on)| (*of, on.as_slice()))
    }

    /// What `instance` depends on directly.
    pub fn of(&self, instance: MethodInstance<'j>) -> &[Target<'j>] {
        self.of.get(&instance).map_or(&[], Vec::as_slice)
    }
}

/// A number that changes when a method is added to a table, deleted or replaced: how many methods of
/// the sysimage are live, and a sum over the identity of all others and of the dead.
pub fn table_digest(table: MethodTable<'_>, sysimage: &Sysimage, origins: &Origins) -> (u32, u64) {
    let scan = Scan::of(table, &sysimage.data);
    (scan.live, scan.digest(origins))
}

/// A type name by which another process finds each method table: the first by module and name. The modules stand in a
/// fixed order.
pub fn table_names<'j>(modules: &[Module<'j>]) -> HashMap<MethodTable<'j>, TypeName<'j>> {
    let mut names = HashMap::new();
    for (_, binding) in modules.iter().flat_map(|module| module.own_bindings()) {
        let name = binding.constant().filter(|value| value.is_type()).and_then(Object::type_name);
        if let Some((name, table)) = name.and_then(|name| Some((name, name.method_table()?))) {
            names.entry(table).or_insert(name);
        }
    }
    names
}
