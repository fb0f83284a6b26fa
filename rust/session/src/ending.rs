//! Is the session at an end of its own, or has a signal ended it in the middle of anything?
//!
//! On SIGTERM, and on Ctrl-C in a script, Julia makes its main thread call `jl_exit` from wherever it is
//! (signals-unix.c, `jl_exit_thread0`), inference, a collection or the reading of a package included, and then runs the
//! exit hooks. What looks at live objects then crashes, or changes the exit code. Nothing says so but the stack.

use std::ffi::{c_void, CStr};
use std::ops::Range;
use std::sync::OnceLock;

use nativecache_runtime::library::mapping_of;

extern "C" {
    fn jl_exit(code: std::ffi::c_int) -> !;
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
    // SAFETY: writes at most DEPTH frames.
    unsafe { backtrace(frames.as_mut_ptr(), DEPTH as std::ffi::c_int) };
    RUNTIME.get_or_init(|| mapping_of(jl_exit as *const () as usize));
}

/// To be called from an exit hook. When in doubt, it is not orderly. It calls `malloc` for the unwind tables of what was
/// compiled since the last time; where that waits for itself, Julia's own hooks would too (docs/faults.md).
pub fn is_orderly() -> bool {
    let Some(runtime) = RUNTIME.get() else { return false };
    let mut frames = [std::ptr::null_mut(); DEPTH];
    // SAFETY: writes at most DEPTH frames.
    let count = unsafe { backtrace(frames.as_mut_ptr(), DEPTH as std::ffi::c_int) };
    let frames = &frames[..usize::try_from(count).unwrap_or(0)];
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

/// The exported function that a return address lies in. The call before it may be the last of its function.
fn name_at(address: *mut c_void) -> Option<&'static CStr> {
    // SAFETY: plain old data, filled by the call; names lie in objects that are never unloaded.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        let found = libc::dladdr(address.wrapping_byte_sub(1), &raw mut info) != 0;
        (found && !info.dli_sname.is_null()).then(|| CStr::from_ptr(info.dli_sname))
    }
}
