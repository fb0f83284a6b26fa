//! Walks over what is alive in this process: modules, method tables and methods. Orders are those of names, so that two
//! processes with the same packages and different address layouts see the same sequence.

use std::collections::HashSet;

use crate::handles::{Array, Method, MethodTable, Module, Object};
use crate::stopped::Stopped;

/// The root modules in a Julia array of modules, and Core, Base and Main.
pub fn root_modules<'j>(julia: &'j Stopped, loaded: Array<'j>) -> Vec<Module<'j>> {
    let mut out = vec![Module::core(julia), Module::base(julia), Module::main(julia)];
    for module in loaded.items().filter_map(Object::as_kind::<Module<'j>>) {
        if module.is_root() && !out.contains(&module) {
            out.push(module);
        }
    }
    out
}

/// All modules below the given root modules, each before its submodules.
pub fn modules<'j>(roots: &[Module<'j>]) -> Vec<Module<'j>> {
    let mut sorted = roots.to_vec();
    sorted.sort_by_key(|module| (module.as_str(), module.uuid()));
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for root in sorted {
        visit(root, &mut seen, &mut out);
    }
    out
}

fn visit<'j>(module: Module<'j>, seen: &mut HashSet<Module<'j>>, out: &mut Vec<Module<'j>>) {
    if !seen.insert(module) {
        return;
    }
    out.push(module);
    // Only the primary binding of a submodule counts, as in gf.c's foreach_mtable_in_module.
    for (name, binding) in module.own_bindings() {
        let Some(child) = binding.constant().and_then(Object::as_kind::<Module<'j>>) else { continue };
        if child != module && child.parent() == module && child.as_str() == name {
            visit(child, seen, out);
        }
    }
}

/// Every method table that a constant of these modules leads to, those of keyword sorters, and that of `Type`.
pub fn method_tables<'j>(julia: &'j Stopped, modules: &[Module<'j>]) -> Vec<MethodTable<'j>> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    let mut add = |table: Option<MethodTable<'j>>| {
        let table = table?;
        if seen.insert(table) {
            out.push(table);
        }
        table.keyword_sorter()
    };
    for module in modules {
        for (_, binding) in module.own_bindings() {
            let Some(value) = binding.constant() else { continue };
            let name = if value.is_type() { value.type_name() } else { Some(value.type_of().name()) };
            let Some(name) = name else { continue };
            if let Some(sorter) = add(name.method_table()) {
                add(sorter.type_of().name().method_table());
            }
        }
    }
    add(MethodTable::of_types(julia));
    out
}

/// Every method in these tables, each once.
pub fn methods<'j>(tables: &[MethodTable<'j>]) -> Vec<Method<'j>> {
    let mut seen = HashSet::new();
    let all = tables.iter().flat_map(|table| table.methods());
    all.filter(|method| seen.insert(*method)).collect()
}
