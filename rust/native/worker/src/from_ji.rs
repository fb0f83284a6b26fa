//! Which code instances came with the packages' .ji files: those that are new after loading them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use nativecache_julia::loading::root_modules;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::walk;

/// Where code instances lie. None is freed: their methods have them.
#[derive(Default)]
struct Seen {
    before: HashSet<usize>,
    loaded: HashSet<usize>,
}

static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

/// Called twice: before the packages are loaded, and right after.
pub(crate) fn look(julia: &Stopped) {
    let tables = walk::method_tables(julia, &walk::modules(&root_modules(julia)));
    let now: HashSet<usize> = walk::methods(&tables)
        .into_iter()
        .flat_map(|method| method.specialisations())
        .flat_map(|instance| instance.code_instances())
        .map(|code| code.address())
        .collect();
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *seen {
        None => *seen = Some(Seen { before: now, loaded: HashSet::new() }),
        Some(seen) => seen.loaded = now.difference(&seen.before).copied().collect(),
    }
}

/// Where the code instances lie that loading the packages brought.
pub(crate) fn code_instances() -> HashSet<usize> {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.as_ref().map(|seen| seen.loaded.clone()).unwrap_or_default()
}
