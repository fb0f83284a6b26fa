//! Does the session end in an orderly way, or has a signal interrupted it?
//!
//! On SIGTERM, and on Ctrl-C in a script, Julia makes its main thread call `jl_exit` from wherever it is (signals-unix.c,
//! `jl_exit_thread0`): in inference, in a collection, or while it reads a package. Then it runs the exit hooks. A hook that
//! looks at live objects at this moment crashes, or changes the exit code. Only the stack shows that this is the case.

use std::ffi::{c_void, CStr};
use std::ops::Range;
use std::sync::OnceLock;

use nativecache_signals::put_off;

use crate::elf::{symbol_before, Object};
use crate::julia_1_5::jl_exit;

extern "C" {
    fn backtrace(frames: *mut *mut c_void, size: std::ffi::c_int) -> std::ffi::c_int;
}

/// The number of frames that are examined: exit hooks run only a few calls below their cause.
const DEPTH: usize = 64;

/// The address range of libjulia.
static RUNTIME: OnceLock<Range<usize>> = OnceLock::new();

/// To be called when the session starts: the first call of `backtrace` allocates. A signal may arrive inside `malloc`, and
/// a second call of `malloc` would then wait for ever.
pub fn prepare() {
    let mut frames = [std::ptr::null_mut(); DEPTH];
    unwind(&mut frames);
    RUNTIME.get_or_init(|| Object::at(jl_exit as *const () as usize).map_or(0..0, |runtime| runtime.span()));
}

/// To be called from an exit hook. In doubt, the answer is no. This calls `malloc` for the unwind tables of code that was
/// compiled since the last call; if that waits for ever, Julia's own hooks would do so, too (docs/faults.md).
pub fn is_orderly() -> bool {
    let Some(runtime) = RUNTIME.get().filter(|runtime| !runtime.is_empty()) else { return false };
    let mut frames = [std::ptr::null_mut(); DEPTH];
    let count = unwind(&mut frames);
    let frames = &frames[..count];
    let Some(hook) = frames.iter().position(|frame| name_at(*frame) == Some(c"jl_atexit_hook")) else {
        return false;
    };
    // Who runs the hooks: the program at its end, or `jl_exit`, which Julia code or the handler calls.
    let caller = match frames.get(hook + 1) {
        Some(frame) if name_at(*frame) == Some(c"jl_exit") => frames.get(hook + 2),
        other => other,
    };
    caller.is_some_and(|frame| !runtime.contains(&(*frame as usize)))
}

/// Writes the return addresses on this thread's stack, and returns their number. glibc asks the loader for the tables of
/// each, and a thread that stops this one may do so as well (see `elf`).
fn unwind(frames: &mut [*mut c_void; DEPTH]) -> usize {
    // SAFETY: writes at most DEPTH frames.
    let count = put_off(|| unsafe { backtrace(frames.as_mut_ptr(), DEPTH as std::ffi::c_int) });
    usize::try_from(count).map_or(0, |count| count.min(DEPTH))
}

/// The exported function of a return address. The call before that may be the last instruction of its function.
fn name_at(address: *mut c_void) -> Option<&'static CStr> {
    symbol_before((address as usize).wrapping_sub(1)).map(|(name, _)| name)
}
