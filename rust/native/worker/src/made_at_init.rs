//! Globals that `__init__` functions make.
//!
//! A constant that the `.ji` brings is the same in every session of a build. One that `__init__` binds, by
//! `eval`, may have another value each time, and code into which inference has folded it would keep the
//! value of this process. Nothing in 1.5 records which code used a constant, so code that mentions such a
//! name is left out. That the value is a type, a function or a module changes nothing: `const IMPL = fast` and
//! `struct R` can say something else in each session, and a layout of this process's is worse than a value.
//!
//! What `Main` holds here is the same kind: a session's `Main` is its own.

use nativecache_julia::root_modules;
use nativecache_mutation::mutation;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jl_sys::{jl_array_t, jl_datatype_t, jl_method_instance_t, jl_module_t, jl_typename_t};
use nativecache_image::Reason;
use nativecache_julia::inspect;
use nativecache_julia::julia_1_5::{jl_get_binding, Binding};
use nativecache_julia::layout;
use nativecache_julia::object::{
    is, is_type, module_path, root_module, svec_items, symbol_str, type_name, type_of, Value,
};
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::load::imports;

use crate::build::loaded_modules;
use crate::mentions::{self, Mentions};

extern "C" {
    fn jl_init_restored_modules(init_order: *mut jl_array_t);
}

/// The values of a module's globals by the address of their binding; 0 where nothing is bound. With the fields
/// that constants did not have.
#[derive(Default)]
struct Globals {
    values: HashMap<usize, usize>,
    undefined: HashMap<usize, Vec<u32>>,
    /// Every name in its table, imported ones included.
    names: HashSet<&'static str>,
    /// The modules that it uses.
    used: Vec<usize>,
}

impl Globals {
    /// Was this name there, or to be found in a module that was used? Those are only put down at the first look.
    fn knows(&self, name: &str, before: &HashMap<usize, Globals>) -> bool {
        let exports = |used: &usize| before.get(used).is_some_and(|globals| globals.names.contains(name));
        self.names.contains(name) || self.used.iter().any(exports)
    }
}

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
    for module in unsafe { inspect::all_modules(&root_modules::roots(loaded_modules())) } {
        // SAFETY: as above.
        before.entry(module as usize).or_insert_with(|| unsafe { globals(module) });
    }
}

unsafe fn globals(module: *mut jl_module_t) -> Globals {
    // SAFETY: the module is live.
    unsafe {
        let mut globals = Globals::default();
        globals.names.extend(inspect::bindings(module).into_iter().map(|(name, _)| name));
        globals.used.extend(inspect::used_modules(module).into_iter().map(|used| used as usize));
        for (_, binding) in inspect::own_bindings(module) {
            globals.values.insert(binding as usize, (*binding).value as usize);
            if (*binding).constp != 0 && !(*binding).value.is_null() {
                let fields = undefined_fields((*binding).value);
                if !fields.is_empty() {
                    globals.undefined.insert(binding as usize, fields);
                }
            }
        }
        globals
    }
}

/// The fields of an object that can be assigned later, and are not yet.
unsafe fn undefined_fields(value: Value) -> Vec<u32> {
    // SAFETY: `value` is live; its type's layout says where pointers are.
    unsafe {
        let ty = type_of(value);
        if (*ty).mutabl == 0 || (*ty).layout.is_null() {
            return Vec::new();
        }
        let undefined = |index: &u32| match layout::field(ty, *index) {
            Some((offset, true)) => (*value.cast::<u8>().add(offset).cast::<Value>()).is_null(),
            _ => false,
        };
        (0..(*(*ty).layout).nfields).filter(undefined).collect()
    }
}

/// What `__init__` functions have made.
#[derive(Default)]
pub struct MadeAtInit {
    /// Constants with a value of their own, with their module, by their name and by those of constants that
    /// hold this name.
    constants: BTreeMap<String, String>,
    /// Everything that was not defined before: `isdefined` gave another answer then.
    defined: BTreeMap<String, String>,
    /// Constants and those of their fields that were not defined before: inference looks (`isdefined_tfunc`).
    fields: Vec<(String, String)>,
    /// Constants that hold such a name.
    holders: BTreeMap<String, String>,
    /// Types that were made: code for them knows their layout, whether it names them or not.
    types: HashMap<*mut jl_typename_t, String>,
    /// What `Main` of this process defines and that of every session does not.
    main: BTreeSet<&'static str>,
}

