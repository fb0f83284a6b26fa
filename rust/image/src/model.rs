//! What an image holds beside nodes, as the writer makes it: packages, slots, functions, edges, entries.

use crate::ids::{CodeIndex, EdgeId, FunctionId, NodeId, PackageId, SlotId};
use crate::reason::Reason;

/// A root module that nodes refer to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Package {
    /// Name of the package.
    pub name: String,
    /// Its uuid; all zero for `Core`, `Base`, `Main` and packages without one.
    pub uuid: [u8; 16],
    /// `Base.module_build_id` of its root module at build.
    pub build_id: u64,
    /// Whether it is part of the sysimage.
    pub in_sysimage: bool,
}

/// A pointer that the library's code loads, filled in when the library is linked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Slot {
    /// The address of an object.
    Object(NodeId),
    /// The address of a binding, plus an offset.
    Binding {
        /// The module whose table of bindings is asked.
        module: NodeId,
        /// Name of the binding.
        name: String,
        /// Bytes to add to the binding's address.
        offset: u32,
    },
    /// The address of a C symbol.
    CSymbol {
        /// The library it is looked up in, or the process itself.
        library: Option<String>,
        /// Its name.
        name: String,
    },
    /// The address of a C string; the NUL is not part of the bytes given here.
    CString(Vec<u8>),
    /// The address to call for a code instance with Julia's generic calling convention: its `invoke`.
    Invoke(NodeId),
    /// The address of the specialised code of a code instance: its `specptr`.
    Specptr(NodeId),
}

/// How a code instance is called: what goes into its `invoke`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Invoke {
    /// `jl_fptr_args`; the function must have `spec`.
    Args,
    /// `jl_fptr_sparam`; the function must have `spec`.
    Sparam,
    /// `jl_fptr_const_return`; the function must have `rettype_const`.
    ConstReturn,
    /// A wrapper in the library, which calls `spec` with unboxed arguments.
    Wrapper(CodeIndex),
}

/// A code instance that the library can install.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Function {
    /// The method instance that it belongs to.
    pub method_instance: NodeId,
    /// Its inferred return type.
    pub rettype: NodeId,
    /// The constant that it returns, or the partly constant result that inference found.
    pub rettype_const: Option<NodeId>,
    /// Its inferred code, kept for callers that may inline it.
    pub inferred: Option<NodeId>,
    /// What goes into `invoke`.
    pub invoke: Invoke,
    /// What goes into `specptr`.
    pub spec: Option<CodeIndex>,
    /// Whether callers may inline it.
    pub inlineable: bool,
    /// Every slot that must be filled before it may run: its own, and those of code that it calls directly.
    pub slots: Vec<SlotId>,
    /// Functions of this library whose code it calls directly.
    pub callees: Vec<FunctionId>,
    /// What must still hold for it to be valid.
    pub edges: Vec<EdgeId>,
}

/// A condition under which compiled code is valid; shared by all functions that depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Edge {
    /// The code depends on this method instance (called, or inlined).
    Callee(NodeId),
    /// The code depends on which methods of a table match a signature.
    Table {
        /// The type name whose method table it is.
        typename: NodeId,
        /// The signature.
        signature: NodeId,
    },
}

/// Where a requested method ended up in the build.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Bucket {
    /// The library has code for it.
    Compiled(FunctionId),
    /// It was left out on purpose.
    Skipped {
        /// Why.
        reason: Reason,
        /// What exactly: the name, the address, the value.
        detail: String,
    },
    /// It should have worked.
    Failed {
        /// Why it did not.
        reason: Reason,
        /// What exactly: the message of the exception, the signal.
        detail: String,
    },
}

/// A requested method and what became of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// The statement as it was asked for.
    pub statement: String,
    /// The package that it belongs to, if that is known.
    pub package: Option<PackageId>,
    /// Where it ended up.
    pub bucket: Bucket,
}
