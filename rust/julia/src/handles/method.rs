//! Methods, their tables, and their specialisations.

use jl_sys::{
    jl_method_instance_t, jl_method_t, jl_methtable_t, jl_typemap_entry_t, jl_typemap_level_t, jl_value_t,
};

use super::{handle, Array, CodeInstance, DataType, Kind, Module, Object, SVec, Symbol};
use crate::julia_1_5::{
    jl_matching_methods, jl_method_instance_add_backedge, jl_method_table_add_backedge, jl_method_table_for,
    jl_methtable_lookup, jl_new_method_instance_uninit, jl_rettype_inferred, jl_specializations_get_linfo,
    write_barrier, RuntimeLock,
};
use crate::stopped::Stopped;

handle! {
    /// A method.
    Method, jl_method_t, jl_method_type
}

impl<'j> Method<'j> {
    /// Its name.
    pub fn name(self) -> Symbol<'j> {
        // SAFETY: every method has one.
        unsafe { Symbol::from_ptr_unchecked(self.raw().name) }
    }

    /// The module that it was defined in.
    pub fn module(self) -> Module<'j> {
        // SAFETY: every method has one.
        unsafe { Module::from_ptr_unchecked(self.raw().module) }
    }

    /// The file that it was defined in.
    pub fn file(self) -> Option<Symbol<'j>> {
        // SAFETY: null or a symbol.
        unsafe { Symbol::from_ptr(self.raw().file) }
    }

    /// The line that it was defined in.
    pub fn line(self) -> i32 {
        self.raw().line
    }

    /// The type of the tuple of its arguments, the function first.
    pub fn signature(self) -> Object<'j> {
        // SAFETY: every method has one.
        unsafe { Object::at(self.raw().sig as usize) }
    }

    /// The world that its definition made.
    pub fn primary_world(self) -> usize {
        self.raw().primary_world
    }

    /// The last world that has it.
    pub fn deleted_world(self) -> usize {
        self.raw().deleted_world
    }

    /// How many arguments it has, the function included.
    pub fn argument_count(self) -> i32 {
        self.raw().nargs
    }

    /// Does its last argument take all that are left?
    pub fn is_vararg(self) -> bool {
        self.raw().isva != 0
    }

    /// Which of its arguments inference does not specialise on, a bit for each.
    pub fn nospecialize(self) -> i32 {
        self.raw().nospecialize
    }

    /// How many keywords it has.
    pub fn keyword_count(self) -> i32 {
        self.raw().nkw
    }

    /// Was it defined with `Base.@pure`?
    pub fn is_pure(self) -> bool {
        self.raw().pure_ != 0
    }

    /// Its lowered code, as Julia keeps it: a `CodeInfo`, its compressed form, or `None`.
    pub fn source(self) -> Option<Object<'j>> {
        // SAFETY: null or an object.
        unsafe { Object::from_ptr(self.raw().source) }
    }

    /// What makes its body, if it is a generated function.
    pub fn generator(self) -> Option<Object<'j>> {
        // SAFETY: null or an object.
        unsafe { Object::from_ptr(self.raw().generator) }
    }

    /// The objects that its compressed code refers to by number.
    pub fn roots(self) -> Option<Array<'j>> {
        // SAFETY: null or an array.
        unsafe { Array::from_ptr(self.raw().roots) }
    }

    /// Its specialisations, in no order that lasts.
    pub fn specialisations(self) -> impl Iterator<Item = MethodInstance<'j>> {
        // SAFETY: null or a vector with holes (julia.h).
        let table = unsafe { SVec::from_ptr(self.raw().specializations) };
        table.into_iter().flat_map(SVec::items).filter_map(Object::as_kind)
    }

    /// The methods that match a call with these types in `world`; `None` where Julia itself cannot tell.
    pub fn matching(types: Object<'j>, world: usize) -> Option<Vec<Method<'j>>> {
        // What is no tuple type of data is not asked about.
        if !types.is_type() || !types.without_wheres().is::<DataType<'j>>() {
            return None;
        }
        let (mut min, mut max) = (0usize, usize::MAX);
        // SAFETY: a live tuple type. The result is `false` or a vector of svec(type, parameters, method, …).
        let found = unsafe {
            let found = jl_matching_methods(types.as_ptr().cast(), -1, 0, world, &raw mut min, &raw mut max);
            Object::from_ptr(found)?
        };
        let found: Array<'j> = found.as_kind()?;
        found.places().map(|entry| entry?.as_kind::<SVec<'j>>()?.get(2)?.as_kind()).collect()
    }

    /// Runs `body` with the roots while no other thread changes them. Nothing in it may run Julia code or throw.
    pub fn with_roots<T>(self, body: impl FnOnce(RootsLocked<'j>) -> T) -> T {
        // SAFETY: the method's own lock protects its roots (dump.c); the collector is off.
        unsafe {
            let _lock = RuntimeLock::of_method(self.as_ptr());
            let this = self.as_ptr();
            if (*this).roots.is_null() {
                (*this).roots = jl_sys::jl_alloc_array_1d(jl_sys::jl_array_any_type.cast(), 0);
                write_barrier(this.cast());
            }
            body(RootsLocked(Object::at((*this).roots as usize)))
        }
    }

    /// Runs `body` with the specialisations while no other thread changes them. Nothing in it may run Julia code or throw.
    pub fn with_specialisations<T>(
        self,
        body: impl FnOnce(SpecialisationsLocked<'j>) -> Option<T>,
    ) -> Option<T> {
        // SAFETY: the method's own lock protects them (gf.c); the collector is off.
        unsafe {
            let _lock = RuntimeLock::of_method(self.as_ptr());
            let vector = SVec::from_ptr((*self.as_ptr()).specializations)?;
            body(SpecialisationsLocked { method: self, vector })
        }
    }

    /// The specialisation for these types, made if there is none.
    ///
    /// # Safety
    /// `types` is a tuple type that the method's signature matches, and `parameters` are the values of the
    /// signature's variables for it.
    pub unsafe fn specialise(self, types: Object<'j>, parameters: SVec<'j>) -> MethodInstance<'j> {
        // SAFETY: as the caller says.
        unsafe {
            let found = jl_specializations_get_linfo(self.as_ptr(), types.as_ptr(), parameters.as_ptr());
            MethodInstance::from_ptr_unchecked(found)
        }
    }

    /// Puts another list in the place of its roots.
    ///
    /// # Safety
    /// Its compressed code refers to them by number: nobody reads it before the old ones are back. No other thread uses
    /// the method.
    pub unsafe fn set_roots(self, roots: Option<Array<'j>>) {
        // SAFETY: as the caller says; the collector is off, so that no barrier is needed until they are back.
        unsafe { (*self.as_ptr()).roots = roots.map_or(std::ptr::null_mut(), Array::as_ptr) };
    }
}

/// The roots of a method, which this thread has locked.
pub struct RootsLocked<'j>(Object<'j>);

