//! Which method it is, as a number that two processes share.

use nativecache_julia::code_digest::Mix;
use nativecache_julia::handles::{DataType, Method, Symbol};
use nativecache_julia::origin::Origins;

/// Where a method was defined, and what it is called.
pub(crate) fn method_identity(method: Method<'_>, origins: &Origins) -> u64 {
    let root = method.module().root();
    let hash = method.signature().data_type().map_or(0, DataType::hash);
    let (high, low) = root.uuid_words();
    let mut mix = Mix::new(root.build_id());
    mix.add(high);
    mix.add(low);
    mix.add(u64::from(method.line().cast_unsigned()));
    mix.add(u64::from(method.argument_count().cast_unsigned()));
    mix.add(u64::from(hash));
    mix.add_bytes(method.name().as_str().as_bytes());
    mix.add_bytes(method.file().map_or("", Symbol::as_str).as_bytes());
    if !origins.came_with_image(method) {
        // Defined at run time, and another session may have another definition at the same place.
        mix.add(origins.number(method).unwrap_or_else(|| origins.unproved()));
    }
    mix.finish()
}
