//! Locks that never hold up the garbage collector, and calls that Ctrl-C does not tear.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use nativecache_julia::julia_1_5::{jl_gc_safepoint, jl_sigatomic_begin, jl_sigatomic_end};

/// Linking takes milliseconds; who holds a lock for this long does not give it back.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the lock; `None` if another thread keeps it.
///
/// A thread that slept in the lock would not be at a safepoint: a collection that a third thread has begun would wait
/// for it, and the one that holds the lock would wait for the collection.
pub fn acquire<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let start = Instant::now();
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            // What the locks guard is consistent between any two steps that can panic.
            Err(TryLockError::Poisoned(poisoned)) => return Some(PoisonError::into_inner(poisoned)),
            Err(TryLockError::WouldBlock) => {}
        }
        if start.elapsed() > PATIENCE {
            return None;
        }
        // SAFETY: on a Julia thread, with no Julia object held.
        unsafe { jl_gc_safepoint() };
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Runs `body` with Ctrl-C put off to its end. Julia throws an `InterruptException` from any safepoint, allocation
/// among them, and that leaves by a long jump: over `body` it would leave locks taken and the collector off.
///
/// # Safety
/// On a Julia thread. The caller's frame, and those up to Julia, have nothing to drop.
pub unsafe fn uninterrupted<T: Copy>(body: impl FnOnce() -> T) -> T {
    // SAFETY: a pair; the second may throw, over frames that have nothing to drop, as the caller says.
    unsafe {
        jl_sigatomic_begin();
        let result = body();
        jl_sigatomic_end();
        result
    }
}