impl<'j> RootsLocked<'j> {
    /// The roots.
    pub fn array(&self) -> Array<'j> {
        // SAFETY: an array of references.
        unsafe { Array::from_object(self.0) }
    }

    /// One more.
    pub fn push(&self, root: Object<'_>) {
        // SAFETY: a `Vector{Any}` under this lock.
        unsafe { self.array().push(root) };
    }
}

/// The specialisations of a method, which this thread has locked.
pub struct SpecialisationsLocked<'j> {
    method: Method<'j>,
    vector: SVec<'j>,
}

impl<'j> SpecialisationsLocked<'j> {
    /// Those with a hash from the front, those without from the end, and room between.
    pub fn vector(&self) -> SVec<'j> {
        self.vector
    }

    /// A new one at an empty place; `None` if the place is taken.
    pub fn put(&self, index: usize, types: Object<'j>, parameters: SVec<'j>) -> Option<MethodInstance<'j>> {
        if index >= self.vector.len() || self.vector.get(index).is_some() {
            return None;
        }
        // SAFETY: this thread has the lock; a place of the vector, and a fresh method instance (gf.c,
        // `jl_specializations_get_linfo`).
        unsafe {
            let new = jl_new_method_instance_uninit();
            (*new).def.value = self.method.as_ptr().cast();
            (*new).specTypes = types.as_ptr();
            (*new).sparam_vals = parameters.as_ptr();
            *self.vector.as_ptr().add(1).cast::<*mut jl_value_t>().add(index) = new.cast();
            write_barrier(self.vector.as_ptr().cast());
            MethodInstance::from_ptr(new)
        }
    }
}

