//! The token of a stopped collector: code that holds it may read Julia's objects for as long.

use std::marker::PhantomData;

/// Proof that this is a Julia thread and that the collector is off: no object moves or goes away.
///
/// It is neither `Send` nor `Sync`, and every handle of [`crate::object`] borrows it.
pub(crate) struct Stopped {
    was_on: bool,
    /// Bound to the thread that made it.
    thread: PhantomData<*const ()>,
}

impl Stopped {
    /// Stops the collector until the token is dropped.
    ///
    /// # Safety
    /// On a Julia thread, not inside a collection.
    pub(crate) unsafe fn new() -> Self {
        // SAFETY: as the caller says.
        let was_on = unsafe { jl_sys::bindings::jl_gc_enable(0) } != 0;
        Stopped { was_on, thread: PhantomData }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if self.was_on {
            // SAFETY: still on the thread of `new`, since the token is not `Send`.
            unsafe { jl_sys::bindings::jl_gc_enable(1) };
        }
    }
}
