//! Keeping objects alive while Rust holds bare pointers to them.

/// The garbage collector is off for this thread as long as one of these lives.
pub struct CollectorOff {
    was_on: bool,
}

impl CollectorOff {
    /// Switches the collector off.
    ///
    /// # Safety
    /// Called on a Julia thread; dropped on the same one.
    pub unsafe fn new() -> Self {
        // SAFETY: as the caller says.
        let was_on = unsafe { jl_sys::jl_gc_enable(0) } != 0;
        CollectorOff { was_on }
    }
}

impl Drop for CollectorOff {
    fn drop(&mut self) {
        if self.was_on {
            // SAFETY: the same thread as in `new`.
            unsafe { jl_sys::jl_gc_enable(1) };
        }
    }
}
