//! This process: how Julia was started, its locks against Ctrl-C, and where its threads may stop.

use std::ffi::{c_char, CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::elf::global_symbol;
use crate::handles::RawObject;
use crate::julia_1_5::{
    jl_gc_safepoint, jl_generating_output, jl_git_commit, jl_module_build_id, jl_options, jl_sigatomic_begin,
    jl_sigatomic_end, jl_signal_pending, jl_threading_enabled, jl_ver_string, Options,
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

/// `nothing`, for a function that Julia calls.
pub fn nothing() -> RawObject {
    // SAFETY: exists from start-up on.
    unsafe { jl_sys::jl_nothing }
}

/// Flags of the command line that change what Julia compiles, as numbers.
#[derive(Clone, Copy, Debug)]
pub struct CompilerFlags {
    /// `-O`.
    pub optimization: i8,
    /// `-g`.
    pub debug_info: i8,
    /// `--check-bounds`.
    pub bounds_checks: i8,
    /// `--inline`.
    pub inlining: i8,
    /// `--math-mode`.
    pub math_mode: i8,
    /// `--polly`.
    pub polly: i8,
}

/// The flags of this process.
pub fn compiler_flags() -> CompilerFlags {
    let options = options();
    CompilerFlags {
        optimization: options.opt_level,
        debug_info: options.debug_level,
        bounds_checks: options.check_bounds,
        inlining: options.can_inline,
        math_mode: options.fast_math,
        polly: options.polly,
    }
}

/// The commit of Julia's sources that this one was built from.
pub fn commit() -> String {
    // SAFETY: a constant string of libjulia.
    unsafe { CStr::from_ptr(jl_git_commit()) }.to_string_lossy().into_owned()
}

/// Was libjulia built for more than one thread? 1 if so.
pub fn threads_of_build() -> i32 {
    // SAFETY: no preconditions.
    unsafe { jl_threading_enabled() }
}

/// The build ids of Core and Base.
pub fn build_ids_of_core_and_base() -> [u64; 2] {
    // SAFETY: both modules exist from start-up on, and are never freed.
    unsafe { [jl_module_build_id(jl_sys::jl_core_module), jl_module_build_id(jl_sys::jl_base_module)] }
}

/// What LLVM says of this machine's CPU, as a sorted list; the LLVM that libjulia has loaded is asked. `None` if it cannot be
/// asked.
pub fn cpu_features() -> Option<Vec<String>> {
    type GetFeatures = unsafe extern "C" fn() -> *mut c_char;
    type Dispose = unsafe extern "C" fn(*mut c_char);
    // SAFETY: libLLVM is in the process's global scope since libjulia links to it; both functions
    // have had these signatures since LLVM 8.
    let features = unsafe {
        let get = global_symbol(c"LLVMGetHostCPUFeatures");
        let dispose = global_symbol(c"LLVMDisposeMessage");
        if get.is_null() || dispose.is_null() {
            return None;
        }
        let get: GetFeatures = std::mem::transmute(get);
        let dispose: Dispose = std::mem::transmute(dispose);
        let features = get();
        if features.is_null() {
            return None;
        }
        let copy = CStr::from_ptr(features).to_string_lossy().into_owned();
        dispose(features);
        copy
    };
    let mut present: Vec<String> =
        features.split(',').filter_map(|feature| feature.strip_prefix('+')).map(str::to_owned).collect();
    present.sort_unstable();
    Some(present)
}
