//! The questions that rewriting asks, and their answers.
//!
//! This crate knows LLVM and nothing of what lies at an address; whoever knows the running Julia implements
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

/// A use of a slot: what the code needs is the content of the slot plus `addend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotUse {
    /// Index into `nativecache_slots`.
    pub index: u32,
    /// Bytes from what the slot holds to the address that was asked about.
    pub addend: i64,
    /// The slot is filled before any function that uses it can run, and never changes afterwards.
    pub invariant: bool,
    /// How many bytes can be read where the slot points; 0 says nothing.
    pub dereferenceable: u64,
    /// The slot never holds null.
    pub nonnull: bool,
}

impl SlotUse {
    /// A slot that is filled once, before the code runs, with something that is not null.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self { index, addend: 0, invariant: true, dereferenceable: 0, nonnull: true }
    }

    /// The same slot, for an address `addend` bytes behind what it holds.
    #[must_use]
    pub const fn with_addend(self, addend: i64) -> Self {
        Self { addend, ..self }
    }

    /// The same slot, which points to at least `bytes` readable bytes.
    #[must_use]
    pub const fn with_dereferenceable(self, bytes: u64) -> Self {
        Self { dereferenceable: bytes, ..self }
    }
}

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The content of a slot.
    Slot(SlotUse),
    /// Only a number; the constant stays. Means `Unknown` for anything but [`Use::Integer`].
    NotAnAddress,
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
    /// Name of what it calls; for people.
    pub target: &'a str,
    /// The address of the code instance or method instance.
    pub literal: u64,
    /// Which of both.
    pub kind: ThunkLiteral,
    /// Every caller is a prototype with the callee's specialised signature, so [`Callee::Direct`] is
    /// possible. Otherwise every caller passes `(F, args, nargs)`, and [`Callee::DirectArgs`] is.
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

    /// Is this integer worth a question? Asked for every integer constant of 64 bits and more.
    ///
    /// The default takes what can be an address of user space on a 64-bit machine, and is above what programs
    /// use as numbers. Who knows the mappings of the process can answer better.
    fn is_candidate(&self, value: u64) -> bool {
        (1 << 32..1 << 47).contains(&value)
    }
}
