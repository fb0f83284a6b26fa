//! What this process of Julia is: its version, its command line, its machine.

use std::ffi::CStr;

use libc::c_char;

use crate::elf::global_symbol;
use crate::julia_1_5::{jl_git_commit, jl_module_build_id, jl_options, jl_threading_enabled, jl_ver_string};

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
    // SAFETY: constant once Julia runs.
    let options = unsafe { &jl_options };
    CompilerFlags {
        optimization: options.opt_level,
        debug_info: options.debug_level,
        bounds_checks: options.check_bounds,
        inlining: options.can_inline,
        math_mode: options.fast_math,
        polly: options.polly,
    }
}

/// What `-C` says.
pub fn cpu_target() -> String {
    // SAFETY: null or a text, constant once Julia runs.
    unsafe { text(jl_options.cpu_target) }
}

/// Version and commit of Julia.
pub fn version() -> [String; 2] {
    // SAFETY: texts of libjulia.
    unsafe { [text(jl_ver_string()), text(jl_git_commit())] }
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
        let copy = text(features);
        dispose(features);
        copy
    };
    let mut present: Vec<String> =
        features.split(',').filter_map(|feature| feature.strip_prefix('+')).map(str::to_owned).collect();
    present.sort_unstable();
    Some(present)
}

/// # Safety
/// Null or NUL-terminated.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}
