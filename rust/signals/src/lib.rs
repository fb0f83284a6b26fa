//! Puts off signals on the calling thread: for code that a handler must not interrupt, and for writes that must fail
//! instead of killing the process.
//!
//! Only the mask of this thread changes. Handlers and other threads are not affected, so a session ends as it would
//! without NativeCache.

use nativecache_mutation::mutation;
use std::mem::MaybeUninit;
use std::ptr;

/// Signals that the kernel raises for what the thread itself has just done. If they are blocked, the kernel kills the
/// process instead, and Julia's collector stops threads with one of them.
const OF_THE_THREAD: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS, libc::SIGABRT];

/// Runs `body` with the thread's signals put off until its end.
///
/// This is for code that takes a lock that another thread may need after it has stopped this one by a signal. Julia's
/// profiler does that: its thread stops this one by SIGUSR2, without a time limit, and unwinds the stack, for which
/// libunwind calls the loader. With the signal put off, the profiler waits for `body`, and holds nothing that `body` needs.
///
/// `body` must be short, must not wait for anything, and must start no threads, which would inherit the mask.
pub fn put_off<T>(body: impl FnOnce() -> T) -> T {
    let signals = mutation!("signals: none is put off", all_but(&OF_THE_THREAD), set_of(&[]));
    let _mask = Mask::block(&signals);
    body()
}

/// Runs `body` with one signal put off. `body` may take longer, and may start threads.
pub fn put_off_only<T>(signal: i32, body: impl FnOnce() -> T) -> T {
    let _mask = Mask::block(&set_of(&[signal]));
    body()
}

/// Runs `body`. A write in it beyond the limit on file size (`ulimit -f`) fails with `EFBIG`, as a write to a full disk
/// fails with `ENOSPC`. By default SIGXFSZ kills the process.
pub fn with_failing_writes<T>(body: impl FnOnce() -> T) -> T {
    let signal = set_of(&[libc::SIGXFSZ]);
    // A signal that the program itself has blocked stays pending.
    let theirs = is_pending(libc::SIGXFSZ);
    let _failing = FailingWrites { signal, theirs, _mask: Mask::block(&signal) };
    body()
}

/// Discards the signal before the mask is restored, also during a panic.
struct FailingWrites {
    signal: libc::sigset_t,
    theirs: bool,
    _mask: Mask,
}

impl Drop for FailingWrites {
    fn drop(&mut self) {
        if mutation!("ulimit -f: the signal is only put off", !self.theirs, false) {
            take_back(&self.signal);
        }
    }
}

/// The previous mask of the thread. It is restored when this is dropped, also during a panic.
struct Mask(libc::sigset_t);

impl Mask {
    fn block(signals: &libc::sigset_t) -> Self {
        let mut before = MaybeUninit::uninit();
        // SAFETY: both lead to sets; a valid `how` cannot fail, and then the call has written `before`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, signals, before.as_mut_ptr());
            Mask(before.assume_init())
        }
    }
}

impl Drop for Mask {
    fn drop(&mut self) {
        // SAFETY: the set is the one that the thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first call initialises the set, the others add numbers of signals.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        let mut set = set.assume_init();
        signals.iter().for_each(|signal| {
            libc::sigaddset(&raw mut set, *signal);
        });
        set
    }
}

fn all_but(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first call initialises the set, the others take out numbers of signals.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        let mut set = set.assume_init();
        signals.iter().for_each(|signal| {
            libc::sigdelset(&raw mut set, *signal);
        });
        set
    }
}

/// Is the signal pending for this thread, or for the process?
fn is_pending(signal: i32) -> bool {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the call writes the whole set unless it fails.
    unsafe { libc::sigpending(set.as_mut_ptr()) == 0 && libc::sigismember(set.as_ptr(), signal) == 1 }
}

/// Discards pending signals, without running their handlers.
fn take_back(signals: &libc::sigset_t) {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time are valid; nobody wants to know more of the signal.
    while unsafe { libc::sigtimedwait(signals, ptr::null_mut(), &raw const at_once) } == -1 {
        // If a handler of another signal ran meanwhile, try again. Any other error means that no signal is pending.
        if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    static SEEN: AtomicU32 = AtomicU32::new(0);

    extern "C" fn count(_: i32) {
        SEEN.fetch_add(1, Ordering::Relaxed);
    }

    fn is_blocked(signal: i32) -> bool {
        let mut set = MaybeUninit::uninit();
        // SAFETY: with no new set, the call only writes the present one.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr());
            libc::sigismember(set.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn a_signal_waits_for_the_end() {
        // SAFETY: the handler only adds to an atomic.
        unsafe { libc::signal(libc::SIGUSR2, count as *const () as usize) };
        let inside = put_off(|| {
            // SAFETY: a signal to this thread.
            unsafe { libc::raise(libc::SIGUSR2) };
            assert!(OF_THE_THREAD.iter().all(|signal| !is_blocked(*signal)));
            SEEN.load(Ordering::Relaxed)
        });
        assert_eq!((inside, SEEN.load(Ordering::Relaxed)), (0, 1));
        assert!(!is_blocked(libc::SIGUSR2));
    }

    #[test]
    fn a_panic_leaves_the_mask_as_it_was() {
        let caught = std::panic::catch_unwind(|| put_off(|| assert!(!is_blocked(libc::SIGUSR1), "as meant")));
        assert!(caught.is_err() && !is_blocked(libc::SIGUSR1));
    }

    /// The signal of the kernel goes to the thread, and so does `raise`.
    #[test]
    fn what_would_kill_is_taken_back() {
        // SAFETY: a signal to this thread.
        with_failing_writes(|| unsafe { libc::raise(libc::SIGXFSZ) });
        assert!(!is_blocked(libc::SIGXFSZ) && !is_pending(libc::SIGXFSZ));
    }

    #[test]
    fn what_the_program_keeps_back_stays() {
        let _mask = Mask::block(&set_of(&[libc::SIGXFSZ]));
        // SAFETY: a signal to this thread, which has it blocked.
        unsafe { libc::raise(libc::SIGXFSZ) };
        with_failing_writes(|| ());
        assert!(is_blocked(libc::SIGXFSZ) && is_pending(libc::SIGXFSZ));
        take_back(&set_of(&[libc::SIGXFSZ]));
    }
}
