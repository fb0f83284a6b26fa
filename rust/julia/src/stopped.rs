//! The proof that Julia's objects may be looked at.

use std::marker::PhantomData;

use crate::julia_1_5::{jl_gc_get_total_bytes, jl_get_world_counter};

/// This is a Julia thread, and the collector does not run as long as this lives: no object is freed.
///
/// Every handle to an object (see [`crate::handles`]) borrows one of these, so none can outlive it. What is to stay
/// longer is rooted and [`Kept`](crate::kept::Kept).
pub struct Stopped {
    was_on: bool,
    /// The switch is the thread's own.
    _thread: PhantomData<*mut ()>,
}

impl Stopped {
    /// Switches the collector off.
    ///
    /// # Safety
    /// On a Julia thread. While this lives, no other thread removes what is looked at here: Julia 1.5 runs tasks of
    /// `Threads.@spawn` on other threads, and those define methods, load packages and infer only under locks that the
    /// caller holds or that nothing else can hold now (package callbacks, exit hooks, the build process).
    pub unsafe fn new() -> Self {
        // SAFETY: as the caller says.
        let was_on = unsafe { jl_sys::jl_gc_enable(0) } != 0;
        Stopped { was_on, _thread: PhantomData }
    }

    /// The newest world.
    pub fn world(&self) -> usize {
        // SAFETY: reads a counter.
        unsafe { jl_get_world_counter() }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if self.was_on {
            // SAFETY: on the thread that it was made on, since it is not `Send`.
            unsafe { jl_sys::jl_gc_enable(1) };
        }
    }
}

/// What the collector may leave lying before it is asked to run: less than a session of Julia has in any case.
const GARBAGE: i64 = 192 << 20;

/// Runs of the collector at points where no handle is held, in a long stretch of work in which it is off.
pub struct Collections {
    last: i64,
}

impl Collections {
    /// Counts what is allocated from now on.
    pub fn new(_julia: &Stopped) -> Self {
        Self { last: allocated() }
    }

    /// Collects, if enough has been allocated since the last time. No handle can be held here, for each borrows `julia`;
    /// what is [`Kept`](crate::kept::Kept) must be reachable from a root, as its maker promised.
    pub fn here(&mut self, _julia: &mut Stopped) {
        if allocated() - self.last < GARBAGE {
            return;
        }
        // SAFETY: on a Julia thread, and no handle is held.
        unsafe {
            jl_sys::jl_gc_enable(1);
            jl_sys::jl_gc_collect(jl_sys::jl_gc_collection_t_JL_GC_AUTO);
            jl_sys::jl_gc_enable(0);
        }
        self.last = allocated();
    }
}

/// Bytes allocated since the process began.
fn allocated() -> i64 {
    let mut bytes = 0;
    // SAFETY: fills in the number.
    unsafe { jl_gc_get_total_bytes(&raw mut bytes) };
    bytes
}
