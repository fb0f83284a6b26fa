//! What can go wrong between Julia's module and the object file.

use std::path::PathBuf;

/// A function that breaks one of the rules of Julia's garbage collector.
///
/// Julia's own pipeline would abort the process ("Illegal inttoptr"). We find the function first and name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Name of the function in the module.
    pub function: String,
    /// The rule that is broken.
    pub rule: &'static str,
}

/// All errors of this crate. Each names what it is about and the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodegenError {
    /// `jl_get_llvm_module` returned no module.
    #[error("Julia's code generator returned no LLVM module")]
    NullModule,
    /// LLVM returned null instead of what it was told to make.
    #[error("LLVM has no memory for what it was told to make")]
    OutOfMemory,
    /// The steps of [`NativeModule`](crate::NativeModule) were called in the wrong order.
    #[error("`{step}` was called, but the module is {state}")]
    Order {
        /// The method that was called.
        step: &'static str,
        /// What the module is at that moment.
        state: &'static str,
    },
    /// A function to export that is not defined in the module.
    #[error("entry {index} of the exported functions is not a function that is defined in the module")]
    NotAFunction {
        /// Position in the list of exported functions.
        index: usize,
    },
    /// A slot number that is outside the table.
    #[error("slot {slot} is used, but the table has {slots} slots")]
    SlotOutOfRange {
        /// The slot.
        slot: u32,
        /// Size of the table.
        slots: u32,
    },
    /// An address of this process would have become part of the library.
    #[error("`{function}` is exported or reached from an exported function, but still holds the address {address:#x}")]
    AddressLeft {
        /// Name of the function or global variable.
        function: String,
        /// The address.
        address: u64,
    },
    /// The module has no function of this name.
    #[error("the module has no function `{name}`")]
    UnknownFunction {
        /// The name.
        name: String,
    },
    /// Something that cannot be moved to a part of the library.
    #[error("the library cannot be compiled in parts: {what}")]
    Unsplittable {
        /// What it is.
        what: String,
    },
    /// LLVM's verifier rejects the module. This is a bug of this crate.
    #[error("LLVM's verifier rejects the module: {text}")]
    Verify {
        /// What LLVM says.
        text: String,
    },
    /// Julia's passes would abort on these functions.
    #[error("Julia's passes cannot compile {}", list(.0))]
    GcInvariant(Vec<Violation>),
    /// LLVM has no such target machine.
    #[error("no LLVM target machine for {triple} (cpu {cpu}): {text}")]
    Target {
        /// The triple of the module.
        triple: String,
        /// The processor that was asked for.
        cpu: String,
        /// The cause.
        text: String,
    },
    /// LLVM could not write the object.
    #[error("LLVM cannot generate machine code: {text}")]
    Machine {
        /// What LLVM says.
        text: String,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// An optimisation level that Julia does not have.
    #[error("-O{0} is no optimisation level of Julia")]
    Level(i32),
}

fn list(violations: &[Violation]) -> String {
    let shown: Vec<String> = violations
        .iter()
        .take(3)
        .map(|violation| format!("`{}` ({})", violation.function, violation.rule))
        .collect();
    let rest = violations.len().saturating_sub(shown.len());
    if rest == 0 {
        shown.join(", ")
    } else {
        format!("{} and {rest} more", shown.join(", "))
    }
}
