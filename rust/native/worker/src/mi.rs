//! Method instances as text, for files that two runs of the worker share.

use jl_sys::{jl_method_instance_t, jl_method_t};
use nativecache_julia::object::{is, module_path, symbol_str};
use nativecache_julia::signature;
use nativecache_julia::types::type_text;

/// Module, name, line and argument types: the same in each process of the same build.
///
/// # Safety
/// `mi` is a live method instance.
pub unsafe fn text(mi: *mut jl_method_instance_t) -> String {
    // SAFETY: as the caller says.
    unsafe {
        let def = (*mi).def.value;
        // What cannot be written in full is told apart as far as its names go.
        let types = signature::print((*mi).specTypes, None).unwrap_or_else(|_| type_text((*mi).specTypes));
        if !is(def, jl_sys::jl_method_type) {
            return format!("top-level code {types}");
        }
        let method = def.cast::<jl_method_t>();
        let name = symbol_str((*method).name);
        format!("{}.{name}:{} {types}", module_path((*method).module), (*method).line)
    }
}
