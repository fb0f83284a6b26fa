//! Locks that never hold up the garbage collector.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use nativecache_julia::process;

/// Linking takes milliseconds: assume that the holder of a lock for this long has hung.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the lock; `None` if another thread keeps it.
///
/// A thread that slept in the lock would not be at a safepoint: a collection that a third thread has begun would wait
/// for it, and the one that holds the lock would wait for the collection.
pub(crate) fn acquire<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
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
        unsafe { process::safepoint() };
        std::thread::sleep(Duration::from_micros(50));
    }
}
