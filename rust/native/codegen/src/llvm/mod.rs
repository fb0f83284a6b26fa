//! LLVM, as the rest of this crate sees it.
//!
//! inkwell gives each kind of value a Rust type of its own. Rewriting looks at *all* operands of all instructions,
//! among them tokens, labels and metadata, for which inkwell has no type and panics. So this is a thin layer of our own
//! over `llvm_sys`; inkwell is used where single values do not matter.
//!
//! A [`Value`] has the lifetime of the borrow of its [`Module`], and so have [`Type`], [`Block`] and [`Metadata`]: the
//! compiler makes sure that none is used after its module is gone. A method that only works on one kind of value
//! belongs to a type for that kind: [`Global`], [`Function`], [`Variable`], [`Alias`], [`Instruction`], [`Call`],
//! [`Alloca`]. Checked conversions such as `Value::as_function` lead from a value to these.
//!
//! The compiler cannot check three things. The rest of the crate is responsible for them:
//!
//! * A copy of a value may be used after the value was deleted. Methods that delete are `unsafe`.
//! * A lifetime does not say *which* module a value belongs to. Only `emit::split` works on two modules at once.
//! * Operand types must match, as LLVM demands. A mismatch makes the module invalid, and LLVM's verifier rejects it.

mod block;
mod builder;
mod constants;
mod disassemble;
mod function;
mod global;
mod instruction;
mod metadata;
mod module;
mod pass_list;
mod typed_pointers;
mod types;
mod value;

use std::sync::Once;

use inkwell::targets::{InitializationConfig, Target};

pub(crate) use block::Block;
pub(crate) use builder::{Binary, Builder, Cast};
pub(crate) use constants::{aggregate, array_element, difference, is_inbounds, wide_words};
pub use disassemble::{Disassembler, MachineInstruction};
pub(crate) use function::{call_like, declare_like, move_body, remove_body, replace, take_over, Function};
pub(crate) use global::{Alias, Global, Variable};
pub(crate) use instruction::{Alloca, Call, Instruction};
pub(crate) use metadata::Metadata;
pub(crate) use module::{AliasVisibility, Module};
pub(crate) use pass_list::{Pass, PassList};
pub(crate) use types::Type;
pub(crate) use value::{is_used, using_instructions, Value};

/// Makes LLVM know this kind of machine.
///
/// Inside Julia it already does. Two threads must not add to LLVM's list of targets at once.
pub(crate) fn initialise_targets() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| Target::initialize_x86(&InitializationConfig::default()));
}
