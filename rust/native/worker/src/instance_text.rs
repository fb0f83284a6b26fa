//! Method instances as text, for files that two runs of the worker share.

use nativecache_julia::handles::MethodInstance;
use nativecache_julia::signature;

/// Module, name, line and argument types: the same in each process of the same build.
pub(crate) fn instance_text(instance: MethodInstance<'_>) -> String {
    let types = instance.types();
    // What cannot be written in full is told apart as far as its names go.
    let types = signature::text(types, None).unwrap_or_else(|_| types.type_text());
    match instance.method() {
        None => format!("top-level code {types}"),
        Some(method) => {
            let (module, name, line) = (method.module().path(), method.name().as_str(), method.line());
            format!("{module}.{name}:{line} {types}")
        }
    }
}
