//! Which names code mentions: what inference may have looked up without an edge.
//!
//! A name can stand in the source, in the types for which it was compiled (`Val{:x}`), and in a constant that the
//! source names. What is asked here is answered with yes too often, never too seldom.

use nativecache_mutation::mutation;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use jl_sys::{jl_datatype_t, jl_expr_t, jl_method_instance_t, jl_method_t, jl_module_t, jl_typename_t};
use nativecache_julia::inspect;
use nativecache_julia::julia_1_5::{jl_get_binding, jl_uncompress_ir};
use nativecache_julia::layout;
use nativecache_julia::object::{
    array_items, is, is_type, module_name, root_module, svec_items, symbol_str, type_name, type_of,
    unwrap_unionall, Value,
};
use nativecache_runtime::raw::{can_change, generated_body};

/// The names in one source.
#[derive(Default)]
pub struct Names {
    /// Every name: of a global, quoted, or the head of an `Expr`.
    all: HashSet<&'static str>,
    /// Those that are values, symbols, which code can hand on or ask for.
    symbols: HashSet<&'static str>,
    /// Types that stand there as objects, and those of objects.
    types: HashSet<*mut jl_typename_t>,
    /// Does `Main` stand there?
    pub main: bool,
}

impl Names {
    /// The types that stand there as objects.
    pub fn types(&self) -> impl Iterator<Item = *mut jl_typename_t> + '_ {
        self.types.iter().copied()
    }

    /// Does this name stand there, as whatever?
    pub fn contains(&self, name: &str) -> bool {
        self.all.contains(name)
    }

    /// Does it stand there as a value?
    pub fn has_symbol(&self, name: &str) -> bool {
        self.symbols.contains(name)
    }
}

/// The names in the sources that were looked at.
#[derive(Default)]
pub struct Mentions {
    of: RefCell<HashMap<Value, Rc<Names>>>,
}

impl Mentions {
    /// The names in the source from which `mi` is compiled.
    ///
    /// # Safety
    /// `mi` is a live instance of a method; on a Julia thread, the collector is off.
    pub unsafe fn names(&self, mi: *mut jl_method_instance_t) -> Rc<Names> {
        // SAFETY: as the caller says; `source` is null, a CodeInfo or its compressed form.
        unsafe {
            let method = (*mi).def.value.cast::<jl_method_t>();
            let generated = !(*method).generator.is_null();
            // Generated code is another for each instance.
            let key: Value = if generated { mi.cast() } else { method.cast() };
            if let Some(known) = self.of.borrow().get(&key) {
                return Rc::clone(known);
            }
            let mut names = Names::default();
            let mut source =
                if generated { generated_body(mi).unwrap_or(std::ptr::null_mut()) } else { (*method).source };
            if !source.is_null() && is(source, jl_sys::jl_array_uint8_type.cast()) {
                source = jl_uncompress_ir(method, std::ptr::null_mut(), source.cast());
            }
            if !source.is_null() && is(source, jl_sys::jl_code_info_type) {
                // CodeInfo's first field is `code`, a Vector{Any}.
                for statement in array_items((*source.cast::<Value>()).cast()) {
                    add_names(*statement, 0, &mut names);
                }
            }
            let names = Rc::new(names);
            self.of.borrow_mut().insert(key, Rc::clone(&names));
            names
        }
    }

    /// The first of `wanted` that `mi` mentions; only as a symbol, if so said.
    ///
    /// # Safety
    /// As [`Mentions::names`].
    pub unsafe fn find<'a>(
        &self,
        mi: *mut jl_method_instance_t,
        wanted: &'a BTreeMap<String, String>,
        as_symbol: bool,
    ) -> Option<(&'a String, &'a String)> {
        // SAFETY: as the caller says.
        unsafe {
            let mut types = HashSet::new();
            held_by((*mi).specTypes, &mut |held| {
                if is(held, jl_sys::jl_symbol_type) {
                    types.insert(symbol_str(held.cast()));
                } else if is(held, jl_sys::jl_datatype_type) {
                    // Inference knows the name of a type as well: `getfield(M, nameof(T))`.
                    let name = symbol_str((*(*held.cast::<jl_datatype_t>()).name).name);
                    types.insert(name.trim_start_matches('#'));
                }
            });
            let source = self.names(mi);
            let names = if as_symbol { &source.symbols } else { &source.all };
            wanted.iter().find(|(name, _)| {
                names.contains(name.as_str())
                    || mutation!("init: a name in a type is none", types.contains(name.as_str()), false)
            })
        }
    }
}

