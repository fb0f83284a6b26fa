//! Descriptions of Julia objects, as the writer makes them.

use crate::builtin::Builtin;
use crate::ids::{NodeId, PackageId};

/// The description of one Julia object.
///
/// Operands are earlier nodes of the same image, so a reader that resolves nodes in order has every operand at hand.
/// Equal descriptions mean the same object, and [`ImageBuilder::node`](crate::ImageBuilder::node) stores them once;
/// for mutable objects that only look alike there is [`fresh_node`](crate::ImageBuilder::fresh_node).
///
/// The image does not know Julia's types. It sees to it that operands exist and come earlier; whoever resolves a node
/// must check that they are of the kind that is wanted, and that bytes have the size of their type.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Node {
    /// A symbol.
    Symbol(String),
    /// The root module of a package.
    RootModule(PackageId),
    /// A module inside another module.
    Submodule {
        /// The enclosing module.
        parent: NodeId,
        /// Its name there.
        name: String,
    },
    /// The value of a constant binding.
    ConstValue {
        /// The module that owns the binding.
        module: NodeId,
        /// Name of the binding.
        name: String,
    },
    /// The object in a field of another object.
    Field {
        /// The object that has the field.
        parent: NodeId,
        /// Number of the field, from 0.
        index: u32,
    },
    /// A type name.
    TypeName {
        /// The module that it was defined in.
        module: NodeId,
        /// The name, as `TypeName.name` has it.
        name: String,
    },
    /// The type without parameters: `TypeName.wrapper`.
    Wrapper {
        /// The type name.
        typename: NodeId,
    },
    /// A type name applied to parameters.
    Apply {
        /// The type name.
        typename: NodeId,
        /// All of its parameters.
        params: Vec<NodeId>,
    },
    /// A tuple type.
    Tuple {
        /// Its parameters.
        params: Vec<NodeId>,
    },
    /// A type variable.
    TypeVar {
        /// Its name.
        name: String,
        /// Lower bound.
        lb: NodeId,
        /// Upper bound.
        ub: NodeId,
        /// Tells apart variables that look alike: equal serials (and all else) mean the same variable.
        serial: u32,
    },
    /// A `UnionAll`.
    UnionAll {
        /// The type variable.
        var: NodeId,
        /// What it is bound in.
        body: NodeId,
    },
    /// A `Union`.
    Union {
        /// Its members, in the order in which `Union` is to be given them.
        members: Vec<NodeId>,
    },
    /// A simple vector.
    SVec {
        /// Its items.
        items: Vec<NodeId>,
    },
    /// A value without references, given by its bytes.
    Bits {
        /// Its type.
        ty: NodeId,
        /// The bytes of the value.
        bytes: Vec<u8>,
    },
    /// A string: any bytes, as Julia allows.
    String(Vec<u8>),
    /// An immutable struct with references.
    Struct {
        /// Its type.
        ty: NodeId,
        /// All of its fields; inline ones are boxed in the description.
        fields: Vec<NodeId>,
    },
    /// A mutable struct, made anew in each session.
    MutableStruct {
        /// Its type.
        ty: NodeId,
        /// All of its fields; `None` is `#undef`.
        fields: Vec<Option<NodeId>>,
    },
    /// A vector of references, made anew in each session.
    Array {
        /// Its type.
        ty: NodeId,
        /// The items; `None` is `#undef`.
        items: Vec<Option<NodeId>>,
    },
    /// A vector of values without references, made anew in each session.
    ArrayBits {
        /// Its type.
        ty: NodeId,
        /// How many items it has.
        len: u32,
        /// The bytes of all items.
        bytes: Vec<u8>,
    },
    /// The one instance of a type.
    Singleton {
        /// The type.
        ty: NodeId,
    },
    /// An `Expr`, made anew in each session.
    Expr {
        /// Its head.
        head: String,
        /// Its arguments.
        args: Vec<NodeId>,
    },
    /// A method.
    Method {
        /// The signature under which the method table holds it.
        signature: NodeId,
        /// What tells it from another method with this signature (`rust/julia/src/origin.rs`).
        origin: u64,
    },
    /// An object in the table of a method's roots.
    Root {
        /// The method.
        method: NodeId,
        /// Number of the root, from 0.
        index: u32,
    },
    /// A specialisation of a method.
    MethodInstance {
        /// The method.
        method: NodeId,
        /// The tuple type that it is specialised for.
        spec_types: NodeId,
        /// The values of its static parameters: an svec.
        sparams: NodeId,
    },
    /// The code instance of a method instance that this library, or the session, has.
    CodeInstance {
        /// The method instance.
        method_instance: NodeId,
    },
    /// An object that libjulia exports by name.
    Builtin(Builtin),
    /// Inferred code in the compressed form of `jl_compress_ir`, made anew in each session: it refers to objects by their
    /// number among the roots of its method, and those numbers are the session's own.
    InferredCode {
        /// The method whose roots it refers to.
        method: NodeId,
        /// The compressed code, with the number in `roots` wherever the session's number of that root belongs.
        bytes: Vec<u8>,
        /// The objects that it refers to.
        roots: Vec<NodeId>,
        /// Where in `bytes` those numbers stand, each a half-word.
        places: Vec<u32>,
    },
    /// An object in the data of the sysimage, which the key names.
    Sysimage {
        /// Where it begins there, in bytes.
        offset: u32,
    },
}
