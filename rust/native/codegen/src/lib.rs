//! From the LLVM module that Julia's code generator emits to an object file that holds no address of the process.
//!
//! In an ordinary session the code generator writes addresses into the code: of types, symbols, constants, bindings, C
//! functions. [`NativeModule`] (native_module.rs) takes such a module through these stages, each with a folder of its
//! own that names its files:
//!
//! 1. **rewrite** (rewrite/): each address becomes a load from a table of slots, which the loader fills in the next
//!    session. What lies at an address, and whether another session can find it again, is for the implementor of
//!    [`Addresses`] to say.
//! 2. **finish** (emit/finish.rs): the module gets an order, names and tables that do not depend on the process. A build
//!    splits it here into the parts of a library (emit/split.rs).
//! 3. **optimise** (passes/): the passes of Julia's just-in-time compiler.
//! 4. **object** (emit/object.rs): machine code.
//!
//! They are built on llvm/, which wraps LLVM's values with the lifetime of their module, and on four small files:
//! julia_1_5.rs holds what is peculiar to this version of Julia, symbols.rs the symbols that the loader and the parts
//! look up, names.rs names without the numbers of a process, target.rs the machine.
//!
//! LLVM itself is not linked: its symbols are those of the libLLVM that libjulia has loaded.

mod emit;
mod error;
mod julia_1_5;
mod llvm;
mod names;
mod native_module;
mod passes;
mod rewrite;
mod symbols;
mod target;

pub use emit::{ExportedFunction, FinalName, Finished, Part, StableNames};
pub use error::{CodegenError, Violation};
pub use inkwell::llvm_sys;
pub use llvm::{Disassembler, MachineInstruction};
pub use native_module::{value_name, NativeModule};
pub use rewrite::addresses::{Addresses, Answer, Callee, Thunk, ThunkLiteral, Use};
pub use rewrite::findings::{Closure, Emitted, Rewritten, UnknownAddress};
pub use symbols::symbol;
pub use target::{OptLevel, Target};
