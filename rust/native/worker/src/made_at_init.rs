//! Globals that `__init__` functions create.
//!
//! A constant from the `.ji` is the same in every session with this build. A constant that `__init__` binds, by `eval`, may
//! have another value each time, and code into which inference has folded it would keep the value of this process. Julia
//! 1.5 does not record which code used a constant, so code that mentions such a name is left out. This is also true if the
//! value is a type, a function or a module: `const IMPL = fast` and `struct R` may differ in each session, and a wrong
//! layout is worse than a wrong value.
//!
//! The same holds for the contents of `Main`, since each session has its own `Main`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use nativecache_image::Reason;
use nativecache_julia::handles::{Binding, DataType, MethodInstance, Module, Object, Symbol, TypeName};
use nativecache_julia::loading::{self, root_modules, InitRestored};
use nativecache_julia::stopped::Stopped;
use nativecache_julia::walk;
use nativecache_mutation::mutation;
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::load::imports;

use crate::mentioned_names::{constants, held_by, MentionedNames};

/// The values of a module's globals by the address of their binding, 0 if unbound; and the fields of constants that were
/// not defined.
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
    fn of(module: Module<'_>) -> Self {
        let mut globals = Globals::default();
        globals.names.extend(module.bindings().into_iter().map(|(_, binding)| binding.name().permanent()));
        globals.used.extend(module.used().into_iter().map(Module::address));
        for (_, binding) in module.own_bindings() {
            globals.values.insert(binding.address(), binding.value().map_or(0, Object::address));
            let fields = binding.constant().map(undefined_fields).unwrap_or_default();
            if !fields.is_empty() {
                globals.undefined.insert(binding.address(), fields);
            }
        }
        globals
    }

    /// Was this name in the table, or in a module that was used? Julia only adds a name from a used module to the table when
    /// it is first looked up.
    fn knows(&self, name: &str, before: &HashMap<usize, Globals>) -> bool {
        let exports = |used: &usize| before.get(used).is_some_and(|globals| globals.names.contains(name));
        self.names.contains(name) || self.used.iter().any(exports)
    }
}

/// The modules, by address, as they were before any `__init__` could change them.
static BEFORE: Mutex<Option<HashMap<usize, Globals>>> = Mutex::new(None);

/// From now on, records new modules before `__init__` functions run. The runtime's function that calls them must have been
/// called once, so that the sysimage's import slot is filled. Returns whether that worked.
///
/// # Safety
/// On a Julia thread; nothing else runs.
pub(crate) unsafe fn watch() -> bool {
    let ours: InitRestored = look_and_init;
    // SAFETY: as the caller says; the function in its place calls the runtime's.
    unsafe {
        look(&Stopped::new());
        imports::exchange(loading::init_restored_address(), ours as usize).is_some_and(|slots| slots > 0)
    }
}

/// Replaces the runtime's function that calls `__init__` functions.
unsafe extern "C" fn look_and_init(order: *mut c_void) {
    // SAFETY: called as the runtime's function would have been; looking does not change anything. An
    // `__init__` that throws leaves this frame by longjmp, when there is nothing in it to be dropped.
    unsafe {
        drop(std::panic::catch_unwind(|| look(&Stopped::new())));
        loading::init_restored(order);
    }
}

/// Records the globals of new modules.
fn look(julia: &Stopped) {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = before.get_or_insert_with(HashMap::new);
    for module in walk::modules(&root_modules(julia)) {
        before.entry(module.address()).or_insert_with(|| Globals::of(module));
    }
}

/// The fields of an object that can be assigned later, and are not yet.
fn undefined_fields(value: Object<'_>) -> Vec<u32> {
    let ty = value.type_of();
    if !ty.is_mutable() {
        return Vec::new();
    }
    let count = ty.field_count().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let undefined = |index: &u32| {
        ty.field(*index).is_some_and(|field| field.is_reference) && value.reference(*index).is_none()
    };
    (0..count).filter(undefined).collect()
}