unsafe fn add_names(node: Value, depth: u32, names: &mut Names) {
    if node.is_null() || depth > 200 {
        return;
    }
    // SAFETY: statements are trees of live objects; a GlobalRef is (module, name), a QuoteNode (value).
    unsafe {
        if is(node, jl_sys::jl_globalref_type) {
            let name = symbol_str((*node.cast::<Value>().add(1)).cast());
            names.all.insert(name);
            names.main |= name == "Main" || *node.cast::<Value>() == jl_sys::jl_main_module.cast();
        } else if is(node, jl_sys::jl_quotenode_type) {
            add_names(*node.cast::<Value>(), depth + 1, names);
        } else if is(node, jl_sys::jl_expr_type) {
            let e = node.cast::<jl_expr_t>();
            let head = symbol_str((*e).head);
            names.all.insert(head);
            for arg in array_items((*e).args) {
                add_names(*arg, depth + 1, names);
                if head == "isdefined" && is(*arg, jl_sys::jl_globalref_type) {
                    names.symbols.insert(symbol_str((*arg.cast::<Value>().add(1)).cast()));
                }
            }
        } else {
            // Itself, or what a tuple that was put into the code holds.
            held_by(node, &mut |held| {
                if is(held, jl_sys::jl_symbol_type) {
                    names.all.insert(symbol_str(held.cast()));
                    names.symbols.insert(symbol_str(held.cast()));
                } else if is(held, jl_sys::jl_datatype_type) {
                    let ty = (*held.cast::<jl_datatype_t>()).name;
                    names.all.insert(symbol_str((*ty).name).trim_start_matches('#'));
                    names.types.insert(ty);
                } else if held == jl_sys::jl_main_module.cast() {
                    names.main = true;
                }
            });
        }
    }
}

/// Calls `f` with what inference can take out of a constant `value`, itself included: fields that cannot
/// change, and the parameters of types.
///
/// # Safety
/// `value` is live.
pub unsafe fn held_by(value: Value, f: &mut dyn FnMut(Value)) {
    // SAFETY: as the caller says.
    unsafe { held(value, 0, f) }
}

unsafe fn held(value: Value, depth: u32, f: &mut dyn FnMut(Value)) {
    if value.is_null() || depth > 12 {
        return;
    }
    // SAFETY: parts of a live object are live; kinds are checked before casts.
    unsafe {
        if is_type(value) {
            let body = unwrap_unionall(value);
            f(body);
            if is(body, jl_sys::jl_datatype_type) {
                for parameter in svec_items((*body.cast::<jl_datatype_t>()).parameters) {
                    held(*parameter, depth + 1, f);
                }
            } else if is(body, jl_sys::jl_uniontype_type) {
                // A union is (a, b).
                held(*body.cast::<Value>(), depth + 1, f);
                held(*body.cast::<Value>().add(1), depth, f);
            }
            return;
        }
        f(value);
        let ty = type_of(value);
        let leaf = is(value, jl_sys::jl_symbol_type)
            || is(value, jl_sys::jl_string_type)
            || is(value, jl_sys::jl_module_type)
            || is(value, jl_sys::jl_tvar_type);
        if leaf || (*ty).mutabl != 0 || (*ty).layout.is_null() {
            return;
        }
        held(ty.cast(), depth + 1, f);
        for index in 0..(*(*ty).layout).nfields {
            if let Some((offset, true)) = layout::field(ty, index) {
                held(*value.cast::<u8>().add(offset).cast::<Value>(), depth + 1, f);
            }
        }
    }
}

/// Constants of packages that a session could bind anew, by name.
#[derive(Default)]
pub struct Changeable {
    by_name: HashMap<&'static str, Vec<*mut jl_module_t>>,
    /// Names that a constant of the name holds.
    held: HashMap<&'static str, Vec<&'static str>>,
}

impl Changeable {
    /// # Safety
    /// `modules` are live, the collector is off.
    pub unsafe fn collect(modules: &[*mut jl_module_t], sysimage: &std::ops::Range<usize>) -> Self {
        let mut found = Changeable::default();
        // SAFETY: as the caller says.
        unsafe {
            let of_package = |module: &&*mut jl_module_t| {
                !sysimage.contains(&(**module as usize)) && root_module(**module) != jl_sys::jl_main_module
            };
            for module in modules.iter().filter(of_package) {
                for (name, binding) in inspect::own_bindings(*module) {
                    if can_change(binding) {
                        found.by_name.entry(name).or_default().push(*module);
                    }
                }
            }
            for (name, value) in constants(modules) {
                let mut names = Vec::new();
                held_by(value, &mut |held| {
                    if is(held, jl_sys::jl_symbol_type) {
                        names.push(symbol_str(held.cast()));
                    }
                });
                names.retain(|held| found.by_name.contains_key(held));
                if !names.is_empty() {
                    found.held.entry(name).or_default().extend(names);
                }
            }
        }
        found
    }

