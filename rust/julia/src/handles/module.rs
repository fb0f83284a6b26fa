//! Modules and their bindings.

use std::marker::PhantomData;
use std::ptr::NonNull;

use jl_sys::jl_module_t;

use super::{handle, Object, Symbol};
use crate::julia_1_5::{
    self, jl_get_binding, jl_get_module_binding, jl_module_build_id, jl_module_exports_p, RuntimeLock,
    HT_NOTFOUND,
};
use crate::stopped::Stopped;

handle! {
    /// A module.
    Module, jl_module_t, jl_module_type
}

impl<'j> Module<'j> {
    /// `Core`.
    pub fn core(_julia: &'j Stopped) -> Self {
        // SAFETY: exists from start-up on.
        unsafe { Module::from_ptr_unchecked(jl_sys::jl_core_module) }
    }

    /// `Base`.
    pub fn base(_julia: &'j Stopped) -> Self {
        // SAFETY: exists from start-up on.
        unsafe { Module::from_ptr_unchecked(jl_sys::jl_base_module) }
    }

    /// `Main`.
    pub fn main(_julia: &'j Stopped) -> Self {
        // SAFETY: exists from start-up on.
        unsafe { Module::from_ptr_unchecked(jl_sys::jl_main_module) }
    }

    /// Is it `Core`?
    pub fn is_core(self) -> bool {
        // SAFETY: exists from start-up on.
        self.as_ptr() == unsafe { jl_sys::jl_core_module }
    }

    /// Is it `Base`?
    pub fn is_base(self) -> bool {
        // SAFETY: exists from start-up on.
        self.as_ptr() == unsafe { jl_sys::jl_base_module }
    }

    /// Is it `Main`?
    pub fn is_main(self) -> bool {
        // SAFETY: exists from start-up on.
        self.as_ptr() == unsafe { jl_sys::jl_main_module }
    }

