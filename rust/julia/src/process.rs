//! This process: how Julia was started, its locks against Ctrl-C, and where its threads may stop.

use std::ffi::{c_char, CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::julia_1_5::{
    jl_exit, jl_gc_safepoint, jl_generating_output, jl_options, jl_sigatomic_begin, jl_sigatomic_end,
    jl_signal_pending, jl_ver_string, Options,
};

/// What the command line said, set before any Julia code ran.
pub fn options() -> &'static Options {
    // SAFETY: a constant of libjulia once Julia runs.
    unsafe { &jl_options }
}

/// One of the texts among [`options`], which `choose` picks; empty if it was not given.
pub fn text_option(choose: impl FnOnce(&Options) -> *const c_char) -> &'static [u8] {
    let option = choose(options());
    if option.is_null() {
        return &[];
    }
    // SAFETY: the texts among the options are NUL-terminated, and stay.
    unsafe { CStr::from_ptr(option) }.to_bytes()
}

/// The folder of the program that runs this session.
pub fn bin_folder() -> &'static Path {
    Path::new(OsStr::from_bytes(text_option(|options| options.julia_bindir)))
}

/// Does this process write an image, of a package or of the system?
pub fn is_generating_output() -> bool {
    // SAFETY: reads what the command line set.
    unsafe { jl_generating_output() != 0 }
}

/// Julia's version, as text.
pub fn version() -> String {
    // SAFETY: a constant string of libjulia.
    unsafe { CStr::from_ptr(jl_ver_string()) }.to_string_lossy().into_owned()
}

/// Lets a collection begin that another thread waits for.
///
/// # Safety
/// On a Julia thread, with no object held.
pub unsafe fn safepoint() {
    // SAFETY: as the caller says.
    unsafe { jl_gc_safepoint() }
}

/// Does a Ctrl-C wait?
pub fn is_interrupted() -> bool {
    // SAFETY: a number that Julia's signal handler sets.
    unsafe { jl_signal_pending.load(Ordering::Relaxed) != 0 }
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

/// An address in libjulia's own code.
pub fn address_in_runtime() -> usize {
    jl_exit as *const () as usize
}