handle! {
    /// A method for certain types of arguments, or the code of a module's top level.
    MethodInstance, jl_method_instance_t, jl_method_instance_type
}

/// What a method instance is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Definition<'j> {
    /// A method.
    Method(Method<'j>),
    /// Top-level code of a module.
    TopLevel(Module<'j>),
}

impl<'j> MethodInstance<'j> {
    /// What it is of.
    pub fn definition(self) -> Option<Definition<'j>> {
        // SAFETY: null, a method or a module.
        let definition = unsafe { Object::from_ptr(self.raw().def.value) }?;
        let method = definition.as_kind().map(Definition::Method);
        method.or_else(|| definition.as_kind().map(Definition::TopLevel))
    }

    /// The method that it is of; `None` for top-level code.
    pub fn method(self) -> Option<Method<'j>> {
        match self.definition()? {
            Definition::Method(method) => Some(method),
            Definition::TopLevel(_) => None,
        }
    }

    /// The type of the tuple of its arguments.
    pub fn types(self) -> Object<'j> {
        // SAFETY: every one has it.
        unsafe { Object::at(self.raw().specTypes as usize) }
    }

    /// The values of the variables of the method's signature.
    pub fn parameters(self) -> Option<SVec<'j>> {
        // SAFETY: null or a vector.
        unsafe { SVec::from_ptr(self.raw().sparam_vals) }
    }

    /// Code that was not inferred: of top-level code, and of generated functions.
    pub fn uninferred(self) -> Option<Object<'j>> {
        // SAFETY: null or an object.
        unsafe { Object::from_ptr(self.raw().uninferred) }
    }

    /// Its code instances, newest first.
    pub fn code_instances(self) -> impl Iterator<Item = CodeInstance<'j>> {
        // SAFETY: a list that ends with null.
        let first = unsafe { CodeInstance::from_ptr(self.raw().cache) };
        std::iter::successors(first, |code| code.next())
    }

    /// Who calls it: the method instances that Julia invalidates with it.
    pub fn backedges(self) -> impl DoubleEndedIterator<Item = Object<'j>> {
        // SAFETY: null or an array.
        unsafe { Array::from_ptr(self.raw().backedges) }.into_iter().flat_map(Array::items)
    }

    /// How many callers it has.
    pub fn backedge_count(self) -> usize {
        // SAFETY: null or an array.
        unsafe { Array::from_ptr(self.raw().backedges) }.map_or(0, Array::len)
    }

    /// Makes Julia invalidate `caller` with this one. Julia looks through the whole list whether it stands there already.
    ///
    /// # Safety
    /// No other thread changes the list.
    pub unsafe fn add_backedge(self, caller: MethodInstance<'j>) {
        // SAFETY: as the caller says.
        unsafe { jl_method_instance_add_backedge(self.as_ptr(), caller.as_ptr()) };
    }

    /// The same without a look whether it stands there: an entry that stands twice is invalidated twice, which is
    /// harmless. Does nothing if the list is empty.
    ///
    /// # Safety
    /// As [`MethodInstance::add_backedge`].
    pub unsafe fn append_backedge(self, caller: MethodInstance<'j>) {
        // SAFETY: as the caller says.
        unsafe {
            if let Some(list) = Array::from_ptr(self.raw().backedges) {
                list.push(caller.object());
            }
        }
    }

    /// Is `caller` among the last `count` that were added as callers?
    pub fn was_lately_added(self, caller: MethodInstance<'j>, count: usize) -> bool {
        // SAFETY: null or an array.
        let list = unsafe { Array::from_ptr(self.raw().backedges) };
        list.is_some_and(|list| list.places().rev().take(count).any(|known| known == Some(caller.object())))
    }

    /// Forgets code that was not inferred.
    ///
    /// # Safety
    /// Nobody else holds on to it, or infers this method instance meanwhile.
    pub unsafe fn forget_uninferred(self) {
        // SAFETY: as the caller says.
        unsafe { (*self.as_ptr()).uninferred = std::ptr::null_mut() };
    }

    /// The code instance with which inference is done in this world.
    pub fn inferred_in(self, world: usize) -> Option<CodeInstance<'j>> {
        // SAFETY: gives a code instance, `nothing` or null.
        unsafe { Object::from_ptr(jl_rettype_inferred(self.as_ptr(), world, world)) }?.as_kind()
    }
}

