//! What is peculiar to Julia 1.5: names that its code generator uses, and the passes in libjulia.
//!
//! Nothing is linked. The process that loads the worker has libjulia and its libLLVM in the global scope.

use std::ffi::{c_char, c_int, CStr};

use inkwell::llvm_sys::prelude::LLVMPassManagerRef;

use crate::llvm::{Pass, PassList};

/// Calling convention of calls in Julia's IR that are to become `(F, args, nargs)`. A pass gives the arguments a frame.
pub(crate) const JLCALL_F_CC: u32 = 37;

/// The part of the data layout in which Julia's code generator says that pointers in the address spaces of the garbage
/// collector are no integers.
pub(crate) const NON_INTEGRAL: &str = "-ni:10:11:12:13";

/// Address spaces that the garbage collector gives a meaning.
pub(crate) mod address_space {
    /// Pointers to objects that this function must root.
    pub(crate) const TRACKED: u32 = 10;
    /// Pointers into something tracked.
    pub(crate) const DERIVED: u32 = 11;
    /// Pointers that are passed to a callee that roots them.
    pub(crate) const CALLEE_ROOTED: u32 = 12;
    /// Pointers that were loaded from something tracked.
    pub(crate) const LOADED: u32 = 13;

    /// Does the garbage collector give this address space a meaning?
    pub(crate) const fn is_special(space: u32) -> bool {
        TRACKED <= space && space <= LOADED
    }
}

/// The runtime functions that code generation calls with a string literal (`stringConstPtr`), and the parameters that
/// take one.
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
/// Prefix of the prototypes that `emit_invoke` calls, and for which `emit_cfunc_invalidate` makes a body if the callee is
/// not emitted.
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

/// Is this the name of a variable in which code keeps what it looked up when a `ccall` or `cglobal` first ran (ccall.cpp,
/// `runtime_sym_gvs`)? That is an address or the handle of a library.
pub(crate) fn is_lookup(name: &str) -> bool {
    ["ccall_", "ccalllib_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Is this a function that only exists until Julia's passes have run?
pub(crate) fn is_lowered(name: &str) -> bool {
    name.starts_with("julia.") || name.starts_with("llvm.julia.")
}

/// What `LowerPTLS` calls the variable with a function that returns the state of the thread.
pub(crate) const PTLS_GETTER: &str = "jl_get_ptls_states_slot";
/// What `LowerPTLS` calls the variable with the offset of that state from the thread pointer.
pub(crate) const TLS_OFFSET: &str = "jl_tls_offset";

// ---- passes ----

/// Separates the passes before it from those behind it.
// SAFETY: a function of libjulia that adds this pass.
pub(crate) const BARRIER: Pass = unsafe { Pass::new(LLVMExtraAddBarrierNoopPass) };
/// Lowers what Julia's IR says of exceptions.
// SAFETY: a function of libjulia that adds this pass.
pub(crate) const LOWER_EXCEPTION_HANDLERS: Pass = unsafe { Pass::new(LLVMExtraAddLowerExcHandlersPass) };
/// Puts the garbage collector's frames into functions.
// SAFETY: a function of libjulia that adds this pass.
pub(crate) const LATE_LOWER_GC_FRAME: Pass = unsafe { Pass::new(LLVMExtraAddLateLowerGCFramePass) };
/// Lowers what is left of the garbage collector in the IR.
// SAFETY: a function of libjulia that adds this pass.
pub(crate) const FINAL_LOWER_GC: Pass = unsafe { Pass::new(LLVMExtraAddFinalLowerGCPass) };
/// Fuses multiplications and additions where the code allows it.
// SAFETY: a function of libjulia that adds this pass.
pub(crate) const COMBINE_MUL_ADD: Pass = unsafe { Pass::new(LLVMExtraAddCombineMulAddPass) };

/// Adds Julia's passes for an optimisation level, without those that make object code of Julia's IR.
pub(crate) fn add_optimisation(passes: &PassList, level: c_int) {
    // SAFETY: adds passes to a list of ours.
    unsafe { jl_add_optimization_passes(passes.raw(), level, 0) };
}

/// Adds `LowerPTLS` as it is for code of other processes.
pub(crate) fn add_lower_thread_state(passes: &PassList) {
    // SAFETY: adds a pass to a list of ours.
    unsafe { LLVMExtraAddLowerPTLSPass(passes.raw(), 1) };
}

/// Lets passes know which functions of the C library the target has.
pub(crate) fn add_target_library(passes: &PassList, triple: &CStr) {
    // SAFETY: adds a pass to a list of ours. It copies what it needs of the triple.
    unsafe { LLVMExtraAddTargetLibraryInfoByTiple(triple.as_ptr(), passes.raw()) };
}

extern "C" {
    fn jl_add_optimization_passes(pm: LLVMPassManagerRef, level: c_int, lower_intrinsics: c_int);
    fn LLVMExtraAddTargetLibraryInfoByTiple(triple: *const c_char, pm: LLVMPassManagerRef);
    fn LLVMExtraAddBarrierNoopPass(pm: LLVMPassManagerRef);
    fn LLVMExtraAddLowerExcHandlersPass(pm: LLVMPassManagerRef);
    fn LLVMExtraAddLateLowerGCFramePass(pm: LLVMPassManagerRef);
    fn LLVMExtraAddFinalLowerGCPass(pm: LLVMPassManagerRef);
    fn LLVMExtraAddLowerPTLSPass(pm: LLVMPassManagerRef, imaging_mode: c_int);
    fn LLVMExtraAddCombineMulAddPass(pm: LLVMPassManagerRef);
}
