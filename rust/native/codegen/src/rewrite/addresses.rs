//! The questions that rewriting asks, and their answers.
//!
//! This crate knows LLVM and nothing of what lies at an address. Whoever knows the running Julia implements
//! [`Addresses`].

/// How an address is used where it stands. That decides what it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use<'a> {
    /// Typed `%jl_value_t*`, or a pointer that code generation derived from such a literal
    /// (`i8*`, `i64*`, `[n x %jl_value_t*]*`, ...).
    Value,
    /// A pointer to a function.
    Function,
    /// Direct argument of a call to a known runtime function whose parameter is a `const char*`.
    CString {
        /// Name of the runtime function.
        callee: &'a str,
        /// Which of its arguments, from 0.
        argument: u32,
    },
    /// A plain integer constant that [`Addresses::is_candidate`] takes for an address.
    Integer {
        /// Width of the integer.
        bits: u32,
    },
}

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The content of the slot with this index in `nativecache_slots`. It is filled once, before the code runs, with
    /// something that is not null.
    Slot(u32),
    /// Nobody knows: the function cannot be kept.
    Unknown,
}

/// What a thunk hands over to what it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThunkLiteral {
    /// A code instance: the thunk calls its `invoke` by a name that means nothing in another process.
    CodeInstance,
    /// A method instance: the thunk calls `jl_invoke`.
    MethodInstance,
}

/// A function `tojlinvoke<N>`, which code generation makes for a callee whose code it does not emit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thunk<'a> {
    /// Name of the thunk.
    pub function: &'a str,
    /// Name of what it calls, for people.
    pub target: &'a str,
    /// The address of the code instance or method instance.
    pub literal: u64,
    /// Whether that is a code instance or a method instance.
    pub kind: ThunkLiteral,
    /// Every caller is a prototype with the callee's specialised signature, so [`Callee::Direct`] is possible.
    /// Otherwise every caller passes `(F, args, nargs)`, and [`Callee::DirectArgs`] is.
    pub specialised: bool,
}

/// How a thunk's callee is to be called in the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callee {
    /// `invoke(F, args, nargs, code_instance)`, both from slots.
    Invoke {
        /// Slot with `codeinst->invoke`.
        invoke: u32,
        /// Slot with the code instance.
        code_instance: u32,
    },
    /// The specialised function itself: a slot with `codeinst->specptr` of a code instance with `isspecsig`.
    Direct {
        /// Slot with `codeinst->specptr`.
        specptr: u32,
    },
    /// `fptr(F, args, nargs)`: a slot with `codeinst->specptr` of a code instance whose `invoke` is
    /// `jl_fptr_args`.
    DirectArgs {
        /// Slot with `codeinst->specptr`.
        fptr: u32,
    },
    /// `jl_invoke(F, args, nargs, method_instance)`.
    Generic {
        /// Slot with the method instance.
        method_instance: u32,
    },
    /// The callee cannot be named in another process.
    Unknown,
}

/// Whoever knows what lies at an address of this process.
pub trait Addresses {
    /// What is at `address`? `function` is the function in which it stands, or `@name` of a global variable.
    fn resolve(&mut self, function: &str, address: u64, usage: Use<'_>) -> Answer;

    /// How is the callee of this thunk to be called?
    fn callee(&mut self, thunk: &Thunk<'_>) -> Callee;

    /// Can this integer be an address? Asked for every integer constant of 64 bits and for each word of a wider one.
    /// What cannot be one stays as it is.
    fn is_candidate(&self, value: u64) -> bool;
}
