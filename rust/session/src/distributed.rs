//! Workers of `Distributed` load what the master loads, but not what it had loaded before they came: the
//! master sees to it that they have NativeCache.

use std::error::Error;

use jl_sys::{jl_array_t, jl_value_t};
use nativecache_julia::collector::CollectorOff;
use nativecache_julia::object::{array_items, is, module_name, type_name, type_of};
use nativecache_julia::root_modules::uuid;

use crate::globals::{loaded_modules, Global};
use crate::guard;
use crate::hook::with_hook;
use crate::lock::uninterrupted;

/// Packages were loaded: sees whether there are new workers.
///
/// # Safety
/// On a Julia thread, without the locks.
pub(crate) unsafe fn spread() {
    // SAFETY: as the caller says; nothing here or above is to be dropped.
    let function = unsafe { uninterrupted(|| guard(None, || newcomers())) };
    if let Some(function) = function {
        // SAFETY: as the caller says. It waits for the workers, which Ctrl-C must end, with the collector on; the
        // function is a constant of ours.
        guard((), || unsafe { Global(function).call(&mut []).map(|_| ()) });
    }
}

/// The function to call if there are workers that did not have NativeCache before.
///
/// # Safety
/// On a Julia thread, without the locks.
unsafe fn newcomers() -> Result<Option<*mut jl_value_t>, Box<dyn Error>> {
    // SAFETY: as the caller says; the arrays are alive, the collector is off while they are read.
    unsafe {
        let _off = CollectorOff::new();
        let Some(workers) = workers()? else { return Ok(None) };
        with_hook(|hook| {
            if workers <= hook.workers {
                return Ok(None);
            }
            hook.workers = workers;
            Ok(Some(Global::of(hook.module, "spread")?.0))
        })
    }
}

/// How many processes `Distributed` has; it is in the sysimage.
///
/// # Safety
/// On a Julia thread with the collector off.
unsafe fn workers() -> Result<Option<usize>, Box<dyn Error>> {
    // SAFETY: as the caller says. The field is a boxed vector if it is at the place of one.
    unsafe {
        let modules = array_items(loaded_modules()?);
        let found = modules.iter().copied().find(|item| {
            !item.is_null()
                && is(*item, jl_sys::jl_module_type)
                && module_name(item.cast()) == "Distributed"
                && uuid(item.cast()) == DISTRIBUTED
        });
        let Some(module) = found else { return Ok(None) };
        // PGRP::ProcessGroup has its workers, this process included, in the second field.
        let group = Global::of(module.cast(), "PGRP")?.0;
        let Some((offset, true)) = nativecache_julia::layout::field(type_of(group), 1) else {
            return Ok(None);
        };
        let list = *group.cast::<u8>().add(offset).cast::<*mut jl_value_t>();
        let is_array = !list.is_null() && type_name(type_of(list).cast()) == Some(jl_sys::jl_array_typename);
        Ok(is_array.then(|| (*list.cast::<jl_array_t>()).length))
    }
}

/// 8ba89e20-285c-5b6f-9357-94700520ee1b
const DISTRIBUTED: [u8; 16] =
    [0x8b, 0xa8, 0x9e, 0x20, 0x28, 0x5c, 0x5b, 0x6f, 0x93, 0x57, 0x94, 0x70, 0x05, 0x20, 0xee, 0x1b];
