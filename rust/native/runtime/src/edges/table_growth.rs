//! A method table that has what it had at build, and more: the packages that a session has loaded besides, or
//! its own definitions.
//!
//! Methods that were added matter to a call only if their signature and the call's have something in common;
//! that is what Julia asks when it inserts them (gf.c, `jl_method_table_insert`). It is much cheaper than to
//! find all methods that match the call, and in most sessions the tables that packages share (`show`,
//! `convert`, `getindex`) have grown.

use std::collections::HashSet;

use nativecache_image::{Image, Table};
use nativecache_julia::handles::{DataType, Method, Object};
use nativecache_julia::origin::Origins;

use crate::edges::method_identity::method_identity;
use crate::edges::tables::Scan;

/// Names of the packages that the build had loaded.
pub(crate) fn packages_of_build<'a>(image: &Image<'a>) -> HashSet<&'a str> {
    (0..image.module_set_count())
        .filter_map(|index| image.module_set(index).ok())
        .flat_map(|set| set.text.split(", "))
        .collect()
}

/// The methods that `scan` found beyond those that the table had at build; `None` if that is not how the two
/// differ. Which ones are new is guessed by the names of packages, and proved by the digest of the others.
pub(crate) fn added<'j>(
    scan: &Scan<'j>,
    at_build: &Table,
    packages: &HashSet<&str>,
    origins: &Origins,
) -> Option<Vec<Method<'j>>> {
    let is_new = |method: &Method<'j>| !packages.contains(method.module().root().as_str());
    let new: Vec<_> = scan.others.iter().copied().filter(is_new).collect();
    let count = u32::try_from(new.len()).ok()?;
    let before = new
        .iter()
        .fold(scan.digest(origins), |sum, method| sum.wrapping_sub(method_identity(*method, origins)));
    (scan.live.checked_sub(count) == Some(at_build.live) && before == at_build.digest).then_some(new)
}

/// Can no call with this signature meet any of these methods?
pub(crate) fn out_of_reach(signature: Object<'_>, methods: &[Method<'_>]) -> bool {
    methods.iter().all(|method| {
        let other = method.signature();
        differ(signature, other) || signature.is_disjoint(other)
    })
}

/// Do the signatures differ in an argument whose types have no common subtypes? May say no where they do.
fn differ(a: Object<'_>, b: Object<'_>) -> bool {
    let (Some(a), Some(b)) = (a.data_type(), b.data_type()) else { return false };
    // Up to the first `Vararg`, arguments stand at the same places.
    a.parameters()
        .items()
        .zip(b.parameters().items())
        .take_while(|(a, b)| !is_vararg(*a) && !is_vararg(*b))
        .any(|(a, b)| match (nominal(a), nominal(b)) {
            (Some(a), Some(b)) => !is_below(a, b) && !is_below(b, a),
            _ => false,
        })
}

fn is_vararg(ty: Object<'_>) -> bool {
    ty.type_name().is_some_and(|name| name.is_vararg())
}

/// A type that stands in the tree of declared types, whatever its parameters; the types of types do not.
fn nominal(ty: Object<'_>) -> Option<DataType<'_>> {
    ty.data_type().filter(|ty| !ty.name().is_special())
}

/// Is `a` or one above it declared under the name of `b`? Every type has one above it, up to Any, which is above itself.
fn is_below(a: DataType<'_>, b: DataType<'_>) -> bool {
    let mut at = a;
    loop {
        if at.name() == b.name() {
            return true;
        }
        match at.supertype() {
            Some(above) if above != at => at = above,
            _ => return false,
        }
    }
}