    /// Its name.
    pub fn symbol(self) -> Symbol<'j> {
        // SAFETY: every module has one.
        unsafe { Symbol::from_ptr_unchecked(self.raw().name) }
    }

    /// Its name, as text.
    pub fn as_str(self) -> &'j str {
        self.symbol().as_str()
    }

    /// The module that it was defined in; itself, for a root.
    pub fn parent(self) -> Module<'j> {
        // SAFETY: null or a module.
        unsafe { Module::from_ptr(self.raw().parent) }.unwrap_or(self)
    }

    /// Is it a package's top module, or Core, Base or Main?
    pub fn is_root(self) -> bool {
        // SAFETY: the three exist from start-up on.
        let own = unsafe { [jl_sys::jl_core_module, jl_sys::jl_base_module, jl_sys::jl_main_module] };
        self.parent() == self || own.contains(&self.as_ptr())
    }

    /// The root that it belongs to.
    pub fn root(self) -> Module<'j> {
        let mut at = self;
        while !at.is_root() {
            at = at.parent();
        }
        at
    }

    /// A dotted path for messages, which describes and does not identify.
    pub fn path(self) -> String {
        let mut names = vec![self.as_str()];
        let mut at = self;
        while !at.is_root() {
            at = at.parent();
            names.push(at.as_str());
        }
        names.reverse();
        names.join(".")
    }

    /// The uuid of its package, in the order of its text; zeros if it has none.
    pub fn uuid(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.raw().uuid.hi.to_be_bytes());
        bytes[8..].copy_from_slice(&self.raw().uuid.lo.to_be_bytes());
        bytes
    }

    /// The same in two words, the high one first.
    pub fn uuid_words(self) -> (u64, u64) {
        (self.raw().uuid.hi, self.raw().uuid.lo)
    }

    /// A number that each precompilation of the package makes anew.
    pub fn build_id(self) -> u64 {
        // SAFETY: reads a field.
        unsafe { jl_module_build_id(self.as_ptr()) }
    }

    /// The world in which it was closed.
    pub fn primary_world(self) -> usize {
        self.raw().primary_world
    }

    /// All bindings in its table, by name: its own, and stand-ins for those that it has imported or found in a module
    /// that it uses.
    pub fn bindings(self) -> Vec<(&'j str, Binding<'j>)> {
        let table = &self.raw().bindings;
        // SAFETY: an open hash of (key, value) words (htable.h), `size` words long.
        let words = unsafe { std::slice::from_raw_parts(table.table, table.size) };
        let mut found: Vec<(&'j str, Binding<'j>)> = words
            .as_chunks::<2>()
            .0
            .iter()
            .filter(|pair| pair[1] != HT_NOTFOUND)
            // SAFETY: the values are bindings.
            .filter_map(|pair| unsafe { Binding::from_ptr(pair[1].cast()) })
            .map(|binding| (binding.name().as_str(), binding))
            .collect();
        found.sort_unstable_by_key(|(name, _)| *name);
        found
    }

    /// Calls `visit` with all bindings in its table, in no order.
    pub fn visit_bindings(self, visit: impl FnMut(Binding<'j>)) {
        let table = &self.raw().bindings;
        // SAFETY: an open hash of (key, value) words (htable.h), `size` words long, whose values are bindings.
        unsafe {
            std::slice::from_raw_parts(table.table, table.size)
                .as_chunks::<2>()
                .0
                .iter()
                .filter(|pair| pair[1] != HT_NOTFOUND)
                .filter_map(|pair| Binding::from_ptr(pair[1].cast()))
                .for_each(visit);
        }
    }

    /// Gives `add` the symbols of its table, unless there are more than `most`.
    pub fn add_symbols(self, most: usize, add: &mut dyn FnMut(Symbol<'j>)) {
        // SAFETY: another thread that looks for a name may make the table larger, under the same lock (module.c); the
        // table is an open hash of (key, value) words (htable.h), `size` words long, whose keys are symbols.
        unsafe {
            let _lock = RuntimeLock::of_module(self.as_ptr());
            let table = &self.raw().bindings;
            let words = std::slice::from_raw_parts(table.table, table.size);
            if words.len() / 2 > most {
                return;
            }
            for pair in words.as_chunks::<2>().0.iter().filter(|pair| pair[1] != HT_NOTFOUND) {
                Symbol::from_ptr(pair[0].cast()).into_iter().for_each(&mut *add);
            }
        }
    }

    /// The bindings that it owns, by name.
    pub fn own_bindings(self) -> Vec<(&'j str, Binding<'j>)> {
        let mut found = self.bindings();
        found.retain(|(_, binding)| binding.owner() == Some(self));
        found
    }

    /// The modules that it uses as a whole.
    pub fn used(self) -> Vec<Module<'j>> {
        let list = &self.raw().usings;
        if list.len == 0 {
            return Vec::new();
        }
        // SAFETY: a list of modules (julia.h, `arraylist_t`).
        unsafe {
            std::slice::from_raw_parts(list.items, list.len)
                .iter()
                .filter_map(|used| Module::from_ptr(used.cast()))
                .collect()
        }
    }

    /// The binding that this name means here, once imports are looked up; it may be another module's.
    pub fn binding(self, name: Symbol<'_>) -> Option<Binding<'j>> {
        // SAFETY: gives a binding or null.
        unsafe { Binding::from_ptr(jl_get_binding(self.as_ptr(), name.as_ptr())) }
    }

    /// What its table has under the name; nothing is looked up and nothing warned of.
    pub fn binding_in_table(self, name: Symbol<'_>) -> Option<Binding<'j>> {
        // SAFETY: gives a binding or null.
        unsafe { Binding::from_ptr(jl_get_module_binding(self.as_ptr(), name.as_ptr())) }
    }

    /// The value of the constant that it owns under this name.
    pub fn constant(self, name: Symbol<'_>) -> Option<Object<'j>> {
        self.binding(name).filter(|binding| binding.owner() == Some(self))?.constant()
    }

    /// The value of the constant that it owns under this name.
    pub fn constant_named(self, name: &str) -> Option<Object<'j>> {
        self.constant(Symbol::named(name))
    }

    /// The value that this name has here, once imports are looked up (`Module.name` in Julia).
    pub fn value_of(self, name: &str) -> Option<Object<'j>> {
        // SAFETY: gives an object or null.
        unsafe { Object::from_ptr(jl_sys::jl_get_global(self.as_ptr(), Symbol::named(name).as_ptr())) }
    }

    /// Does it export this name?
    pub fn exports(self, name: Symbol<'_>) -> bool {
        // SAFETY: reads its table.
        unsafe { jl_module_exports_p(self.as_ptr(), name.as_ptr()) != 0 }
    }
}

/// A binding of a module. It is no object of Julia's, and is never freed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct Binding<'j>(NonNull<julia_1_5::Binding>, PhantomData<&'j Stopped>);

impl<'j> Binding<'j> {
    /// # Safety
    /// Null or a binding.
    pub unsafe fn from_ptr(pointer: *mut julia_1_5::Binding) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Binding(pointer, PhantomData))
    }

    fn raw(self) -> &'j julia_1_5::Binding {
        // SAFETY: never freed.
        unsafe { self.0.as_ref() }
    }

    /// Where it lies.
    pub fn address(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// How far behind its beginning its value stands.
    pub const OFFSET_OF_VALUE: usize = std::mem::offset_of!(julia_1_5::Binding, value);

    /// Its name.
    pub fn name(self) -> Symbol<'j> {
        // SAFETY: every binding has one.
        unsafe { Symbol::from_ptr_unchecked(self.raw().name) }
    }

    /// What is bound to it.
    pub fn value(self) -> Option<Object<'j>> {
        // SAFETY: null or an object.
        unsafe { Object::from_ptr(self.raw().value) }
    }

    /// Is it a constant?
    pub fn is_constant(self) -> bool {
        self.raw().constp != 0
    }

    /// Its value, if it is a constant.
    pub fn constant(self) -> Option<Object<'j>> {
        self.value().filter(|_| self.is_constant())
    }

    /// The module that owns it; `None` while nobody has looked it up.
    pub fn owner(self) -> Option<Module<'j>> {
        // SAFETY: null or a module.
        unsafe { Module::from_ptr(self.raw().owner) }
    }
}
