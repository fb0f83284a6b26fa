//! Walks over what is alive in this process: modules, bindings, method tables, methods,
//! specialisations and code instances. Orders are those of names, so that two processes with the
//! same packages and different address layouts see the same sequence.

use std::collections::HashSet;

use jl_sys::{
    jl_code_instance_t, jl_method_instance_t, jl_method_t, jl_methtable_t, jl_module_t, jl_typemap_entry_t,
    jl_typemap_level_t, jl_value_t,
};

use crate::julia_1_5::{Binding, HT_NOTFOUND};
use crate::object::{array_items, is, module_name, svec_items, symbol_str, type_name, type_of, Value};

/// The bindings that `module` itself owns, by name.
///
/// # Safety
/// `module` is a live module and no other thread adds bindings meanwhile.
pub unsafe fn own_bindings(module: *mut jl_module_t) -> Vec<(&'static str, *mut Binding)> {
    // SAFETY: as the caller says; bindings of a live module are live.
    unsafe {
        let mut found = bindings(module);
        found.retain(|(_, binding)| (**binding).owner == module);
        found
    }
}

/// The modules that `module` uses as a whole.
///
/// # Safety
/// As [`own_bindings`].
pub unsafe fn used_modules(module: *mut jl_module_t) -> Vec<*mut jl_module_t> {
    // SAFETY: `usings` is a list of modules (julia.h, `arraylist_t`).
    unsafe {
        let list = &(*module).usings;
        if list.len == 0 {
            return Vec::new();
        }
        std::slice::from_raw_parts(list.items, list.len).iter().map(|used| used.cast()).collect()
    }
}

/// All bindings in the table of `module`, by name: its own, and stand-ins for those that it has imported or found in
/// a module that it uses.
///
/// # Safety
/// As [`own_bindings`].
pub unsafe fn bindings(module: *mut jl_module_t) -> Vec<(&'static str, *mut Binding)> {
    // SAFETY: the table is an open hash of (key, value) words (htable.h), `size` words long.
    unsafe {
        let table = &(*module).bindings;
        let words = std::slice::from_raw_parts(table.table, table.size);
        let mut found: Vec<(&'static str, *mut Binding)> = words
            .chunks_exact(2)
            .filter(|pair| pair[1] != HT_NOTFOUND)
            .map(|pair| pair[1].cast::<Binding>())
            .map(|b| (symbol_str((*b).name), b))
            .collect();
        found.sort_unstable_by_key(|(name, _)| *name);
        found
    }
}

/// All modules below the given root modules, each before its submodules.
///
/// # Safety
/// As [`own_bindings`].
pub unsafe fn all_modules(roots: &[*mut jl_module_t]) -> Vec<*mut jl_module_t> {
    // SAFETY: roots are live modules by the caller's word, submodules by their parent's binding.
    unsafe {
        let mut sorted = roots.to_vec();
        sorted.sort_by_key(|m| (module_name(*m), (**m).uuid.hi, (**m).uuid.lo));
        let mut seen = HashSet::new();
        let mut out = Vec::new();
        for root in sorted {
            visit_module(root, &mut seen, &mut out);
        }
        out
    }
}

unsafe fn visit_module(
    module: *mut jl_module_t,
    seen: &mut HashSet<*mut jl_module_t>,
    out: &mut Vec<*mut jl_module_t>,
) {
    if !seen.insert(module) {
        return;
    }
    out.push(module);
    // SAFETY: as in all_modules. Only the primary binding of a submodule counts, as in gf.c's
    // foreach_mtable_in_module.
    unsafe {
        for (name, binding) in own_bindings(module) {
            let value = (*binding).value;
            if value.is_null() || (*binding).constp == 0 || !is(value, jl_sys::jl_module_type) {
                continue;
            }
            let child = value.cast::<jl_module_t>();
            if child != module && (*child).parent == module && module_name(child) == name {
                visit_module(child, seen, out);
            }
        }
    }
}

/// Every method table that a binding of these modules leads to, and those of keyword sorters.
///
/// # Safety
/// As [`own_bindings`].
pub unsafe fn method_tables(modules: &[*mut jl_module_t]) -> Vec<*mut jl_methtable_t> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    let mut add = |table: *mut jl_methtable_t| {
        // SAFETY: a typename's `mt` is null, `nothing` or a method table.
        unsafe {
            if table.is_null() || table.cast::<jl_value_t>() == jl_sys::jl_nothing {
                return None;
            }
            if seen.insert(table) {
                out.push(table);
            }
            let kwsorter = (*table).kwsorter;
            (!kwsorter.is_null() && kwsorter != jl_sys::jl_nothing).then_some(kwsorter)
        }
    };
    // SAFETY: constants of live modules are live objects.
    unsafe {
        for module in modules {
            for (_, binding) in own_bindings(*module) {
                let value = (*binding).value;
                if value.is_null() || (*binding).constp == 0 {
                    continue;
                }
                let ty = if crate::object::is_type(value) { value } else { type_of(value).cast() };
                let Some(name) = type_name(ty) else { continue };
                if let Some(kwsorter) = add((*name).mt) {
                    let kwname = (*type_of(kwsorter)).name;
                    add((*kwname).mt);
                }
            }
        }
        add((*jl_sys::jl_type_typename).mt);
    }
    out
}

