//! The session at the moment in which a library is linked.

use nativecache_julia::handles::{Array, Module};
use nativecache_julia::stopped::Stopped;
use nativecache_julia::walk;

/// The session while one library is linked: as long as this lives, nothing of it goes away.
pub struct Moment<'j> {
    /// On a Julia thread, collector off.
    pub julia: &'j Stopped,
    /// The newest world when the moment began.
    pub world: usize,
    /// The root modules that are loaded.
    pub root_modules: Vec<Module<'j>>,
}

impl<'j> Moment<'j> {
    /// Now; `loaded` is the array of the loaded root modules.
    pub fn now(julia: &'j Stopped, loaded: Array<'j>) -> Self {
        Moment { julia, world: julia.world(), root_modules: walk::root_modules(julia, loaded) }
    }
}
