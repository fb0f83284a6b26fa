//! The roots of methods: the objects that the compressed code of their method instances refers to by number.
//!
//! For each object that it refers to, Julia looks through all roots of the method (dump.c, `literal_val_id`). A function
//! that takes functions, such as `mapreduce`, has thousands of them after a while; here the roots of a method that has
//! many are sorted once, while libraries are linked.

use jl_sys::jl_method_t;

use crate::julia_1_5::{jl_array_ptr_1d_push, write_barrier, RuntimeLock};
use crate::object::{array_items, is, is_type, type_of, Value};
use rustc_hash::FxHashMap;

/// So often is a method's list looked through before it is sorted: to look through it once is a thirtieth of the work.
const PATIENCE: usize = 48;

/// The roots of the methods that were asked about.
#[derive(Default)]
pub struct Roots {
    of: FxHashMap<*mut jl_method_t, Known>,
}

#[derive(Default)]
struct Known {
    asked: usize,
    sorted: Option<Sorted>,
}

#[derive(Default)]
struct Sorted {
    /// How many of them were sorted: Julia only adds to them.
    count: usize,
    places: FxHashMap<Value, u16>,
    /// Places of those that can be equal to another object.
    others: Vec<u16>,
}

impl Sorted {
    unsafe fn add(&mut self, items: &[Value]) {
        if self.count > items.len() {
            *self = Sorted::default();
        }
        let new = &items[self.count..];
        self.places.reserve(new.len());
        for item in new {
            // What stands behind cannot be referred to in two bytes.
            let Ok(place) = u16::try_from(self.count) else { break };
            self.count += 1;
            // SAFETY: roots are live, or null.
            if !item.is_null() && unsafe { !is_alone(*item) } {
                self.others.push(place);
            }
            self.places.entry(*item).or_insert(place);
        }
    }

    unsafe fn place_of(&self, items: &[Value], root: Value) -> Option<u16> {
        // SAFETY: all are live, or null.
        unsafe {
            let same = |place: &&u16| same_root(items[usize::from(**place)], root);
            let place = self.places.get(&root);
            place.or_else(|| (!is_alone(root)).then(|| self.others.iter().find(same)).flatten()).copied()
        }
    }
}

impl Known {
    unsafe fn place_of(&mut self, items: &[Value], root: Value) -> Option<u16> {
        // SAFETY: all are live, or null.
        unsafe {
            self.asked += 1;
            if self.asked < PATIENCE {
                return place_of(items, root).and_then(|place| u16::try_from(place).ok());
            }
            let sorted = self.sorted.get_or_insert_with(Sorted::default);
            sorted.add(items);
            sorted.place_of(items, root)
        }
    }
}

impl Roots {
    /// The numbers of `roots` among those of the method; the new ones go to the end. `None` if there is no room.
    ///
    /// # Safety
    /// On a Julia thread with the collector off; all are live. What a method has as a root it keeps as long as `self` is
    /// used.
    pub unsafe fn add(&mut self, method: *mut jl_method_t, roots: &[Value]) -> Option<Vec<u16>> {
        if roots.is_empty() {
            return Some(Vec::new());
        }
        // SAFETY: the method's own lock protects its roots (dump.c); the collector is off.
        unsafe {
            let _lock = RuntimeLock::of_method(method);
            if (*method).roots.is_null() {
                (*method).roots = jl_sys::jl_alloc_array_1d(jl_sys::jl_array_any_type.cast(), 0);
                write_barrier(method.cast());
            }
            let array = (*method).roots;
            let known = self.of.entry(method).or_default();
            let mut numbers = Vec::with_capacity(roots.len());
            for root in roots {
                let items = array_items(array);
                numbers.push(match known.place_of(items, *root) {
                    Some(place) => place,
                    None => {
                        let place = u16::try_from(items.len()).ok()?;
                        jl_array_ptr_1d_push(array, *root);
                        place
                    }
                });
            }
            Some(numbers)
        }
    }
}

/// Where a root stands that is this object, or equal to it.
unsafe fn place_of(known: &[Value], root: Value) -> Option<usize> {
    // SAFETY: all are live, or null.
    unsafe {
        // Eight at a time, without a branch for each.
        let near =
            known.chunks(8).position(|items| items.iter().fold(false, |found, k| found | (*k == root)));
        if let Some(near) = near {
            return known[8 * near..].iter().position(|k| *k == root).map(|place| 8 * near + place);
        }
        if is_alone(root) {
            return None;
        }
        known.iter().position(|k| same_root(*k, root))
    }
}

/// Is no other object equal to this one? Most roots are types or symbols.
unsafe fn is_alone(root: Value) -> bool {
    // SAFETY: `root` is live.
    unsafe {
        is_type(root)
            || is(root, jl_sys::jl_symbol_type)
            || is(root, jl_sys::jl_method_instance_type)
            || is(root, jl_sys::jl_module_type)
    }
}

/// Does a root stand for another one? dump.c's `literal_val_id` asks the same.
unsafe fn same_root(known: Value, root: Value) -> bool {
    // SAFETY: both are live, or null.
    unsafe {
        known == root
            || (!known.is_null()
                && type_of(known) == type_of(root)
                && !is_type(root)
                && jl_sys::jl_egal(known, root) != 0)
    }
}