    /// Those that `mi` may rest on, with the names that its generator was `given`: always in one order.
    ///
    /// # Safety
    /// As [`Mentions::names`].
    pub unsafe fn used_by(
        &self,
        mi: *mut jl_method_instance_t,
        mentions: &Mentions,
        given: &[&'static str],
    ) -> Vec<(*mut jl_module_t, &'static str)> {
        if self.by_name.is_empty() {
            return Vec::new();
        }
        // SAFETY: as the caller says.
        unsafe {
            let names = mentions.names(mi);
            let mut all: BTreeSet<&'static str> = names.all.iter().chain(given).copied().collect();
            held_by((*mi).specTypes, &mut |held| {
                if is(held, jl_sys::jl_symbol_type) {
                    all.insert(symbol_str(held.cast()));
                }
            });
            let held: Vec<_> = all.iter().filter_map(|name| self.held.get(name)).flatten().copied().collect();
            all.extend(held);
            let of = (*(*mi).def.value.cast::<jl_method_t>()).module;
            let mut used = Vec::new();
            for name in &all {
                for module in self.by_name.get(name).into_iter().flatten() {
                    // Its own package's, one that it has by import, or one of a module that it names.
                    let seen = || {
                        let binding = jl_get_binding(of, nativecache_julia::object::symbol(name));
                        !binding.is_null() && (*binding).owner == *module
                    };
                    let named = || names.contains(module_name(*module));
                    if root_module(*module) == root_module(of) || named() || seen() {
                        used.push((*module, *name));
                    }
                }
            }
            used
        }
    }
}

/// The constants of `modules` with their names.
///
/// # Safety
/// `modules` are live.
pub unsafe fn constants(modules: &[*mut jl_module_t]) -> Vec<(&'static str, Value)> {
    // SAFETY: as the caller says; bound values are live.
    unsafe {
        modules
            .iter()
            .flat_map(|module| inspect::own_bindings(*module))
            .filter(|(_, binding)| (**binding).constp != 0 && !(**binding).value.is_null())
            .map(|(name, binding)| (name, (*binding).value))
            .collect()
    }
}

/// Methods that are declared pure: inference calls them and keeps the result, and no edge says so
/// (base/compiler/abstractinterpretation.jl, `pure_eval_call`). Those of the sysimage are not among them.
#[derive(Default)]
pub struct PureMethods {
    by_type: HashMap<*mut jl_typename_t, Vec<*mut jl_method_t>>,
    by_name: HashMap<&'static str, Vec<*mut jl_method_t>>,
}

impl PureMethods {
    /// # Safety
    /// All are live, the collector is off.
    pub unsafe fn collect(
        methods: &[*mut jl_method_t],
        modules: &[*mut jl_module_t],
        sysimage: &std::ops::Range<usize>,
    ) -> Self {
        let mut pure = PureMethods::default();
        // SAFETY: as the caller says; a signature is a tuple type, the function's own type first.
        unsafe {
            for method in methods {
                if (**method).pure_ == 0 || sysimage.contains(&(*method as usize)) {
                    continue;
                }
                pure.by_name.entry(symbol_str((**method).name)).or_default().push(*method);
                let signature = unwrap_unionall((**method).sig);
                let types = svec_items((*signature.cast::<jl_datatype_t>()).parameters);
                if let Some(name) = types.first().and_then(|ty| called_name(*ty)) {
                    pure.by_type.entry(name).or_default().push(*method);
                }
            }
            if pure.by_name.is_empty() {
                return pure;
            }
            for (name, value) in constants(modules) {
                let mut found = Vec::new();
                held_by(value, &mut |held| found.extend_from_slice(pure.of_held(held)));
                if !found.is_empty() {
                    pure.by_name.entry(name).or_default().extend(found);
                }
            }
        }
        pure
    }

    /// Those of the function whose type, or of the type that, `held` is.
    unsafe fn of_held(&self, held: Value) -> &[*mut jl_method_t] {
        // SAFETY: `held` is live.
        let name =
            unsafe { is(held, jl_sys::jl_datatype_type).then(|| (*held.cast::<jl_datatype_t>()).name) };
        name.and_then(|name| self.by_type.get(&name)).map_or(&[], Vec::as_slice)
    }

    /// What `mi` may have called of them: the instances that there are.
    ///
    /// # Safety
    /// As [`Mentions::names`].
    pub unsafe fn called_by(
        &self,
        mi: *mut jl_method_instance_t,
        mentions: &Mentions,
    ) -> Vec<*mut jl_method_instance_t> {
        if self.by_name.is_empty() {
            return Vec::new();
        }
        // SAFETY: as the caller says.
        unsafe {
            let mut methods = Vec::new();
            for name in &mentions.names(mi).all {
                methods.extend(self.by_name.get(name).into_iter().flatten().copied());
            }
            held_by((*mi).specTypes, &mut |held| methods.extend_from_slice(self.of_held(held)));
            methods.sort_unstable();
            methods.dedup();
            methods
                .into_iter()
                .flat_map(|method| inspect::specializations(method))
                .filter(|of| *of != mi)
                .collect()
        }
    }
}

/// The name of the type of which a call's first argument is an instance, or which it constructs.
unsafe fn called_name(ty: Value) -> Option<*mut jl_typename_t> {
    // SAFETY: `ty` is live.
    unsafe {
        let name = type_name(ty)?;
        if name != jl_sys::jl_type_typename {
            return Some(name);
        }
        let of = svec_items((*unwrap_unionall(ty).cast::<jl_datatype_t>()).parameters).first().copied()?;
        type_name(of)
    }
}
