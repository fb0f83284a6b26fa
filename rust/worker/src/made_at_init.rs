//! Globals that `__init__` functions make.
//!
//! A constant that the `.ji` brings is the same in every session of a build. One that `__init__` binds, by
//! `eval`, may have another value each time, and code into which inference has folded it would keep the
//! value of this process. Nothing in 1.5 records which code used a constant, so code that mentions such a
//! name is left out.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jl_sys::{jl_array_t, jl_expr_t, jl_method_t, jl_module_t};
use nativecache_runtime::julia::jl_uncompress_ir;
use nativecache_runtime::value::{array_items, is, is_type, module_path, symbol_str, type_of, Value};
use nativecache_runtime::{imports, inspect, modules};

use crate::build::loaded_modules;

extern "C" {
    fn jl_init_restored_modules(init_order: *mut jl_array_t);
}

/// The values of a module's globals by the address of their binding; 0 where nothing is bound.
type Globals = HashMap<usize, usize>;

/// The modules as they were before any `__init__` could change them.
static BEFORE: Mutex<Option<HashMap<usize, Globals>>> = Mutex::new(None);

/// From now on looks at new modules before `__init__` functions run. The runtime's function that calls them
/// must have been called once: then the sysimage's import slot is filled. Returns whether that worked.
///
/// # Safety
/// On a Julia thread; nothing else runs.
pub unsafe fn watch() -> bool {
    // SAFETY: as the caller says; the function in its place calls the runtime's.
    unsafe {
        look();
        let runtime: unsafe extern "C" fn(*mut jl_array_t) = jl_init_restored_modules;
        let ours: unsafe extern "C" fn(*mut jl_array_t) = look_and_init;
        imports::exchange(runtime as usize, ours as usize).is_some_and(|slots| slots > 0)
    }
}

/// Stands in for `jl_init_restored_modules` (dump.c).
unsafe extern "C" fn look_and_init(init_order: *mut jl_array_t) {
    // SAFETY: called as the runtime's function would have been; looking does not change anything. An
    // `__init__` that throws leaves this frame by longjmp, when there is nothing in it to be dropped.
    unsafe {
        drop(std::panic::catch_unwind(|| look()));
        jl_init_restored_modules(init_order);
    }
}

/// Remembers the globals of modules that are new.
unsafe fn look() {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = before.get_or_insert_with(HashMap::new);
    // SAFETY: as `watch`.
    for module in unsafe { inspect::all_modules(&modules::roots(loaded_modules())) } {
        // SAFETY: as above.
        before.entry(module as usize).or_insert_with(|| unsafe { globals(module) });
    }
}

unsafe fn globals(module: *mut jl_module_t) -> Globals {
    // SAFETY: the module is live.
    unsafe {
        inspect::own_bindings(module).into_iter().map(|(_, b)| (b as usize, (*b).value as usize)).collect()
    }
}

/// What `__init__` functions have made.
#[derive(Default)]
pub struct MadeAtInit {
    /// Constants with a value of their own, by name, with their module.
    constants: BTreeMap<String, String>,
    /// Everything that was not defined before: `isdefined` gave another answer then.
    defined: HashSet<String>,
    /// What is known of methods.
    mentioned: RefCell<HashMap<*mut jl_method_t, Option<String>>>,
}

impl MadeAtInit {
    /// Compares with what was there before.
    ///
    /// # Safety
    /// The collector is off, nothing else runs; `modules` are all that there are.
    pub unsafe fn collect(modules: &[*mut jl_module_t]) -> Self {
        let mut made = MadeAtInit::default();
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = &*before else { return made };
        // SAFETY: as the caller says.
        unsafe {
            for module in modules {
                let Some(then) = before.get(&(*module as usize)) else { continue };
                if *module == jl_sys::jl_main_module {
                    continue;
                }
                for (name, binding) in inspect::own_bindings(*module) {
                    let now = (*binding).value;
                    let then = then.get(&(binding as usize)).copied().unwrap_or(0);
                    if now.is_null() || now as usize == then {
                        continue;
                    }
                    if then == 0 {
                        made.defined.insert(name.to_owned());
                    }
                    if (*binding).constp != 0 && !is_found_by_name(now) {
                        made.constants.insert(name.to_owned(), module_path(*module));
                    }
                }
            }
        }
        made
    }

    /// What of it the source of `method` mentions.
    ///
    /// # Safety
    /// `method` is live, the collector is off.
    pub unsafe fn mentioned_by(&self, method: *mut jl_method_t) -> Option<String> {
        if self.constants.is_empty() && self.defined.is_empty() {
            return None;
        }
        if let Some(known) = self.mentioned.borrow().get(&method) {
            return known.clone();
        }
        // SAFETY: as the caller says.
        let found = unsafe { self.look_for(method) };
        self.mentioned.borrow_mut().insert(method, found.clone());
        found
    }

    unsafe fn look_for(&self, method: *mut jl_method_t) -> Option<String> {
        // SAFETY: as the caller says; `source` is null, a CodeInfo or its compressed form.
        let names = unsafe {
            let mut source = (*method).source;
            if source.is_null() || !(*method).generator.is_null() {
                // What a generator makes of it can mention anything.
                let (name, module) = self.constants.iter().next()?;
                return Some(format!("{module}.{name}, perhaps, in a generated function"));
            }
            if is(source, jl_sys::jl_array_uint8_type.cast()) {
                source = jl_uncompress_ir(method, std::ptr::null_mut(), source.cast());
            }
            let mut names = HashSet::new();
            // CodeInfo's first field is `code`, a Vector{Any}.
            for statement in array_items((*source.cast::<Value>()).cast()) {
                add_names(*statement, 0, &mut names);
            }
            names
        };
        let constant = self.constants.iter().find(|(name, _)| names.contains(name.as_str()));
        if let Some((name, module)) = constant {
            return Some(format!("{module}.{name}"));
        }
        let asks = names.contains("isdefined");
        let defined = self.defined.iter().filter(|name| asks && names.contains(name.as_str())).min();
        defined.map(|name| format!("whether {name} is defined"))
    }
}

/// Types, functions and modules are found by name, and checked, in each session.
unsafe fn is_found_by_name(v: Value) -> bool {
    // SAFETY: `v` is live.
    unsafe {
        let ty = type_of(v);
        let function = jl_sys::jl_isa(v, jl_sys::jl_function_type.cast()) != 0 && (*ty).instance == v;
        is_type(v) || is(v, jl_sys::jl_module_type) || function
    }
}

/// Every name that stands in an expression: of a global, quoted, or the head of an `Expr`.
unsafe fn add_names(node: Value, depth: u32, names: &mut HashSet<&'static str>) {
    if node.is_null() || depth > 200 {
        return;
    }
    // SAFETY: statements are trees of live objects; a GlobalRef is (module, name), a QuoteNode (value).
    unsafe {
        if is(node, jl_sys::jl_symbol_type) {
            names.insert(symbol_str(node.cast()));
        } else if is(node, jl_sys::jl_globalref_type) {
            names.insert(symbol_str((*node.cast::<Value>().add(1)).cast()));
        } else if is(node, jl_sys::jl_quotenode_type) {
            add_names(*node.cast::<Value>(), depth + 1, names);
        } else if is(node, jl_sys::jl_expr_type) {
            let e = node.cast::<jl_expr_t>();
            names.insert(symbol_str((*e).head));
            for arg in array_items((*e).args) {
                add_names(*arg, depth + 1, names);
            }
        }
    }
}
