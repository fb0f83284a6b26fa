//! Is the session at an end of its own, or has a signal ended it in the middle of anything?
//!
//! On SIGTERM, and on Ctrl-C in a script, Julia makes its main thread call `jl_exit` from wherever it is
//! (signals-unix.c, `jl_exit_thread0`), inference, a collection or the reading of a package included, and then runs the
//! exit hooks. What looks at live objects then crashes, or changes the exit code. Nothing says so but the stack.

use std::ffi::{c_void, CStr};
use std::ops::Range;
use std::sync::OnceLock;

use nativecache_signals::put_off;

use crate::elf::{symbol_before, Object};
use crate::julia_1_5::jl_exit;

extern "C" {
    fn backtrace(frames: *mut *mut c_void, size: std::ffi::c_int) -> std::ffi::c_int;
}

/// Frames looked at: exit hooks are run from a few calls up.
const DEPTH: usize = 64;

/// Where libjulia lies.
static RUNTIME: OnceLock<Range<usize>> = OnceLock::new();

/// To be called when the session starts. The signal may have come in the middle of `malloc`, which then waits for
/// itself for ever, and `backtrace` allocates when it is called for the first time.
pub fn prepare() {
    let mut frames = [std::ptr::null_mut(); DEPTH];
    unwind(&mut frames);
    RUNTIME.get_or_init(|| Object::at(jl_exit as *const () as usize).map_or(0..0, |runtime| runtime.span()));
}

/// To be called from an exit hook. When in doubt, it is not orderly. It calls `malloc` for the unwind tables of what was
/// compiled since the last time; where that waits for itself, Julia's own hooks would too (docs/faults.md).
pub fn is_orderly() -> bool {
    let Some(runtime) = RUNTIME.get().filter(|runtime| !runtime.is_empty()) else { return false };
    let mut frames = [std::ptr::null_mut(); DEPTH];
    let count = unwind(&mut frames);
    let frames = &frames[..count];
    let Some(hook) = frames.iter().position(|frame| name_at(*frame) == Some(c"jl_atexit_hook")) else {
        return false;
    };
    // Who has the hooks run: the program at its end, or `jl_exit`, and that for Julia code or for the handler.
    let caller = match frames.get(hook + 1) {
        Some(frame) if name_at(*frame) == Some(c"jl_exit") => frames.get(hook + 2),
        other => other,
    };
    caller.is_some_and(|frame| !runtime.contains(&(*frame as usize)))
}

/// The return addresses on this thread's stack; how many. glibc asks the loader for the tables of each, and who stops
/// this thread meanwhile may ask as well (`elf`).
fn unwind(frames: &mut [*mut c_void; DEPTH]) -> usize {
    // SAFETY: writes at most DEPTH frames.
    let count = put_off(|| unsafe { backtrace(frames.as_mut_ptr(), DEPTH as std::ffi::c_int) });
    usize::try_from(count).map_or(0, |count| count.min(DEPTH))
}

/// The exported function that a return address lies in. The call before it may be the last of its function.
fn name_at(address: *mut c_void) -> Option<&'static CStr> {
    symbol_before((address as usize).wrapping_sub(1)).map(|(name, _)| name)
}
