//! Keeping objects alive while Rust holds bare pointers to them.

use crate::julia_1_5::jl_gc_get_total_bytes;

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

/// What the collector may leave lying before it is asked to run: less than a session of Julia has in any case.
const GARBAGE: i64 = 192 << 20;

/// Runs of the collector in places where everything that is needed is rooted, in a stretch of work in which it is off.
pub struct Collections {
    last: i64,
}

impl Collections {
    /// # Safety
    /// On a Julia thread.
    pub unsafe fn new() -> Self {
        // SAFETY: as the caller says.
        Self { last: unsafe { allocated() } }
    }

    /// Collects, if enough has been allocated since the last time.
    ///
    /// # Safety
    /// On a Julia thread, within the life of a [`CollectorOff`]; every object that a bare pointer is held to can be
    /// reached from a root.
    pub unsafe fn here(&mut self) {
        // SAFETY: as the caller says.
        unsafe {
            if allocated() - self.last < GARBAGE {
                return;
            }
            jl_sys::jl_gc_enable(1);
            jl_sys::jl_gc_collect(jl_sys::jl_gc_collection_t_JL_GC_AUTO);
            jl_sys::jl_gc_enable(0);
            self.last = allocated();
        }
    }
}

/// Bytes allocated since the process began.
unsafe fn allocated() -> i64 {
    let mut bytes = 0;
    // SAFETY: as the caller says.
    unsafe { jl_gc_get_total_bytes(&raw mut bytes) };
    bytes
}

impl Drop for CollectorOff {
    fn drop(&mut self) {
        if self.was_on {
            // SAFETY: the same thread as in `new`.
            unsafe { jl_sys::jl_gc_enable(1) };
        }
    }
}
