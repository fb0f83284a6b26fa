//! What is asked of Julia by name: constants of modules, and what they hold.

use std::error::Error;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use jl_sys::{jl_array_t, jl_module_t, jl_value_t};
use nativecache_julia::object::{array_items, string_bytes, symbol};

/// The value of a constant binding.
pub(crate) struct Global(pub(crate) *mut jl_value_t);

/// A constant of Base.
///
/// # Safety
/// On a Julia thread.
pub(crate) unsafe fn base(name: &str) -> Result<Global, Box<dyn Error>> {
    // SAFETY: Base exists from start-up on.
    unsafe { Global::of(jl_sys::jl_base_module, name) }
}

impl Global {
    /// # Safety
    /// On a Julia thread; `module` is alive.
    pub(crate) unsafe fn of(module: *mut jl_module_t, name: &str) -> Result<Self, Box<dyn Error>> {
        // SAFETY: as the caller says; a missing binding gives null.
        let value = unsafe { jl_sys::jl_get_global(module, symbol(name)) };
        if value.is_null() {
            return Err(format!("{name} is not defined").into());
        }
        Ok(Global(value))
    }

    /// # Safety
    /// On a Julia thread; the arguments are alive.
    pub(crate) unsafe fn call(
        &self,
        arguments: &mut [*mut jl_value_t],
    ) -> Result<*mut jl_value_t, Box<dyn Error>> {
        let count = u32::try_from(arguments.len())?;
        // SAFETY: as the caller says; jl_call catches what the function throws.
        let value = unsafe { jl_sys::jl_call(self.0, arguments.as_mut_ptr(), count as _) };
        if value.is_null() {
            return Err("a function of Julia's Base threw an exception".into());
        }
        Ok(value)
    }
}

/// `Base.loaded_modules_array()`.
///
/// # Safety
/// On a Julia thread; the collector is off for as long as the array is used.
pub unsafe fn loaded_modules() -> Result<*mut jl_array_t, Box<dyn Error>> {
    // SAFETY: as the caller says.
    unsafe { Ok(base("loaded_modules_array")?.call(&mut [])?.cast()) }
}

/// The depots of this session.
///
/// # Safety
/// `array` is Base.DEPOT_PATH; on a Julia thread.
pub(crate) unsafe fn depots(array: *mut jl_array_t) -> Vec<PathBuf> {
    // SAFETY: the array is alive, its elements are strings.
    unsafe {
        array_items(array)
            .iter()
            .filter(|depot| !depot.is_null())
            .map(|depot| PathBuf::from(OsStr::from_bytes(string_bytes(*depot))))
            .collect()
    }
}
