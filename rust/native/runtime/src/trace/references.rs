//! What a method instance needs of packages.

use nativecache_julia::handles::{MethodInstance, Object};
use nativecache_julia::packages::{Packages, References};

/// What makes a method instance refer to packages: its types, and the module of its method.
pub(crate) fn types_and_module<'j>(
    instance: MethodInstance<'j>,
) -> impl DoubleEndedIterator<Item = Object<'j>> {
    let module = instance.method().map(|method| method.module().object());
    [Some(instance.types()), module].into_iter().flatten()
}

/// What these objects refer to.
pub(crate) fn references<'j>(
    objects: impl Iterator<Item = Object<'j>>,
    packages: &Packages<'j>,
) -> References<'j> {
    let mut references = References::default();
    objects.for_each(|object| packages.add(object, &mut references));
    references
}
