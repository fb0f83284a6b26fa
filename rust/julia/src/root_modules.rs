//! The root modules of this session: loaded packages, Core, Base and Main.

use jl_sys::{jl_array_t, jl_module_t};

use crate::object::{array_items, is, is_root_module};

/// A root module's uuid as `Package.uuid` has it.
///
/// # Safety
/// `module` is a live module.
pub unsafe fn uuid(module: *mut jl_module_t) -> [u8; 16] {
    let mut bytes = [0; 16];
    // SAFETY: as the caller says.
    unsafe {
        bytes[..8].copy_from_slice(&(*module).uuid.hi.to_be_bytes());
        bytes[8..].copy_from_slice(&(*module).uuid.lo.to_be_bytes());
    }
    bytes
}

/// The root modules in a Julia array of modules, and Core, Base and Main.
///
/// # Safety
/// `array` is a live array of boxed elements.
pub unsafe fn roots(array: *mut jl_array_t) -> Vec<*mut jl_module_t> {
    // SAFETY: as the caller says; items are checked to be modules.
    unsafe {
        let mut out = vec![jl_sys::jl_core_module, jl_sys::jl_base_module, jl_sys::jl_main_module];
        for item in array_items(array) {
            if item.is_null() || !is(*item, jl_sys::jl_module_type) {
                continue;
            }
            let module = item.cast::<jl_module_t>();
            if is_root_module(module) && !out.contains(&module) {
                out.push(module);
            }
        }
        out
    }
}
