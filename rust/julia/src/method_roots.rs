//! The roots of methods: the objects that the compressed code of their method instances refers to by number.
//!
//! For each object that it refers to, Julia looks through all roots of the method (dump.c, `literal_val_id`). A function
//! that takes functions, such as `mapreduce`, has thousands of them after a while; here the roots of a method that has
//! many are sorted once, while libraries are linked.

use rustc_hash::FxHashMap;

use crate::handles::{Array, Method, MethodInstance, Module, Object, Symbol};

/// A list is sorted after so many lookups: one costs about a thirtieth of the sorting.
const PATIENCE: usize = 48;

/// The roots of the methods that were asked about.
#[derive(Default)]
pub struct Roots {
    /// By the address of the method.
    of: FxHashMap<usize, Known>,
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
    /// By address.
    places: FxHashMap<usize, u16>,
    /// Places of those that can be equal to another object.
    others: Vec<u16>,
}

impl Sorted {
    fn add(&mut self, items: Array<'_>) {
        if self.count > items.len() {
            *self = Sorted::default();
        }
        self.places.reserve(items.len() - self.count);
        for index in self.count..items.len() {
            // What stands behind cannot be referred to in two bytes.
            let Ok(place) = u16::try_from(index) else { break };
            self.count += 1;
            let item = items.get(index);
            if item.is_some_and(|item| !is_alone(item)) {
                self.others.push(place);
            }
            self.places.entry(item.map_or(0, Object::address)).or_insert(place);
        }
    }

    fn place_of(&self, items: Array<'_>, root: Object<'_>) -> Option<u16> {
        if let Some(place) = self.places.get(&root.address()) {
            return Some(*place);
        }
        if is_alone(root) {
            return None;
        }
        let same = |place: &&u16| items.get(usize::from(**place)).is_some_and(|known| is_same(known, root));
        self.others.iter().find(same).copied()
    }
}

impl Known {
    fn place_of(&mut self, items: Array<'_>, root: Object<'_>) -> Option<u16> {
        self.asked += 1;
        if self.asked < PATIENCE {
            return place_of(items, root).and_then(|place| u16::try_from(place).ok());
        }
        let sorted = self.sorted.get_or_insert_with(Sorted::default);
        sorted.add(items);
        sorted.place_of(items, root)
    }
}

impl Roots {
    /// The numbers of `roots` among those of the method; the new ones go to the end. `None` if there is no room. What a
    /// method has as a root it must keep as long as `self` is used: nothing of Julia's takes one away.
    pub fn add(&mut self, method: Method<'_>, roots: &[Object<'_>]) -> Option<Vec<u16>> {
        if roots.is_empty() {
            return Some(Vec::new());
        }
        let known = self.of.entry(method.address()).or_default();
        method.with_roots(|items| {
            let mut numbers = Vec::with_capacity(roots.len());
            for root in roots {
                numbers.push(match known.place_of(items.array(), *root) {
                    Some(place) => place,
                    None => {
                        let place = u16::try_from(items.array().len()).ok()?;
                        items.push(*root);
                        place
                    }
                });
            }
            Some(numbers)
        })
    }
}

/// Where a root stands that is this object, or equal to it.
fn place_of(known: Array<'_>, root: Object<'_>) -> Option<usize> {
    if let Some(place) = known.place_of_object(root) {
        return Some(place);
    }
    if is_alone(root) {
        return None;
    }
    known.places().position(|known| known.is_some_and(|known| is_same(known, root)))
}

/// Is no other object equal to this one? Most roots are types or symbols.
fn is_alone(root: Object<'_>) -> bool {
    root.is_type() || root.is::<Symbol<'_>>() || root.is::<MethodInstance<'_>>() || root.is::<Module<'_>>()
}

/// Does a root stand for another one? dump.c's `literal_val_id` asks the same.
fn is_same(known: Object<'_>, root: Object<'_>) -> bool {
    known.address() == root.address()
        || (known.type_of() == root.type_of() && !root.is_type() && known.is_egal(root))
}
