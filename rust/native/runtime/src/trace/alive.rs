//! All code that is alive, sorted by whose it is.

use std::collections::HashSet;

use nativecache_julia::elf::SharedObjects;
use nativecache_julia::handles::{CodeInstance, Invoke, Method, MethodInstance, MethodTable, Module, Object};
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;

use crate::load::library;

/// What is alive, walked once.
pub(crate) struct Alive<'j> {
    /// All methods, in no order.
    pub(crate) methods: Vec<Method<'j>>,
    /// How many code instances there are.
    pub(crate) looked: usize,
    /// Compiled by this process.
    pub(crate) jit: Vec<MethodInstance<'j>>,
    /// Of a library.
    pub(crate) cached: Vec<MethodInstance<'j>>,
    /// Constant results that this process inferred.
    pub(crate) constant: Vec<MethodInstance<'j>>,
    /// Inferred and not compiled, outside of the sysimage.
    pub(crate) inferred: Vec<MethodInstance<'j>>,
}

impl<'j> Alive<'j> {
    /// Walks over all that the root modules lead to; over what is only inferred, if that is asked for.
    pub(crate) fn find(
        julia: &'j Stopped,
        roots: &[Module<'j>],
        sysimage: Option<&Sysimage>,
        inferred: bool,
    ) -> Self {
        let whose = Whose::new(sysimage, inferred);
        let mut found = Alive {
            methods: methods(julia, roots),
            looked: 0,
            jit: vec![],
            cached: vec![],
            constant: vec![],
            inferred: vec![],
        };
        for instance in found.methods.iter().flat_map(|method| method.specialisations()) {
            for code in instance.code_instances() {
                found.looked += 1;
                let list = match whose.is(code) {
                    Owner::Sysimage => continue,
                    Owner::Jit => &mut found.jit,
                    Owner::Library => &mut found.cached,
                    Owner::Constant => &mut found.constant,
                    Owner::Inferred => &mut found.inferred,
                };
                list.push(instance);
            }
        }
        for list in [&mut found.jit, &mut found.cached, &mut found.constant, &mut found.inferred] {
            list.dedup();
        }
        found
    }
}

/// Whose a code instance is.
enum Owner {
    /// The sysimage's, or another shared object's; also of what is not looked for.
    Sysimage,
    Jit,
    Library,
    Constant,
    Inferred,
}

/// Tells code apart by where it lies.
struct Whose<'a> {
    objects: SharedObjects,
    sysimage: Option<&'a Sysimage>,
    inferred: bool,
}

impl<'a> Whose<'a> {
    fn new(sysimage: Option<&'a Sysimage>, inferred: bool) -> Self {
        Whose { objects: SharedObjects::current(), sysimage, inferred }
    }

    fn is(&self, code: CodeInstance<'_>) -> Owner {
        let in_sysimage = || self.sysimage.is_some_and(|sysimage| sysimage.data.contains(&code.address()));
        let invoke = match code.invoke() {
            None if self.inferred && !in_sysimage() && code.inferred().is_some() => return Owner::Inferred,
            None => return Owner::Sysimage,
            Some(Invoke::ConstReturn) if in_sysimage() => return Owner::Sysimage,
            Some(Invoke::ConstReturn) => return Owner::Constant,
            Some(invoke) => invoke,
        };
        let address = if code.specptr() == 0 { invoke.address() } else { code.specptr() };
        // Most of all are the sysimage's: these go first.
        if self.sysimage.is_some_and(|sysimage| sysimage.span.contains(&address)) {
            Owner::Sysimage
        } else if library::owned(address) {
            Owner::Library
        } else if self.objects.contain(address) {
            Owner::Sysimage
        } else {
            Owner::Jit
        }
    }
}

/// Every method that is alive. As [`nativecache_julia::walk::methods`], but in no order, which
/// takes a fifth of the time: a session waits for this when it ends.
fn methods<'j>(julia: &'j Stopped, roots: &[Module<'j>]) -> Vec<Method<'j>> {
    let mut modules: HashSet<Module<'j>> = HashSet::new();
    let mut tables: HashSet<MethodTable<'j>> = HashSet::new();
    let mut stack = roots.to_vec();
    while let Some(module) = stack.pop() {
        if !modules.insert(module) {
            continue;
        }
        module.visit_bindings(|binding| {
            let Some(value) = binding.constant().filter(|_| binding.owner() == Some(module)) else { return };
            if let Some(child) = value.as_kind::<Module<'j>>() {
                if child.parent() == module && child.symbol() == binding.name() {
                    stack.push(child);
                }
            }
            let name = if value.is_type() { value.type_name() } else { Some(value.type_of().name()) };
            add_table(name.and_then(|name| name.method_table()), &mut tables);
        });
    }
    add_table(MethodTable::of_types(julia), &mut tables);
    let mut out = Vec::with_capacity(1 << 15);
    for table in tables {
        // A method stands in the table of its own function only.
        table.visit_entries(|entry| out.extend(entry.method()));
    }
    out
}

/// Adds a method table, and that of the function that sorts keywords for its function.
fn add_table<'j>(table: Option<MethodTable<'j>>, tables: &mut HashSet<MethodTable<'j>>) {
    let Some(table) = table.filter(|table| tables.insert(*table)) else { return };
    let sorter = table.keyword_sorter().map(Object::type_of);
    if let Some(sorter) = sorter {
        add_table(sorter.name().method_table(), tables);
    }
}
