//! What is true of Julia 1.5 and its LLVM 9 only: names that its code generator uses, and the passes in
//! libjulia.
//!
//! Nothing is linked: the process that loads the worker has libjulia and its libLLVM in the global scope.

use inkwell::llvm_sys::prelude::LLVMPassManagerRef;
use std::ffi::{c_char, c_int};

/// Calling convention of calls in Julia's IR that are to become `(F, args, nargs)`; a pass gives the
/// arguments a frame.
pub(crate) const JLCALL_F_CC: u32 = 37;

/// Data layout as Julia's code generator writes it: the address spaces of the garbage collector are no
/// integers.
pub(crate) const NON_INTEGRAL: &str = "-ni:10:11:12:13";

/// Address spaces that the garbage collector gives a meaning.
pub(crate) mod address_space {
    /// Rooted by this function.
    pub(crate) const TRACKED: u32 = 10;
    /// Points into something tracked.
    pub(crate) const DERIVED: u32 = 11;
    /// Passed to a callee that roots it.
    pub(crate) const CALLEE_ROOTED: u32 = 12;
    /// Loaded from something tracked.
    pub(crate) const LOADED: u32 = 13;

    /// One of the above?
    pub(crate) const fn is_special(space: u32) -> bool {
        TRACKED <= space && space <= LOADED
    }
}

/// The runtime functions that code generation calls with a string literal (`stringConstPtr`), and the
/// parameters that take one.
const STRING_PARAMETERS: &[(&str, &[u32])] = &[
    // just_emit_error
    ("jl_error", &[0]),
    // emit_type_error: what was checked; the other two are objects
    ("jl_type_error", &[0]),
    // runtime_sym_lookup: library (may be a small sentinel) and symbol
    ("jl_load_and_lookup", &[0, 1]),
];

/// Does parameter `argument` of the runtime function `name` take a C string?
pub(crate) fn is_string_parameter(name: &str, argument: u32) -> bool {
    STRING_PARAMETERS.iter().any(|(function, arguments)| *function == name && arguments.contains(&argument))
}

/// Prefix of the thunks that `emit_tojlinvoke` makes.
const THUNK: &str = "tojlinvoke";
/// Prefix of the prototypes that `emit_invoke` calls, and for which `emit_cfunc_invalidate` makes a body if
/// the callee is not emitted.
const PROTOTYPE: &str = "j_";
/// What a thunk calls when its callee has no code.
pub(crate) const INVOKE: &str = "jl_invoke";

/// Is this the name of a thunk?
pub(crate) fn is_thunk(name: &str) -> bool {
    name.strip_prefix(THUNK)
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Is this the name of a prototype?
pub(crate) fn is_prototype(name: &str) -> bool {
    name.starts_with(PROTOTYPE)
}

/// Is this a name that code generation makes up for something that another module defines, with a number?
pub(crate) fn is_made_up(name: &str) -> bool {
    ["j_", "j1_", "jsysw_", "jsys1_", "jsys3_", "jlsys_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Is this the name of a variable in which code keeps what it looked up when a `ccall` or `cglobal` first ran
/// (ccall.cpp, `runtime_sym_gvs`): an address, or the handle of a library?
pub(crate) fn is_lookup(name: &str) -> bool {
    ["ccall_", "ccalllib_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Is this a function that only exists until Julia's passes have run?
pub(crate) fn is_lowered(name: &str) -> bool {
    name.starts_with("julia.") || name.starts_with("llvm.julia.")
}

/// What `LowerPTLS` names the two variables by which a library finds thread-local state: a function that returns it,
pub(crate) const PTLS_GETTER: &str = "jl_get_ptls_states_slot";
/// and its offset from the thread pointer.
pub(crate) const TLS_OFFSET: &str = "jl_tls_offset";

extern "C" {
    /// Julia's optimisation passes; with `lower_intrinsics == 0` without those that make object code of
    /// Julia's IR.
    pub(crate) fn jl_add_optimization_passes(pm: LLVMPassManagerRef, level: c_int, lower_intrinsics: c_int);
    pub(crate) fn LLVMExtraAddTargetLibraryInfoByTiple(triple: *const c_char, pm: LLVMPassManagerRef);
    pub(crate) fn LLVMExtraAddBarrierNoopPass(pm: LLVMPassManagerRef);
    pub(crate) fn LLVMExtraAddLowerExcHandlersPass(pm: LLVMPassManagerRef);
    pub(crate) fn LLVMExtraAddLateLowerGCFramePass(pm: LLVMPassManagerRef);
    pub(crate) fn LLVMExtraAddFinalLowerGCPass(pm: LLVMPassManagerRef);
    pub(crate) fn LLVMExtraAddLowerPTLSPass(pm: LLVMPassManagerRef, imaging_mode: c_int);
    pub(crate) fn LLVMExtraAddCombineMulAddPass(pm: LLVMPassManagerRef);
}
