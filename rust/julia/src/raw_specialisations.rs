//! Method instances, found or made.
//!
//! Julia keeps the specialisations of a method in one vector (gf.c, `jl_specializations_get_linfo`): those
//! whose types have a hash from the front, with an index; the others from the end, without one. For such a
//! type, one with a `Vararg` or a free variable in it, Julia compares types with every other one, twice, and
//! some methods of Base have hundreds. Here those of a method are sorted once, while libraries are linked, by
//! what their types look like, and only those that look alike are compared.

use std::ops::Range;

use jl_sys::{jl_datatype_t, jl_method_instance_t, jl_method_t, jl_svec_t};
use smallvec::SmallVec;

use crate::julia_1_5::{
    jl_new_method_instance_uninit, jl_specializations_get_linfo, write_barrier, RuntimeLock,
};
use crate::object::{is, is_type, svec_items, type_name, unwrap_unionall, Value};
use crate::types::same_type;
use rustc_hash::FxHashMap;

/// The unhashed specialisations of the methods that were asked about.
pub struct Specialisations {
    of: FxHashMap<*mut jl_method_t, Unhashed>,
    places: Range<usize>,
}

#[derive(Default)]
struct Unhashed {
    /// How many of them were sorted: Julia only adds to them.
    known: usize,
    by_shape: FxHashMap<u64, SmallVec<[*mut jl_method_instance_t; 1]>>,
}

impl Specialisations {
    /// `places` is where objects lie that a library names by their place. A method instance that it describes was none
    /// of them at build, when it was the only one of its method with these types, so none of them need be compared.
    pub fn new(places: Range<usize>) -> Self {
        Specialisations { of: FxHashMap::default(), places }
    }

    /// The method instance with these types, made if there is none; null if Julia could not tell.
    ///
    /// # Safety
    /// On a Julia thread with the collector off; `spec_types` is a live type and `sparams` are the static
    /// parameters that it gives to `method`.
    pub unsafe fn get(
        &mut self,
        method: *mut jl_method_t,
        spec_types: Value,
        sparams: *mut jl_svec_t,
    ) -> *mut jl_method_instance_t {
        // SAFETY: as the caller says.
        unsafe {
            let body = unwrap_unionall(spec_types);
            if !is(body, jl_sys::jl_datatype_type) {
                return std::ptr::null_mut();
            }
            if (*body.cast::<jl_datatype_t>()).hash == 0 {
                let _lock = RuntimeLock::of_method(method);
                if let Some(found) = self.unhashed(method, spec_types, sparams) {
                    return found;
                }
            }
            jl_specializations_get_linfo(method, spec_types, sparams)
        }
    }

    /// `None` where there is no room for a new one: Julia makes some.
    unsafe fn unhashed(
        &mut self,
        method: *mut jl_method_t,
        spec_types: Value,
        sparams: *mut jl_svec_t,
    ) -> Option<*mut jl_method_instance_t> {
        // SAFETY: this thread holds the method's lock, so nobody else changes the vector.
        unsafe {
            let all = (*method).specializations;
            let items = svec_items(all);
            let of = self.of.entry(method).or_default();
            // Those that are sorted stand behind the others: they need not be counted again.
            let others = items.len().checked_sub(of.known)?;
            if items[others..].first().is_some_and(|item| item.is_null()) {
                return None;
            }
            let count = of.known + items[..others].iter().rev().take_while(|item| !item.is_null()).count();
            let free = items.len() - count;
            for item in items[free..items.len() - of.known].iter().rev() {
                if self.places.contains(&(*item as usize)) {
                    continue;
                }
                let mi = item.cast::<jl_method_instance_t>();
                of.by_shape.entry(shape((*mi).specTypes)).or_default().push(mi);
            }
            of.known = count;
            let alike = of.by_shape.entry(shape(spec_types)).or_default();
            if let Some(found) = alike.iter().find(|mi| same_type((***mi).specTypes, spec_types)) {
                return Some(*found);
            }
            // One place stays empty between those with a hash and these.
            if free < 2 || !items[free - 2].is_null() {
                return None;
            }
            let mi = jl_new_method_instance_uninit();
            (*mi).def.value = method.cast();
            (*mi).specTypes = spec_types;
            (*mi).sparam_vals = sparams;
            *all.cast::<Value>().add(1 + free - 1) = mi.cast();
            write_barrier(all.cast());
            alike.push(mi);
            of.known += 1;
            Some(mi)
        }
    }
}

/// A number that is the same for types that are equal. Where the same type can be written in more than one way,
/// with a variable or a union, nothing goes into it. (If two forms of one type should slip through, the method
/// gets two method instances for it, of which Julia calls the older one.)
///
/// # Safety
/// `spec_types` is a live type.
unsafe fn shape(spec_types: Value) -> u64 {
    let mut shape = Shape(0);
    // SAFETY: as the caller says.
    unsafe { shape.covariant(spec_types, 0) };
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
    unsafe fn covariant(&mut self, ty: Value, depth: u32) {
        // SAFETY: as `shape`; kinds are checked before casts.
        unsafe {
            let body = unwrap_unionall(ty);
            let name = is(body, jl_sys::jl_datatype_type).then(|| type_name(body)).flatten();
            let Some(name) = name.filter(|name| *name != jl_sys::jl_vararg_typename && depth < DEPTH) else {
                return self.add(0);
            };
            let data = body.cast::<jl_datatype_t>();
            let parameters = svec_items((*data).parameters);
            self.add(name as usize);
            if name == jl_sys::jl_tuple_typename {
                self.add(parameters.len());
                parameters.iter().for_each(|parameter| self.covariant(*parameter, depth + 1));
            } else if name == jl_sys::jl_type_typename {
                parameters.iter().for_each(|parameter| self.invariant(*parameter, depth + 1));
            } else if body == ty {
                // Types that are equal have the same hash, or none (gf.c, `speccache_eq`).
                self.add((*data).hash as usize);
            }
        }
    }

    /// A parameter that must be equal.
    unsafe fn invariant(&mut self, parameter: Value, depth: u32) {
        // SAFETY: as `covariant`.
        unsafe {
            if is(parameter, jl_sys::jl_datatype_type) && depth < DEPTH {
                let data = parameter.cast::<jl_datatype_t>();
                self.add((*data).name as usize);
                self.add((*data).hash as usize);
                if (*data).hash == 0 && (*data).name != jl_sys::jl_tuple_typename {
                    svec_items((*data).parameters).iter().for_each(|p| self.invariant(*p, depth + 1));
                }
            } else if is_type(parameter) || is(parameter, jl_sys::jl_tvar_type) || depth >= DEPTH {
                self.add(0);
            } else {
                self.add(jl_sys::jl_object_id(parameter) as usize);
            }
        }
    }
}
