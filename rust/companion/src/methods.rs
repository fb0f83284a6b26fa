//! A walk over all methods.

use std::collections::HashSet;

use jl_sys::types::{jl_module_t, jl_sym_t, jl_value_t};

use crate::layout::{Field, Kind, Layout};
use crate::object::{Module, Object};
use crate::stopped::Stopped;

extern "C" {
    /// The symbols bound in a module. Julia 1.12 has one more argument, but there this function is not called.
    fn jl_module_names(module: *mut jl_module_t, all: i32, imported: i32, usings: i32) -> *mut jl_value_t;
    fn jl_is_binding_deprecated(module: *mut jl_module_t, name: *mut jl_sym_t) -> i32;
}

/// Calls `body` with each method: from the global table on Julia 1.12, otherwise from all tables that are reachable from
/// the bindings of modules, as in Julia's `jl_foreach_reachable_mtable`.
pub(crate) fn each<'s>(
    roots: &[Module<'s>],
    layout: &Layout,
    stopped: &'s Stopped,
    body: &mut dyn FnMut(Object<'s>),
) {
    // SAFETY: Julia has sent the address of a method table, which lives for ever.
    if let Some(table) = unsafe { Object::new(layout.table as *mut jl_value_t, stopped) } {
        each_of_table(table, layout, body);
        return;
    }
    let mut seen: HashSet<usize> = HashSet::new();
    let mut stack = roots.to_vec();
    while let Some(module) = stack.pop() {
        if !seen.insert(module.address()) {
            continue;
        }
        for value in constants(module, stopped) {
            if let Some(child) = value.as_module() {
                if child.parent().address() == module.address() {
                    stack.push(child);
                }
                continue;
            }
            let mut ty = value;
            while let Some((_, inner)) = ty.as_unionall() {
                ty = inner;
            }
            let Some(name) = ty.as_datatype().and_then(|ty| ty.type_name()) else { continue };
            let Some(table) = name.object().field(layout, Field::TypeNameTable) else { continue };
            if table.is(layout, Kind::MethodTable) && seen.insert(table.address()) {
                each_of_table(table, layout, body);
            }
        }
    }
}

/// The constants of a module's own names, without deprecated ones.
fn constants<'s>(module: Module<'s>, stopped: &'s Stopped) -> Vec<Object<'s>> {
    // SAFETY: a live module; the collector is off, so the array stays. Names of deprecated bindings are left out, since
    // to ask for their value warns, or throws under --depwarn=error.
    unsafe {
        let Some(names) = Object::new(jl_module_names(module.as_ptr(), 1, 0, 0), stopped) else {
            return Vec::new();
        };
        names
            .array()
            .into_iter()
            .flatten()
            .filter_map(|name| {
                let symbol: *mut jl_sym_t = name.as_ptr().cast();
                if jl_is_binding_deprecated(module.as_ptr(), symbol) != 0 {
                    return None;
                }
                Object::new(jl_sys::bindings::jl_get_global(module.as_ptr(), symbol), stopped)
            })
            .collect()
    }
}

fn each_of_table<'s>(table: Object<'s>, layout: &Layout, body: &mut dyn FnMut(Object<'s>)) {
    let mut stack: Vec<Object<'s>> = table.field(layout, Field::TableDefs).into_iter().collect();
    while let Some(at) = stack.pop() {
        if at.is(layout, Kind::TypeMapEntry) {
            let mut entry = Some(at);
            while let Some(at) = entry.filter(|entry| entry.is(layout, Kind::TypeMapEntry)) {
                if let Some(method) =
                    at.field(layout, Field::EntryFunc).filter(|f| f.is(layout, Kind::Method))
                {
                    body(method);
                }
                entry = at.field(layout, Field::EntryNext);
            }
        } else if at.is(layout, Kind::TypeMapLevel) {
            for field in [Field::LevelArg1, Field::LevelTarg, Field::LevelName1, Field::LevelTname] {
                if let Some(parts) = at.field(layout, field) {
                    push_parts(parts, layout, &mut stack);
                }
            }
            stack.extend(at.field(layout, Field::LevelList));
            stack.extend(at.field(layout, Field::LevelAny));
        }
    }
}

/// Pushes the values of a typemap's array, which alternates keys and values. A value may be such an array again.
fn push_parts<'s>(parts: Object<'s>, layout: &Layout, stack: &mut Vec<Object<'s>>) {
    for part in parts.typemap_parts(layout).into_iter().skip(1).step_by(2).flatten() {
        if part.is(layout, Kind::TypeMapArray) {
            stack.extend(part.typemap_parts(layout).into_iter().skip(1).step_by(2).flatten());
        } else {
            stack.push(part);
        }
    }
}

/// The method instances of a method.
pub(crate) fn specializations<'s>(method: Object<'s>, layout: &Layout) -> Vec<Object<'s>> {
    let Some(held) = method.field(layout, Field::MethodSpecializations) else { return Vec::new() };
    if held.is(layout, Kind::MethodInstance) {
        return vec![held];
    }
    held.svec().into_iter().flatten().filter(|item| item.is(layout, Kind::MethodInstance)).collect()
}
