//! A method table that has what it had at build, and more: the packages that a session has loaded besides, or
//! its own definitions.
//!
//! Methods that were added matter to a call only if their signature and the call's have something in common;
//! that is what Julia asks when it inserts them (gf.c, `jl_method_table_insert`). It is much cheaper than to
//! find all methods that match the call, and in most sessions the tables that packages share (`show`,
//! `convert`, `getindex`) have grown.

use std::collections::HashSet;

use jl_sys::{jl_datatype_t, jl_method_t};
use nativecache_image::{Image, Table};

use crate::edges::record::method_identity;
use crate::edges::tables::Scan;
use nativecache_julia::julia_1_5::jl_has_empty_intersection;
use nativecache_julia::object::{
    is, module_name, root_module, svec_items, type_name, unwrap_unionall, Value,
};
use nativecache_julia::origin::Origins;

/// Names of the packages that the build had loaded.
pub fn packages_of_build<'a>(image: &Image<'a>) -> HashSet<&'a str> {
    (0..image.module_set_count())
        .filter_map(|index| image.module_set(index).ok())
        .flat_map(|set| set.text.split(", "))
        .collect()
}

/// The methods that `scan` found beyond those that the table had at build; `None` if that is not how the two
/// differ. Which ones are new is guessed by the names of packages, and proved by the digest of the others.
///
/// # Safety
/// As [`Scan::digest`].
pub unsafe fn added(
    scan: &Scan,
    at_build: &Table,
    packages: &HashSet<&str>,
    origins: &Origins,
) -> Option<Vec<*mut jl_method_t>> {
    // SAFETY: methods of a live table are live.
    unsafe {
        let new: Vec<_> = scan
            .others
            .iter()
            .copied()
            .filter(|method| !packages.contains(module_name(root_module((**method).module))))
            .collect();
        let count = u32::try_from(new.len()).ok()?;
        let before = new
            .iter()
            .fold(scan.digest(origins), |sum, method| sum.wrapping_sub(method_identity(*method, origins)));
        (scan.live.checked_sub(count) == Some(at_build.live) && before == at_build.digest).then_some(new)
    }
}

/// Can no call with this signature meet any of these methods?
///
/// # Safety
/// All are live; on a Julia thread, collector off.
pub unsafe fn out_of_reach(signature: Value, methods: &[*mut jl_method_t]) -> bool {
    // SAFETY: as the caller says.
    methods.iter().all(|method| unsafe {
        let other = (**method).sig;
        differ(signature, other) || jl_has_empty_intersection(signature, other) != 0
    })
}

/// Do the signatures differ in an argument whose types have no common subtypes? May say no where they do.
unsafe fn differ(a: Value, b: Value) -> bool {
    // SAFETY: as `out_of_reach`; kinds are checked before casts.
    unsafe {
        let (a, b) = (unwrap_unionall(a), unwrap_unionall(b));
        if !is(a, jl_sys::jl_datatype_type) || !is(b, jl_sys::jl_datatype_type) {
            return false;
        }
        let parameters = |ty: Value| svec_items((*ty.cast::<jl_datatype_t>()).parameters);
        // Up to the first `Vararg`, arguments stand at the same places.
        parameters(a).iter().zip(parameters(b)).take_while(|(a, b)| !is_vararg(**a) && !is_vararg(**b)).any(
            |(a, b)| match (nominal(*a), nominal(*b)) {
                (Some(a), Some(b)) => !is_below(a, b) && !is_below(b, a),
                _ => false,
            },
        )
    }
}

unsafe fn is_vararg(ty: Value) -> bool {
    // SAFETY: as `out_of_reach`.
    unsafe { type_name(ty) == Some(jl_sys::jl_vararg_typename) }
}

/// A type that stands in the tree of declared types, whatever its parameters; the types of types do not.
unsafe fn nominal(ty: Value) -> Option<*mut jl_datatype_t> {
    // SAFETY: as `out_of_reach`.
    unsafe {
        let body = unwrap_unionall(ty);
        if !is(body, jl_sys::jl_datatype_type) {
            return None;
        }
        let ty = body.cast::<jl_datatype_t>();
        let of_types = [
            jl_sys::jl_type_typename,
            jl_sys::jl_tuple_typename,
            jl_sys::jl_vararg_typename,
            (*jl_sys::jl_datatype_type).name,
            (*jl_sys::jl_unionall_type).name,
            (*jl_sys::jl_uniontype_type).name,
            (*jl_sys::jl_typeofbottom_type).name,
        ];
        (!of_types.contains(&(*ty).name)).then_some(ty)
    }
}

/// Is `a` or one above it declared under the name of `b`?
unsafe fn is_below(a: *mut jl_datatype_t, b: *mut jl_datatype_t) -> bool {
    // SAFETY: every type has one above it, up to Any, which is above itself.
    unsafe {
        let mut at = a;
        loop {
            if (*at).name == (*b).name {
                return true;
            }
            let above = (*at).super_;
            if above.is_null() || above == at {
                return false;
            }
            at = above;
        }
    }
}