/// Everything that `__init__` functions have created.
#[derive(Default)]
pub(crate) struct MadeAtInit<'j> {
    /// Constants with their modules, by their own names and by the names of constants that hold these names.
    constants: BTreeMap<String, String>,
    /// Names that were not defined before: `isdefined` had another answer then.
    defined: BTreeMap<String, String>,
    /// Constants and those of their fields that were not defined before: inference looks (`isdefined_tfunc`).
    fields: Vec<(String, String)>,
    /// Constants that hold such a name.
    holders: BTreeMap<String, String>,
    /// Types that were created: code for them depends on their layout, whether it names them or not.
    types: HashMap<TypeName<'j>, String>,
    /// Names that `Main` of this process defines, and that not every session's `Main` has.
    main: BTreeSet<&'j str>,
}

/// Names in every session's `Main`.
const MAIN: [&str; 6] = ["Base", "Core", "Main", "InteractiveUtils", "eval", "include"];

impl<'j> MadeAtInit<'j> {
    /// Compares all modules with their earlier states.
    pub(crate) fn collect(julia: &'j Stopped, modules: &[Module<'j>]) -> Self {
        let mut made = MadeAtInit::default();
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = &*before else { return made };
        // If a module did not exist before, everything in it is new, except names that it finds in Base.
        let used = vec![Module::core(julia).address(), Module::base(julia).address()];
        let nothing = Globals { used, ..Globals::default() };
        for module in modules {
            if module.root().is_main() {
                continue;
            }
            let then = before.get(&module.address());
            if mutation!("init: modules that were not there have made nothing", false, then.is_none()) {
                continue;
            }
            let then = then.unwrap_or(&nothing);
            for (name, binding) in module.bindings() {
                if binding.owner() == Some(*module) {
                    made.add_own(*module, name, binding, then);
                } else if mutation!("init: what it imports was there", !then.knows(name, before), false) {
                    made.add_imported(*module, name, binding);
                }
            }
        }
        for (name, binding) in Module::main(julia).bindings() {
            let found =
                binding.owner().map(Module::root).is_some_and(|owner| owner.is_base() || owner.is_core());
            if !found && !MAIN.contains(&name) {
                made.main.insert(name);
            }
        }
        made.add_holders(mutation!("init: a name in a constant is none", modules, &[]));
        made
    }

    /// Adds a binding that the module owns, if it was bound or rebound.
    fn add_own(&mut self, module: Module<'j>, name: &str, binding: Binding<'j>, before: &Globals) {
        let Some(now) = binding.value() else { return };
        let then = before.values.get(&binding.address()).copied().unwrap_or(0);
        if now.address() == then {
            let undefined = before.undefined.get(&binding.address());
            self.add_fields(name, now, undefined.map_or(&[], Vec::as_slice));
            return;
        }
        if then == 0 {
            self.defined.insert(name.to_owned(), name.to_owned());
        }
        if !binding.is_constant() {
            return;
        }
        self.constants.insert(name.to_owned(), module.path());
        let own = now.is_type().then(|| now.type_name()).flatten().filter(|ty| {
            // An alias of another type does not count.
            ty.module() == module && ty.as_str() == name
        });
        if let Some(own) = own {
            self.types.insert(own, format!("{}.{name}", module.path()));
        }
    }

    /// Adds a name that was imported, or found in a module that was not used before.
    fn add_imported(&mut self, module: Module<'j>, name: &str, stand_in: Binding<'j>) {
        self.defined.insert(name.to_owned(), name.to_owned());
        let binding = module.binding(stand_in.name());
        if binding.and_then(|binding| binding.constant()).is_some() {
            self.constants.insert(name.to_owned(), module.path());
        }
    }

    /// Adds fields of the constant `name` that have been defined meanwhile.
    fn add_fields(&mut self, name: &str, value: Object<'j>, undefined: &[u32]) {
        if undefined.is_empty() {
            return;
        }
        let still = undefined_fields(value);
        let names = value.type_of().name().field_names();
        for index in undefined.iter().filter(|index| !still.contains(index)) {
            if mutation!("init: what __init__ assigns to a field is kept", false, true) {
                continue;
            }
            let field = names.and_then(|names| names.get(*index as usize));
            if let Some(field) = field.and_then(Object::as_kind::<Symbol<'j>>) {
                self.fields.push((name.to_owned(), field.as_str().to_owned()));
            }
        }
    }

    /// Adds constants that hold such names: `getfield(M, NAME)` with a constant `NAME = :X`, which may also be in a tuple, has
    /// the same effect as `M.X`.
    fn add_holders(&mut self, modules: &[Module<'j>]) {
        if self.constants.is_empty() && self.defined.is_empty() {
            return;
        }
        let (mut made, mut holders) = (self.constants.clone(), BTreeMap::new());
        for (name, value) in constants(modules) {
            held_by(value, &mut |held| {
                let Some(symbol) = held.as_kind::<Symbol<'j>>().map(Symbol::as_str) else { return };
                if let Some(module) = self.constants.get(symbol) {
                    made.entry(name.to_owned()).or_insert_with(|| format!("{module}.{symbol} by"));
                }
                if self.defined.contains_key(symbol) {
                    holders.entry(name.to_owned()).or_insert_with(|| symbol.to_owned());
                }
            });
        }
        (self.constants, self.holders) = (made, holders);
    }

    /// The first of these on which the code of `instance`, of a method, depends.
    pub(crate) fn mentioned_by(
        &self,
        instance: MethodInstance<'j>,
        mentions: &MentionedNames<'j>,
    ) -> Option<Undescribable> {
        let made = |detail| Some(Undescribable { reason: Reason::MadeAtInit, detail });
        let names = mentions.names(instance);
        // Inference evaluates `Main.X` like any constant, and `isdefined(Main, :X)`.
        let names_main = mutation!("init: every session's Main is that of the build", names.main, false);
        if let Some(name) = names_main.then(|| self.main.iter().find(|n| names.contains(n))).flatten() {
            return Some(Undescribable { reason: Reason::NamesMain, detail: format!("Main.{name}") });
        }
        // A global of Main that means something here, be it something of Base: a session may have defined it for itself.
        let is_base = |name: &&str| !MAIN.contains(name) && mentions.means_in_main(name);
        let hides = mutation!("init: a name of Base in Main is Base's", names.in_main().find(is_base), None);
        if let Some(name) = hides {
            return Some(Undescribable { reason: Reason::NamesMain, detail: format!("Main.{name}") });
        }
        if self.constants.is_empty() {
            return None;
        }
        if let Some(ty) =
            self.type_in(instance.types()).or_else(|| names.types().find_map(|ty| self.path_of(ty)))
        {
            return made(ty);
        }
        let (name, module) = mentions.find(instance, &self.constants, false)?;
        made(format!("{module}.{name}"))
    }

    /// Was a constant with this name created? Generators may look at it as well.
    pub(crate) fn has_constant(&self, name: &str) -> bool {
        self.constants.contains_key(name)
    }

    /// The path of a type, if it was created by `__init__`.
    fn path_of(&self, name: TypeName<'j>) -> Option<String> {
        mutation!(
            "init: a type that it makes is known by its name alone",
            self.types.get(&name).cloned(),
            None
        )
    }

    /// A type that was created by `__init__`, inside of a type.
    fn type_in(&self, ty: Object<'j>) -> Option<String> {
        let mut found = None;
        held_by(ty, &mut |held| {
            if found.is_none() {
                found = held.as_kind::<DataType<'j>>().and_then(|ty| self.path_of(ty.name()));
            }
        });
        found
    }

    /// A name that was not defined before, in code of `instance`, of a method. The code may look it up, or pass it to code
    /// that does.
    pub(crate) fn named_by(
        &self,
        instance: MethodInstance<'j>,
        mentions: &MentionedNames<'j>,
    ) -> Option<String> {
        if self.defined.is_empty() && self.fields.is_empty() {
            return None;
        }
        let names = mentions.names(instance);
        let field = self.fields.iter().find(|(of, field)| names.contains(of) && names.has_symbol(field));
        if let Some((of, field)) = field {
            return Some(format!("whether {of}.{field} is defined"));
        }
        mentions
            .find(instance, &self.defined, true)
            .or_else(|| mentions.find(instance, &self.holders, false))
            .map(|(_, defined)| format!("whether {defined} is defined"))
    }
}
