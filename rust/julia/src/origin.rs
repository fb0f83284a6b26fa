//! Where a method came from, which tells it from another one with the same signature.
//!
//! A signature alone finds whatever a session has under it now: an edit at the prompt or by Revise, and
//! what `__init__` evaluates, take the place of a method that a package's image brought. Methods of the
//! sysimage lie in its data. All methods of a `.ji` file have the world in which it was restored
//! (dump.c, `jl_deserialize_value_method`); every later definition in the same module has a later one.
//! What was defined at run time is told apart by its lowered code.

use std::cell::RefCell;
use std::ops::Range;

use nativecache_mutation::mutation;
use rustc_hash::FxHashMap;

use crate::code_digest::{add_source, Mix};
use crate::handles::{Method, Module, Object};

/// Knows the origin of each method of this process.
pub struct Origins {
    sysimage: Range<usize>,
    unproved: u64,
    /// By the address of a root module: the world in which its image was restored.
    restored: RefCell<FxHashMap<usize, Option<usize>>>,
}

/// Of methods that the sysimage holds.
const SYSIMAGE: u64 = 1;

impl Origins {
    /// For a build; `sysimage` is where its objects lie.
    pub fn at_build(sysimage: Range<usize>) -> Self {
        Origins { sysimage, unproved: 2, restored: RefCell::default() }
    }

    /// For a session; `sysimage` is where its objects lie.
    pub fn at_load(sysimage: Range<usize>) -> Self {
        Origins { sysimage, unproved: 3, restored: RefCell::default() }
    }

    /// Stands for a method without a proved origin; never equal between a build and a session.
    pub fn unproved(&self) -> u64 {
        self.unproved
    }

    /// A number that two methods with one signature share only if they are the same method, in any
    /// session; `None` if that cannot be proved.
    pub fn number(&self, method: Method<'_>) -> Option<u64> {
        if self.sysimage.contains(&method.address()) {
            return Some(SYSIMAGE);
        }
        let root = method.module().root();
        let mut mix = Mix::new(root.build_id());
        let (high, low) = root.uuid_words();
        mix.add(high);
        mix.add(low);
        mix.add_bytes(root.as_str().as_bytes());
        let defined_later = !self.came_with_image(method);
        if mutation!("origin: what __init__ defines counts as the package's", defined_later, false) {
            add_source(method, &mut mix)?;
        }
        Some(mix.finish())
    }

    /// Did a package's image bring it, or the sysimage?
    pub fn came_with_image(&self, method: Method<'_>) -> bool {
        self.sysimage.contains(&method.address())
            || self.world_of_image(method.module().root()) == Some(method.primary_world())
    }

    /// The world in which the image of this root module was restored.
    pub fn world_of_image(&self, root: Module<'_>) -> Option<usize> {
        if let Some(known) = self.restored.borrow().get(&root.address()) {
            return *known;
        }
        let world = first_world(root);
        self.restored.borrow_mut().insert(root.address(), world);
        world
    }
}

/// The world of the first methods of a root module: nothing can be defined in it before its image is
/// restored, and every module but a bare one has an `eval` of its own.
fn first_world(root: Module<'_>) -> Option<usize> {
    let eval = root.constant_named("eval").and_then(|eval| first_world_of(eval, root));
    eval.or_else(|| {
        let bindings = root.own_bindings();
        bindings.iter().filter_map(|(_, binding)| first_world_of(binding.constant()?, root)).min()
    })
}

/// The first world among the methods that `root` defined for a function.
fn first_world_of(function: Object<'_>, root: Module<'_>) -> Option<usize> {
    let name = if function.is_type() { function.type_name()? } else { function.type_of().name() };
    let methods = name.method_table()?.entries().into_iter().filter_map(|entry| entry.method());
    methods.filter(|method| method.module().root() == root).map(Method::primary_world).min()
}