/// Calls `f` with each entry of a typemap, in the map's own order.
///
/// # Safety
/// `map` is a typemap (`nothing`, an entry or a level) that nobody changes meanwhile.
pub unsafe fn visit_typemap(map: Value, f: &mut dyn FnMut(*mut jl_typemap_entry_t)) {
    // SAFETY: the shapes are those of typemap.c's jl_typemap_visitor.
    unsafe {
        if map.is_null() {
            return;
        }
        if is(map, jl_sys::jl_typemap_level_type) {
            let level = map.cast::<jl_typemap_level_t>();
            for array in [(*level).targ, (*level).arg1] {
                for pair in array_items(array).chunks_exact(2) {
                    visit_typemap(pair[1], f);
                }
            }
            visit_typemap((*level).linear.cast(), f);
            visit_typemap((*level).any, f);
            return;
        }
        let mut entry = map;
        while !entry.is_null() && is(entry, jl_sys::jl_typemap_entry_type) {
            let e = entry.cast::<jl_typemap_entry_t>();
            f(e);
            entry = (*e).next.cast();
        }
    }
}

/// Every method in these tables.
///
/// # Safety
/// As [`visit_typemap`].
pub unsafe fn methods(tables: &[*mut jl_methtable_t]) -> Vec<*mut jl_method_t> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for table in tables {
        // SAFETY: `defs` is a typemap whose entries hold methods.
        unsafe {
            visit_typemap((**table).defs, &mut |entry| {
                let method = (*entry).func.value;
                if is(method, jl_sys::jl_method_type) && seen.insert(method) {
                    out.push(method.cast::<jl_method_t>());
                }
            });
        }
    }
    out
}

/// Every specialisation of a method.
///
/// # Safety
/// `method` is a live method that nobody specialises meanwhile.
pub unsafe fn specializations(method: *mut jl_method_t) -> Vec<*mut jl_method_instance_t> {
    // SAFETY: 1.5 keeps them in a simple vector with holes (julia.h).
    unsafe {
        let table = (*method).specializations;
        if table.is_null() {
            return Vec::new();
        }
        svec_items(table)
            .iter()
            .copied()
            .filter(|v| !v.is_null() && is(*v, jl_sys::jl_method_instance_type))
            .map(|v| v.cast())
            .collect()
    }
}

/// The code instances of a method instance, newest first.
///
/// # Safety
/// `mi` is a live method instance.
pub unsafe fn code_instances(mi: *mut jl_method_instance_t) -> impl Iterator<Item = *mut jl_code_instance_t> {
    // SAFETY: the cache is a null-terminated list.
    let mut at = unsafe { (*mi).cache };
    std::iter::from_fn(move || {
        if at.is_null() {
            return None;
        }
        let this = at;
        // SAFETY: `this` is a live member of the list.
        at = unsafe { (*this).next };
        Some(this)
    })
}

/// The value of the constant binding that `module` itself owns under `name`.
///
/// # Safety
/// `module` is a live module, `name` a symbol.
pub unsafe fn constant(module: *mut jl_module_t, name: *mut jl_sys::jl_sym_t) -> Option<Value> {
    // SAFETY: jl_get_binding returns null or a binding; it resolves imports, so the owner is checked.
    unsafe {
        let binding = crate::julia_1_5::jl_get_binding(module, name);
        if binding.is_null() || (*binding).owner != module || (*binding).constp == 0 {
            return None;
        }
        let value = (*binding).value;
        (!value.is_null()).then_some(value)
    }
}
