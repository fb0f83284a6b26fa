//! The session at the moment in which a library is linked.

use nativecache_julia::handles::{Array, Module, Object};
use nativecache_julia::stopped::Stopped;
use nativecache_julia::walk;

/// The session while one library is linked: as long as this lives, this thread alone changes what Julia runs.
pub struct Moment<'j> {
    /// On a Julia thread, collector off.
    pub julia: &'j Stopped,
    /// The newest world when the moment began.
    pub world: usize,
    /// The root modules that are loaded.
    pub root_modules: Vec<Module<'j>>,
    /// A `Vector{Any}` that Julia keeps alive.
    roots: Array<'j>,
}

impl<'j> Moment<'j> {
    /// Now. `loaded` has the root modules that are loaded.
    ///
    /// # Safety
    /// `roots` is a `Vector{Any}` that Julia keeps alive as long as the process. While this lives, no other thread uses it,
    /// or changes code instances or lists of backedges, and this one holds no lock that Julia code could need.
    pub unsafe fn now(julia: &'j Stopped, loaded: Array<'j>, roots: Array<'j>) -> Self {
        Moment { julia, world: julia.world(), root_modules: walk::root_modules(julia, loaded), roots }
    }

    /// Has Julia keep an object alive.
    pub fn keep(&self, object: Object<'j>) {
        // SAFETY: a `Vector{Any}` that no other thread uses, as the maker of this promised.
        unsafe { self.roots.push(object) };
    }

    /// Lets Julia free what was kept last.
    ///
    /// # Safety
    /// Nobody needs it.
    pub unsafe fn let_go(&self) {
        if !self.roots.is_empty() {
            // SAFETY: a `Vector` with an item that no other thread uses, as the maker of this promised.
            unsafe { self.roots.drop_last() };
        }
    }
}