/// What every session's `Main` has.
const MAIN: [&str; 6] = ["Base", "Core", "Main", "InteractiveUtils", "eval", "include"];

impl MadeAtInit {
    /// Compares with what was there before.
    ///
    /// # Safety
    /// The collector is off, nothing else runs; `modules` are all that there are.
    pub unsafe fn collect(modules: &[*mut jl_module_t]) -> Self {
        let mut made = MadeAtInit::default();
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = &*before else { return made };
        // SAFETY: set when Julia has started.
        let (core, base) = unsafe { (jl_sys::jl_core_module as usize, jl_sys::jl_base_module as usize) };
        // A module that was not there has made everything in it, but for what it finds in Base.
        let nothing = Globals { used: vec![core, base], ..Globals::default() };
        // SAFETY: as the caller says.
        unsafe {
            for module in modules {
                if root_module(*module) == jl_sys::jl_main_module {
                    continue;
                }
                let then = before.get(&(*module as usize));
                if mutation!("init: modules that were not there have made nothing", false, then.is_none()) {
                    continue;
                }
                let then = then.unwrap_or(&nothing);
                for (name, binding) in inspect::bindings(*module) {
                    if (*binding).owner == *module {
                        made.add_own(*module, name, binding, then);
                    } else if mutation!("init: what it imports was there", !then.knows(name, before), false) {
                        made.add_imported(*module, name, binding);
                    }
                }
            }
            for (name, binding) in inspect::bindings(jl_sys::jl_main_module) {
                let owner = root_module((*binding).owner);
                let found = owner == jl_sys::jl_base_module || owner == jl_sys::jl_core_module;
                if !found && !MAIN.contains(&name) {
                    made.main.insert(name);
                }
            }
        }
        // SAFETY: as the caller says.
        unsafe { made.add_holders(mutation!("init: a name in a constant is none", modules, &[])) };
        made
    }

    /// A binding of a module's own, if it was bound or bound anew.
    unsafe fn add_own(
        &mut self,
        module: *mut jl_module_t,
        name: &str,
        binding: *mut Binding,
        before: &Globals,
    ) {
        // SAFETY: as `collect`.
        unsafe {
            let now = (*binding).value;
            let then = before.values.get(&(binding as usize)).copied().unwrap_or(0);
            if now as usize == then {
                let undefined = before.undefined.get(&(binding as usize));
                self.add_fields(name, now, undefined.map_or(&[], Vec::as_slice));
            }
            if now.is_null() || now as usize == then {
                return;
            }
            if then == 0 {
                self.defined.insert(name.to_owned(), name.to_owned());
            }
            if (*binding).constp == 0 {
                return;
            }
            self.constants.insert(name.to_owned(), module_path(module));
            let own = is_type(now).then(|| type_name(now)).flatten().filter(|ty| {
                // Not what it is only another name of.
                (**ty).module == module && symbol_str((**ty).name) == name
            });
            if let Some(own) = own {
                self.types.insert(own, format!("{}.{name}", module_path(module)));
            }
        }
    }

    /// A name that was imported, or found in a module that was not used before.
    unsafe fn add_imported(&mut self, module: *mut jl_module_t, name: &str, stand_in: *mut Binding) {
        self.defined.insert(name.to_owned(), name.to_owned());
        // SAFETY: as `collect`; the name of a live binding is a symbol.
        unsafe {
            let binding = jl_get_binding(module, (*stand_in).name);
            if !binding.is_null() && (*binding).constp != 0 && !(*binding).value.is_null() {
                self.constants.insert(name.to_owned(), module_path(module));
            }
        }
    }

    /// The fields of the constant `name` that are defined by now.
    unsafe fn add_fields(&mut self, name: &str, value: Value, undefined: &[u32]) {
        if undefined.is_empty() {
            return;
        }
        // SAFETY: as `collect`; a type has a name for each of its fields.
        unsafe {
            let still = undefined_fields(value);
            let names = svec_items((*(*type_of(value)).name).names);
            for index in undefined.iter().filter(|index| !still.contains(index)) {
                if mutation!("init: what __init__ assigns to a field is kept", false, true) {
                    continue;
                }
                if let Some(field) = names.get(*index as usize) {
                    self.fields.push((name.to_owned(), symbol_str(field.cast()).to_owned()));
                }
            }
        }
    }

