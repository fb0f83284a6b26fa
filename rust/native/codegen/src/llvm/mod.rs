//! LLVM, as the rest of this crate sees it.
//!
//! inkwell gives each kind of value a Rust type of its own. Rewriting looks at *all* operands of all instructions,
//! among them tokens, labels and metadata, for which inkwell has no type and panics. So this crate has a thin layer of
//! its own over `llvm_sys`, and takes from inkwell what has nothing to do with single values.
//!
//! A [`Value`] has the lifetime of the borrow of its [`Module`], and so have [`Type`], [`Block`] and [`Metadata`]: the
//! compiler sees to it that none is used once its module is gone. What only holds for a kind of value is a method of a
//! type for that kind: [`Global`], [`Function`], [`Variable`], [`Alias`], [`Instruction`], [`Call`], [`Alloca`]. A
//! value becomes one by a method that looks (`Value::as_function`).
//!
//! Three things the compiler cannot see. They are left to this crate, and each is said where it matters:
//!
//! * Values are copied freely, so nothing keeps one from being used after it was deleted. What deletes is `unsafe`.
//! * A lifetime does not say *which* module a value belongs to. Only `emit::split` works on two modules at a time.
//! * The types of operands must fit, as for LLVM itself. A misfit makes an invalid module, which LLVM's verifier
//!   rejects before any pass runs.

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
/// Inside Julia it does already. Two threads must not add to LLVM's list of targets at once.
pub(crate) fn initialise_targets() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| Target::initialize_x86(&InitializationConfig::default()));
}
