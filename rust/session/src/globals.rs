//! What is asked of Julia by name: constants of modules, and what they hold.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nativecache_julia::handles::{make, Array, Kind, Module, Object, Text};
use nativecache_julia::stopped::Stopped;

use crate::error::SessionError;

/// What `module` has under a name.
pub(crate) fn global<'j>(module: Module<'j>, name: &str) -> Result<Object<'j>, SessionError> {
    module.value_of(name).ok_or_else(|| SessionError::NotDefined(name.to_owned()))
}

/// What `module` has under a name, of a kind that it must be.
pub(crate) fn global_of<'j, K: Kind<'j>>(module: Module<'j>, name: &str) -> Result<K, SessionError> {
    global(module, name)?.as_kind().ok_or_else(|| SessionError::OtherKind(name.to_owned()))
}

/// What Base has under a name, of a kind that it must be.
pub(crate) fn base<'j, K: Kind<'j>>(julia: &'j Stopped, name: &str) -> Result<K, SessionError> {
    global_of(Module::base(julia), name)
}

/// Calls a function of Julia's Base, or of NativeCache.
///
/// # Safety
/// As [`make::call`].
pub(crate) unsafe fn call<'j>(
    julia: &'j Stopped,
    function: Object<'j>,
    arguments: &[Object<'j>],
) -> Result<Object<'j>, SessionError> {
    // SAFETY: as the caller says.
    unsafe { make::call(julia, function, arguments) }.ok_or(SessionError::Threw)
}

/// `Base.loaded_modules_array()`.
pub(crate) fn loaded_modules(julia: &Stopped) -> Result<Array<'_>, SessionError> {
    // SAFETY: Base's own function, which reads a table.
    let modules = unsafe { call(julia, base(julia, "loaded_modules_array")?, &[])? };
    modules.as_kind().ok_or_else(|| SessionError::OtherKind("loaded_modules_array".to_owned()))
}

/// The modules in an array of them.
pub(crate) fn modules_of<'j>(array: Array<'j>) -> impl Iterator<Item = Module<'j>> {
    array.items().filter_map(Object::as_kind)
}

/// The strings of a vector, as paths.
pub(crate) fn paths_of(array: Array<'_>) -> Vec<PathBuf> {
    array.items().filter_map(Object::as_kind::<Text<'_>>).map(path_of).collect()
}

/// A string as a path.
pub(crate) fn path_of(text: Text<'_>) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(text.bytes()))
}
