//! Which code instances came with the packages' .ji files: those that are new after loading them.

use nativecache_julia::root_modules;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use nativecache_julia::inspect;

use crate::build::loaded_modules;

#[derive(Default)]
struct Seen {
    before: HashSet<usize>,
    loaded: HashSet<usize>,
}

static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

/// Called twice: before the packages are loaded, and right after.
///
/// # Safety
/// On a Julia thread; nothing else runs.
pub unsafe fn look() {
    // SAFETY: as the caller says.
    let now: HashSet<usize> = unsafe {
        let tables = inspect::method_tables(&inspect::all_modules(&root_modules::roots(loaded_modules())));
        inspect::methods(&tables)
            .into_iter()
            .flat_map(|method| inspect::specializations(method))
            .flat_map(|mi| inspect::code_instances(mi))
            .map(|ci| ci as usize)
            .collect()
    };
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *seen {
        None => *seen = Some(Seen { before: now, loaded: HashSet::new() }),
        Some(seen) => seen.loaded = now.difference(&seen.before).copied().collect(),
    }
}

/// The code instances that loading the packages brought.
pub fn code_instances() -> HashSet<usize> {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.as_ref().map(|seen| seen.loaded.clone()).unwrap_or_default()
}
