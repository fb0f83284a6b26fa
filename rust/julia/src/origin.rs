//! Where a method came from, which tells it from another one with the same signature.
//!
//! A signature alone finds whatever a session has under it now: an edit at the prompt or by Revise, and
//! what `__init__` evaluates, take the place of a method that a package's image brought. Methods of the
//! sysimage lie in its data. All methods of a `.ji` file have the world in which it was restored
//! (dump.c, `jl_deserialize_value_method`); every later definition in the same module has a later one.
//! What was defined at run time is told apart by its lowered code.

use nativecache_mutation::mutation;
use std::cell::RefCell;
use std::ops::Range;

use jl_sys::{jl_method_t, jl_module_t};

use crate::code_digest::{digest_source, Mix};
use crate::inspect;
use crate::julia_1_5::jl_module_build_id;
use crate::object::{is, is_type, module_name, root_module, symbol, type_name, type_of, Value};
use rustc_hash::FxHashMap;

/// Knows the origin of each method of this process.
pub struct Origins {
    sysimage: Range<usize>,
    unproved: u64,
    restored: RefCell<FxHashMap<*mut jl_module_t, Option<usize>>>,
}

/// Of methods that the sysimage holds.
const SYSIMAGE: u64 = 1;

impl Origins {
    /// `sysimage`: where its objects lie.
    pub fn at_build(sysimage: Range<usize>) -> Self {
        Origins { sysimage, unproved: 2, restored: RefCell::default() }
    }

    /// The same in a session.
    pub fn at_load(sysimage: Range<usize>) -> Self {
        Origins { sysimage, unproved: 3, restored: RefCell::default() }
    }

    /// Stands for a method without a proved origin; never equal between a build and a session.
    pub fn unproved(&self) -> u64 {
        self.unproved
    }

    /// A number that two methods with one signature share only if they are the same method, in any
    /// session; `None` if that cannot be proved.
    ///
    /// # Safety
    /// `method` is a live method; on a Julia thread, collector off.
    pub unsafe fn of(&self, method: *mut jl_method_t) -> Option<u64> {
        if self.sysimage.contains(&(method as usize)) {
            return Some(SYSIMAGE);
        }
        // SAFETY: as the caller says.
        unsafe {
            let root = root_module((*method).module);
            let mut mix = Mix::new(jl_module_build_id(root));
            mix.add((*root).uuid.hi);
            mix.add((*root).uuid.lo);
            mix.add_bytes(module_name(root).as_bytes());
            if mutation!(
                "origin: what __init__ defines counts as the package's",
                !self.is_restored(method),
                false
            ) {
                digest_source(method, &mut mix)?;
            }
            Some(mix.finish())
        }
    }

    /// Did a package's image bring it, or the sysimage?
    ///
    /// # Safety
    /// As [`Origins::of`].
    pub unsafe fn is_restored(&self, method: *mut jl_method_t) -> bool {
        // SAFETY: as the caller says.
        unsafe {
            self.sysimage.contains(&(method as usize))
                || self.restored_in(root_module((*method).module)) == Some((*method).primary_world)
        }
    }

    /// The world in which the image of this root module was restored.
    ///
    /// # Safety
    /// As [`Origins::of`]; `root` is a live root module.
    pub unsafe fn restored_in(&self, root: *mut jl_module_t) -> Option<usize> {
        if let Some(known) = self.restored.borrow().get(&root) {
            return *known;
        }
        // SAFETY: as the caller says.
        let world = unsafe { first_world(root) };
        self.restored.borrow_mut().insert(root, world);
        world
    }
}

impl Origins {
    pub fn number(&self, method: crate::handles::Method<'_>) -> Option<u64> {
        // SAFETY: a handle is alive.
        unsafe { self.of(method.as_ptr()) }
    }

    pub fn came_with_image(&self, method: crate::handles::Method<'_>) -> bool {
        // SAFETY: a handle is alive.
        unsafe { self.is_restored(method.as_ptr()) }
    }

    pub fn world_of_image(&self, root: crate::handles::Module<'_>) -> Option<usize> {
        // SAFETY: a handle is alive.
        unsafe { self.restored_in(root.as_ptr()) }
    }
}

/// The world of the first methods of a root module: nothing can be defined in it before its image is
/// restored, and every module but a bare one has an `eval` of its own.
unsafe fn first_world(root: *mut jl_module_t) -> Option<usize> {
    // SAFETY: values of constant bindings are live.
    unsafe {
        let eval = inspect::constant(root, symbol("eval")).and_then(|f| worlds_of(f, root));
        if eval.is_some() {
            return eval;
        }
        inspect::own_bindings(root)
            .into_iter()
            .filter(|(_, binding)| (**binding).constp != 0 && !(**binding).value.is_null())
            .filter_map(|(_, binding)| worlds_of((*binding).value, root))
            .min()
    }
}

/// The first world among the methods that `root` defined for a function.
unsafe fn worlds_of(function: Value, root: *mut jl_module_t) -> Option<usize> {
    // SAFETY: `function` is live; `defs` is a typemap whose entries hold methods.
    unsafe {
        let ty = if is_type(function) { function } else { type_of(function).cast() };
        let table = (*type_name(ty)?).mt;
        if table.is_null() || table.cast() == jl_sys::jl_nothing {
            return None;
        }
        let mut first: Option<usize> = None;
        inspect::visit_typemap((*table).defs, &mut |entry| {
            let method = (*entry).func.value;
            if is(method, jl_sys::jl_method_type) {
                let method = method.cast::<jl_method_t>();
                if root_module((*method).module) == root {
                    let world = (*method).primary_world;
                    first = Some(first.map_or(world, |known| known.min(world)));
                }
            }
        });
        first
    }
}