handle! {
    /// The methods of a function.
    MethodTable, jl_methtable_t, jl_methtable_type
}

impl<'j> MethodTable<'j> {
    /// The table in which methods with this signature are.
    pub fn of_signature(signature: Object<'j>) -> Option<Self> {
        if !signature.is_type() {
            return None;
        }
        // SAFETY: of a type it gives a table, `nothing` or null.
        unsafe { Object::from_ptr(jl_method_table_for(signature.as_ptr())) }?.as_kind()
    }

    /// The table of `Type`, which has the constructors of all types.
    pub fn of_types(_julia: &'j Stopped) -> Option<Self> {
        // SAFETY: exists from start-up on.
        unsafe { Object::from_ptr((*jl_sys::jl_type_typename).mt.cast()) }?.as_kind()
    }

    /// The name of its function.
    pub fn name(self) -> Symbol<'j> {
        // SAFETY: every one has it.
        unsafe { Symbol::from_ptr_unchecked(self.raw().name) }
    }

    /// The module of its function.
    pub fn module(self) -> Option<Module<'j>> {
        // SAFETY: null or a module.
        unsafe { Module::from_ptr(self.raw().module) }
    }

    /// The function that sorts keywords for its function.
    pub fn keyword_sorter(self) -> Option<Object<'j>> {
        // SAFETY: null or an object.
        unsafe { Object::from_ptr(self.raw().kwsorter) }.filter(|sorter| !sorter.is_nothing())
    }

    /// The only entries of a table that has not grown to a tree: the first of them.
    pub fn first_of_list(self) -> Option<TypeMapEntry<'j>> {
        // SAFETY: null, `nothing`, an entry or a level.
        unsafe { Object::from_ptr(self.raw().defs) }?.as_kind()
    }

    /// Its entries, those of deleted methods included, in the map's own order.
    pub fn entries(self) -> Vec<TypeMapEntry<'j>> {
        let mut found = Vec::new();
        self.visit_entries(|entry| found.push(entry));
        found
    }

    /// What its cache for dispatch holds, in the map's own order.
    pub fn cached(self) -> Vec<TypeMapEntry<'j>> {
        let mut found = Vec::new();
        // SAFETY: null, `nothing`, an entry or a level.
        if let Some(map) = unsafe { Object::from_ptr(self.raw().cache) } {
            visit_entries(map, &mut |entry| found.push(entry));
        }
        found
    }

    /// Its methods, each once.
    pub fn methods(self) -> impl Iterator<Item = Method<'j>> {
        self.entries().into_iter().filter_map(TypeMapEntry::method)
    }

    /// The method that `world` has under exactly this signature.
    pub fn find(self, signature: Object<'j>, world: usize) -> Option<Method<'j>> {
        // SAFETY: gives a method, `nothing` or null.
        unsafe { Object::from_ptr(jl_methtable_lookup(self.as_ptr(), signature.as_ptr(), world)) }?.as_kind()
    }

    /// The signatures that found no method, or too many, and who asked: (signature, method instance), each an object.
    pub fn backedges(self) -> impl DoubleEndedIterator<Item = Object<'j>> {
        // SAFETY: null or an array.
        unsafe { Array::from_ptr(self.raw().backedges) }.into_iter().flat_map(Array::items)
    }

    /// How long that list is.
    pub fn backedge_count(self) -> usize {
        // SAFETY: null or an array.
        unsafe { Array::from_ptr(self.raw().backedges) }.map_or(0, Array::len)
    }

    /// Makes Julia invalidate `caller` when a method is added that `signature` could mean. Julia looks through the whole
    /// list whether it stands there already.
    ///
    /// # Safety
    /// No other thread changes the list.
    pub unsafe fn add_backedge(self, signature: Object<'j>, caller: MethodInstance<'j>) {
        // SAFETY: as the caller says.
        unsafe {
            jl_method_table_add_backedge(self.as_ptr(), signature.as_ptr(), caller.object().as_ptr());
        }
    }

    /// The same without a look whether it stands there. Does nothing if the list is empty.
    ///
    /// # Safety
    /// As [`MethodTable::add_backedge`].
    pub unsafe fn append_backedge(self, signature: Object<'j>, caller: MethodInstance<'j>) {
        // SAFETY: as the caller says.
        unsafe {
            if let Some(list) = Array::from_ptr(self.raw().backedges) {
                list.push(signature);
                list.push(caller.object());
            }
        }
    }

    /// Calls `visit` with each of its entries, those of deleted methods included, in the map's own order.
    pub fn visit_entries(self, mut visit: impl FnMut(TypeMapEntry<'j>)) {
        // SAFETY: null, `nothing`, an entry or a level.
        if let Some(map) = unsafe { Object::from_ptr(self.raw().defs) } {
            visit_entries(map, &mut visit);
        }
    }

    /// Calls `visit` with each entry of its cache for dispatch, in the map's own order.
    pub fn visit_cached(self, mut visit: impl FnMut(TypeMapEntry<'j>)) {
        // SAFETY: null, `nothing`, an entry or a level.
        if let Some(map) = unsafe { Object::from_ptr(self.raw().cache) } {
            visit_entries(map, &mut visit);
        }
    }

    /// The signatures that found no method, or too many, each with who asked.
    pub fn backedge_pairs(self) -> impl Iterator<Item = (Object<'j>, Object<'j>)> {
        // SAFETY: null or an array, in which signatures and callers take turns (gf.c).
        let list = unsafe { Array::from_ptr(self.raw().backedges) };
        list.into_iter().flat_map(|list| {
            (0..list.len() / 2).filter_map(move |pair| Some((list.get(2 * pair)?, list.get(2 * pair + 1)?)))
        })
    }
}

/// The shapes are those of typemap.c's jl_typemap_visitor.
fn visit_entries<'j>(map: Object<'j>, visit: &mut dyn FnMut(TypeMapEntry<'j>)) {
    // SAFETY: the type exists from start-up on.
    if map.has_tag(unsafe { jl_sys::jl_typemap_level_type }) {
        // SAFETY: a live level; its parts are null, arrays of pairs, and maps.
        unsafe {
            let level = &*map.as_ptr().cast::<jl_typemap_level_t>();
            for array in [level.targ, level.arg1] {
                let Some(array) = Array::from_ptr(array) else { continue };
                for map in array.places().skip(1).step_by(2).flatten() {
                    visit_entries(map, visit);
                }
            }
            for map in [level.linear.cast::<jl_value_t>(), level.any] {
                if let Some(map) = Object::from_ptr(map) {
                    visit_entries(map, visit);
                }
            }
        }
        return;
    }
    let mut at = TypeMapEntry::of(map);
    while let Some(entry) = at {
        visit(entry);
        at = entry.next();
    }
}

handle! {
    /// An entry of a method table or of its cache.
    TypeMapEntry, jl_typemap_entry_t, jl_typemap_entry_type
}

impl<'j> TypeMapEntry<'j> {
    /// The next of its list.
    fn next(self) -> Option<Self> {
        // SAFETY: null, `nothing` or an entry.
        unsafe { Object::from_ptr(self.raw().next.cast()) }?.as_kind()
    }

    /// What it is the entry for.
    pub fn signature(self) -> Object<'j> {
        // SAFETY: every entry has it.
        unsafe { Object::at(self.raw().sig as usize) }
    }

    /// Its method, or in a cache its method instance.
    pub fn function(self) -> Option<Object<'j>> {
        // SAFETY: null or an object.
        unsafe { Object::from_ptr(self.raw().func.value) }
    }

    /// Its method.
    pub fn method(self) -> Option<Method<'j>> {
        self.function()?.as_kind()
    }

    /// The last world in which it holds.
    pub fn max_world(self) -> usize {
        self.raw().max_world
    }

    /// The first world in which it holds.
    pub fn min_world(self) -> usize {
        self.raw().min_world
    }

    /// Does it hold in the newest world and all that come?
    pub fn is_live(self) -> bool {
        self.max_world() == usize::MAX
    }
}