    /// `getfield(M, NAME)` with a constant `NAME = :X`, or one in a tuple, is as good as `M.X`.
    unsafe fn add_holders(&mut self, modules: &[*mut jl_module_t]) {
        if self.constants.is_empty() && self.defined.is_empty() {
            return;
        }
        let (mut constants, mut holders) = (self.constants.clone(), BTreeMap::new());
        // SAFETY: as `collect`.
        unsafe {
            for (name, value) in mentions::constants(modules) {
                mentions::held_by(value, &mut |held| {
                    if !is(held, jl_sys::jl_symbol_type) {
                        return;
                    }
                    let symbol = symbol_str(held.cast());
                    if let Some(module) = self.constants.get(symbol) {
                        constants.entry(name.to_owned()).or_insert_with(|| format!("{module}.{symbol} by"));
                    }
                    if self.defined.contains_key(symbol) {
                        holders.entry(name.to_owned()).or_insert_with(|| symbol.to_owned());
                    }
                });
            }
        }
        (self.constants, self.holders) = (constants, holders);
    }

    /// What of it the code of `mi` rests on.
    ///
    /// # Safety
    /// `mi` is a live instance of a method, the collector is off.
    pub unsafe fn mentioned_by(
        &self,
        mi: *mut jl_method_instance_t,
        mentions: &Mentions,
    ) -> Option<Undescribable> {
        let made = |detail| Some(Undescribable { reason: Reason::MadeAtInit, detail });
        // SAFETY: as the caller says.
        unsafe {
            let names = mentions.names(mi);
            // Inference finds `Main.X` like any constant, and `isdefined(Main, :X)`.
            let names_main = mutation!("init: every session's Main is that of the build", names.main, false);
            if let Some(name) = names_main.then(|| self.main.iter().find(|n| names.contains(n))).flatten() {
                return Some(Undescribable { reason: Reason::NamesMain, detail: format!("Main.{name}") });
            }
            if self.constants.is_empty() {
                return None;
            }
            if let Some(ty) = self.type_in((*mi).specTypes).or_else(|| names.types().find_map(|t| self.of(t)))
            {
                return made(ty);
            }
            let (name, module) = mentions.find(mi, &self.constants, false)?;
            made(format!("{module}.{name}"))
        }
    }

    /// Was a constant of this name made? Generators may look at it as well.
    pub fn has_constant(&self, name: &str) -> bool {
        self.constants.contains_key(name)
    }

    /// The type that was made, if this is one.
    fn of(&self, name: *mut jl_typename_t) -> Option<String> {
        mutation!(
            "init: a type that it makes is known by its name alone",
            self.types.get(&name).cloned(),
            None
        )
    }

    /// A type that was made, in a type.
    unsafe fn type_in(&self, ty: Value) -> Option<String> {
        let mut found = None;
        // SAFETY: as `mentioned_by`.
        unsafe {
            mentions::held_by(ty, &mut |held| {
                if found.is_none() && is(held, jl_sys::jl_datatype_type) {
                    found = self.of((*held.cast::<jl_datatype_t>()).name);
                }
            });
        }
        found
    }

    /// A name that was not defined before, in code that may ask for it, or hand it to something that does.
    ///
    /// # Safety
    /// As [`MadeAtInit::mentioned_by`].
    pub unsafe fn named_by(&self, mi: *mut jl_method_instance_t, mentions: &Mentions) -> Option<String> {
        if self.defined.is_empty() && self.fields.is_empty() {
            return None;
        }
        // SAFETY: as the caller says.
        unsafe {
            let names = mentions.names(mi);
            let field = self.fields.iter().find(|(of, field)| names.contains(of) && names.has_symbol(field));
            if let Some((of, field)) = field {
                return Some(format!("whether {of}.{field} is defined"));
            }
            mentions
                .find(mi, &self.defined, true)
                .or_else(|| mentions.find(mi, &self.holders, false))
                .map(|(_, defined)| format!("whether {defined} is defined"))
        }
    }
}
