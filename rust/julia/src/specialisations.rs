//! Method instances, found or made.
//!
//! Julia keeps the specialisations of a method in one vector (gf.c, `jl_specializations_get_linfo`): those
//! whose types have a hash from the front, with an index; the others from the end, without one. For such a
//! type, one with a `Vararg` or a free variable in it, Julia compares types with every other one, twice, and
//! some methods of Base have hundreds. Here those of a method are sorted once, while libraries are linked, by
//! what their types look like, and only those that look alike are compared.

use std::ops::Range;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::handles::{
    DataType, Method, MethodInstance, Object, SVec, SpecialisationsLocked, TypeName, TypeVar,
};
use crate::kept::Kept;

/// The unhashed specialisations of the methods that were asked about.
pub struct Specialisations {
    /// By the address of the method.
    of: FxHashMap<usize, Unhashed>,
    places: Range<usize>,
}

#[derive(Default)]
struct Unhashed {
    /// How many of them were sorted: Julia only adds to them.
    known: usize,
    by_shape: FxHashMap<u64, SmallVec<[Kept; 1]>>,
}

impl Specialisations {
    /// `places` is where objects lie that a library names by their place. A method instance that it describes was none
    /// of them at build, when it was the only one of its method with these types, so none of them need be compared.
    pub fn new(places: Range<usize>) -> Self {
        Specialisations { of: FxHashMap::default(), places }
    }

    /// The method instance with these types, made if there is none; `None` if Julia could not tell.
    ///
    /// # Safety
    /// `types` is a tuple type that the method's signature matches, and `parameters` are the values of the signature's
    /// variables for it.
    pub unsafe fn get<'j>(
        &mut self,
        method: Method<'j>,
        types: Object<'j>,
        parameters: SVec<'j>,
    ) -> Option<MethodInstance<'j>> {
        if types.data_type()?.hash() == 0 {
            let of = self.of.entry(method.address()).or_default();
            let found = method.with_specialisations(|all| of.get(&all, &self.places, types, parameters));
            if found.is_some() {
                return found;
            }
        }
        // SAFETY: as the caller says.
        Some(unsafe { method.specialise(types, parameters) })
    }
}

impl Unhashed {
    /// `None` where there is no room for a new one: Julia makes some.
    fn get<'j>(
        &mut self,
        all: &SpecialisationsLocked<'j>,
        places: &Range<usize>,
        types: Object<'j>,
        parameters: SVec<'j>,
    ) -> Option<MethodInstance<'j>> {
        let items = all.vector();
        // Those that are sorted stand behind the others: they need not be counted again.
        let others = items.len().checked_sub(self.known)?;
        if others < items.len() && items.get(others).is_none() {
            return None;
        }
        let new = (0..others).rev().take_while(|index| items.get(*index).is_some()).count();
        let count = self.known + new;
        let free = items.len() - count;
        for index in (free..items.len() - self.known).rev() {
            let Some(item) = items.get(index).filter(|item| !places.contains(&item.address())) else {
                continue;
            };
            let Some(instance) = item.as_kind::<MethodInstance<'j>>() else { continue };
            let alike = self.by_shape.entry(shape(instance.types())).or_default();
            // SAFETY: a method keeps its specialisations, and is kept by its table.
            alike.push(unsafe { Kept::new(instance) });
        }
        self.known = count;
        let alike = self.by_shape.entry(shape(types)).or_default();
        // SAFETY: handles of this stretch of work prove that they may be looked at.
        let mut known = alike.iter().filter_map(|kept| unsafe { Object::at(kept.address()) }.as_kind());
        let same = |instance: &MethodInstance<'j>| instance.types().is_same_type(types);
        if let Some(found) = known.find(same) {
            return Some(found);
        }
        // One place stays empty between those with a hash and these.
        if free < 2 || items.get(free - 2).is_some() {
            return None;
        }
        let made = all.put(free - 1, types, parameters)?;
        // SAFETY: a method keeps its specialisations, and is kept by its table.
        alike.push(unsafe { Kept::new(made) });
        self.known += 1;
        Some(made)
    }
}

/// A number that is the same for types that are equal. Where the same type can be written in more than one way,
/// with a variable or a union, nothing goes into it. (If two forms of one type should slip through, the method
/// gets two method instances for it, of which Julia calls the older one.)
fn shape(types: Object<'_>) -> u64 {
    let mut shape = Shape(0);
    shape.covariant(types, 0);
    shape.0
}

struct Shape(u64);

/// Deeper parameters are not looked at.
const DEPTH: u32 = 8;

impl Shape {
    fn add(&mut self, word: usize) {
        self.0 = (self.0 ^ word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    /// A type of which an argument is an instance.
    fn covariant(&mut self, ty: Object<'_>, depth: u32) {
        let body = ty.without_wheres();
        let data = body.as_kind::<DataType<'_>>().filter(|data| !data.name().is_vararg() && depth < DEPTH);
        let Some(data) = data else {
            return self.add(0);
        };
        let (name, parameters): (TypeName<'_>, _) = (data.name(), data.parameters());
        self.add(name.address());
        if name.is_tuple() {
            self.add(parameters.len());
            parameters.items().for_each(|parameter| self.covariant(parameter, depth + 1));
        } else if name.is_type_of_types() {
            parameters.items().for_each(|parameter| self.invariant(parameter, depth + 1));
        } else if body == ty {
            // Types that are equal have the same hash, or none (gf.c, `speccache_eq`).
            self.add(data.hash() as usize);
        }
    }

    /// A parameter that must be equal.
    fn invariant(&mut self, parameter: Object<'_>, depth: u32) {
        match parameter.as_kind::<DataType<'_>>() {
            Some(data) if depth < DEPTH => {
                self.add(data.name().address());
                self.add(data.hash() as usize);
                if data.hash() == 0 && !data.name().is_tuple() {
                    data.parameters().items().for_each(|parameter| self.invariant(parameter, depth + 1));
                }
            }
            _ if parameter.is_type() || parameter.is::<TypeVar<'_>>() || depth >= DEPTH => self.add(0),
            _ => self.add(parameter.object_id()),
        }
    }
}
