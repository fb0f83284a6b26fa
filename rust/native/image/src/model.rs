//! What an image holds beside nodes, as the writer makes it: packages, slots, functions, method tables, edges, entries.

use crate::ids::{CodeIndex, EdgeId, FunctionId, NodeId, PackageId, SlotId, TableId};
use nativecache_store::Reason;

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
    /// Not at all: inference made the code instance and the library has no code for it, because it is inlined wherever
    /// it is called or because nothing calls it directly. The function must not have `spec`.
    Inferred,
    /// Nothing is said about its result, and there is no code instance to install: only its edges count, for those that
    /// depend on it. The function must not have `spec`.
    EdgesOnly,
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
    /// Whether its method is a generated function, whose body was fixed at build.
    pub generated: bool,
    /// Every slot that must be filled before it may run: its own, and those of code that it calls directly.
    pub slots: Vec<SlotId>,
    /// Functions of this library on whose validity its own relies: it calls them directly, has them inlined, or was
    /// inferred with their result.
    pub depends: Vec<FunctionId>,
    /// What must still hold for it to be valid.
    pub edges: Vec<EdgeId>,
}

/// A method table as it was at build. One that is the same when the library is linked needs no look at its edges.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Table {
    /// The type name whose method table it is.
    pub typename: NodeId,
    /// How many methods it had that were not deleted.
    pub live: u32,
    /// Digest of those methods.
    pub digest: u64,
}

/// A condition under which compiled code is valid: the methods of a table that match the target are those found at
/// build. Shared by all functions that depend on it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Edge {
    /// The method table that is asked.
    pub table: TableId,
    /// What it is asked for.
    pub target: EdgeTarget,
    /// The methods found at build, in the order in which they were found; empty if nothing matched.
    pub methods: Vec<NodeId>,
}

/// What a method table is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EdgeTarget {
    /// The specialised types of this method instance, which the code calls or has inlined.
    MethodInstance(NodeId),
    /// This signature.
    Signature(NodeId),
    /// Not the table, but the generator of this method instance. In place of methods there are three numbers:
    /// digests of the body and of the packages that it could see, and the world of the build's beginning.
    Generated(NodeId),
    /// Not the table, but a constant of this module. In place of methods there are its name, a symbol, and a number,
    /// the digest of its value.
    Constant(NodeId),
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
