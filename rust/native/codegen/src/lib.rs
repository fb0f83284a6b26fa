//! From the LLVM module that Julia's code generator emits to an object file that holds no address of the
//! process.
//!
//! In an ordinary session the code generator writes addresses into the code: of types, symbols, constants,
//! bindings, C functions. [`NativeModule::rewrite`] replaces each by a load from a table of slots, which the
//! loader fills in the next session; what lies at an address, and whether another session can find it again,
//! is for the implementor of [`Addresses`] to say. Then the module gets an order, names and tables that do
//! not depend on the process ([`NativeModule::finish`]), runs through the passes of Julia's just-in-time
//! compiler, and is written as an object.
//!
//! LLVM itself is not linked: its symbols are those of the libLLVM that libjulia has loaded. What is peculiar
//! to a version of Julia stands in one module (`julia_1_5`).

#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

mod addresses;
mod arguments;
mod builder;
mod compile_units;
mod disassemble;
mod emitted;
mod error;
mod finish;
mod function;
mod gcframe;
mod handle;
mod invariants;
mod julia_1_5;
mod late;
mod literal;
mod materialise;
mod module;
mod names;
mod object;
mod pipeline;
mod references;
mod rewrite;
mod site;
mod slots;
mod split;
mod target;
mod thread_state;
mod thunk;
mod value;

pub use addresses::{Addresses, Answer, Callee, SlotUse, Thunk, ThunkLiteral, Use};
pub use disassemble::{Disassembler, Instruction};
pub use emitted::{Closure, Emitted, Rewritten, UnknownAddress};
pub use error::{CodegenError, Violation};
pub use finish::{symbol, ExportedFunction, FinalName, Finished};
pub use inkwell::llvm_sys;
pub use module::{value_name, NativeModule};
pub use split::{Names, Part};
pub use target::{OptLevel, Target};
