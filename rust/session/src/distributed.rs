//! Workers of `Distributed` load what the master loads, but not what it had loaded before they came: the
//! master sees to it that they have NativeCache.

use nativecache_julia::calls;
use nativecache_julia::handles::{Array, Module};
use nativecache_julia::kept::Kept;
use nativecache_julia::process::uninterrupted;
use nativecache_julia::stopped::Stopped;

use crate::error::{guard, SessionError};
use crate::globals::{global, loaded_modules, modules_of};
use crate::hook::with_hook;

/// Packages were loaded: sees whether there are new workers.
///
/// # Safety
/// On a Julia thread, without the locks.
pub(crate) unsafe fn spread() {
    // SAFETY: as the caller says; nothing here or above is to be dropped.
    let has_newcomers = unsafe { uninterrupted(|| guard(false, || newcomers())) };
    if has_newcomers {
        // SAFETY: as the caller says. It waits for the workers, which Ctrl-C must end.
        guard((), || unsafe { greet() });
    }
}

/// Has `Distributed` workers that did not have NativeCache before?
///
/// # Safety
/// On a Julia thread, without the locks.
unsafe fn newcomers() -> Result<bool, SessionError> {
    // SAFETY: as the caller says.
    let julia = unsafe { Stopped::new() };
    let Some(workers) = workers(&julia)? else { return Ok(false) };
    with_hook(|hook| {
        let more = workers > hook.workers;
        hook.workers = hook.workers.max(workers);
        Ok(more)
    })
}

/// Has them load NativeCache, with the collector on: it may take seconds.
///
/// # Safety
/// On a Julia thread, without the locks.
unsafe fn greet() -> Result<(), SessionError> {
    let function = {
        // SAFETY: as the caller says.
        let julia = unsafe { Stopped::new() };
        let module = with_hook(|hook| Ok(hook.module))?;
        let module: Module<'_> = module.as_kind(&julia).ok_or(SessionError::NotStarted)?;
        // SAFETY: a constant of ours.
        unsafe { Kept::new(global(module, "spread")?) }
    };
    // SAFETY: as the caller says.
    unsafe { calls::call(function) }.map_err(SessionError::from)
}

/// How many processes `Distributed` has; it is in the sysimage.
fn workers(julia: &Stopped) -> Result<Option<usize>, SessionError> {
    let mut modules = modules_of(loaded_modules(julia)?);
    let found = modules.find(|module| module.as_str() == "Distributed" && module.uuid() == DISTRIBUTED);
    let Some(module) = found else { return Ok(None) };
    // PGRP::ProcessGroup has its workers, this process included, in the second field.
    let list = global(module, "PGRP")?.reference(1);
    Ok(list.and_then(|list| list.as_kind::<Array<'_>>()).map(Array::len))
}

/// 8ba89e20-285c-5b6f-9357-94700520ee1b
const DISTRIBUTED: [u8; 16] =
    [0x8b, 0xa8, 0x9e, 0x20, 0x28, 0x5c, 0x5b, 0x6f, 0x93, 0x57, 0x94, 0x70, 0x05, 0x20, 0xee, 0x1b];
