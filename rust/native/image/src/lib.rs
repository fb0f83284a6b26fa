//! What a NativeCache library carries beside its machine code.
//!
//! A library file is an ELF shared object followed by an *image* (tables that say what the code needs and what it is
//! good for) and a *trailer* (where the image lies, and hashes of it all). This crate has the writer, the reader and
//! the checks. It knows neither Julia nor LLVM, and maps no files: it reads byte slices in place.
//!
//! * [`ImageBuilder`] makes an image; equal input gives equal bytes.
//! * [`Image::parse`] checks every offset, count, tag and operand in one pass; afterwards every record can be read in
//!   constant time. Operands always refer to earlier nodes, so nodes can be resolved in order.
//! * [`append`] puts ELF file and image together; [`verify`] finds the parts again and checks that they are whole;
//!   [`read_verified`] does so with a file that is read piece by piece.
//! * [`Reason`] is the one list of reasons for which something is not used.
//!
//! No function of this crate panics, whatever the bytes.
//!
//! ```
//! use nativecache_image::{
//!     Bucket, BucketRef, Builtin, CodeIndex, Edge, EdgeTarget, Entry, EntryId, Function, Image, ImageBuilder,
//!     Invoke, Node, NodeRef, Package, Slot, Table,
//! };
//! # fn main() -> Result<(), nativecache_image::ImageError> {
//! let mut builder = ImageBuilder::new();
//! builder.key("julia version", "1.5.3")?;
//! let base = builder.package(Package { name: "Base".into(), uuid: [0; 16], build_id: 7, in_sysimage: true })?;
//! let base = builder.node(Node::RootModule(base))?;
//! let sin = builder.node(Node::ConstValue { module: base, name: "sin".into() })?;
//! let sin_type = builder.node(Node::TypeName { module: base, name: "#sin".into() })?;
//! let table = builder.table(Table { typename: sin_type, live: 12, digest: 0x5eed })?;
//! let sin_type = builder.node(Node::Wrapper { typename: sin_type })?;
//! let float = builder.node(Node::Builtin(Builtin::Float64Type))?;
//! let types = builder.node(Node::Tuple { params: vec![sin_type, float] })?;
//! let method = builder.node(Node::Method { signature: types, origin: 1 })?;
//! let sparams = builder.node(Node::Builtin(Builtin::EmptySvec))?;
//! let method_instance = builder.node(Node::MethodInstance { method, spec_types: types, sparams })?;
//! let slot = builder.slot(Slot::Object(sin))?;
//! let target = EdgeTarget::MethodInstance(method_instance);
//! let edge = builder.edge(Edge { table, target, methods: vec![method] })?;
//! let function = builder.function(Function {
//!     method_instance,
//!     rettype: float,
//!     rettype_const: None,
//!     inferred: None,
//!     invoke: Invoke::Wrapper(CodeIndex(0)),
//!     spec: Some(CodeIndex(1)),
//!     inlineable: false,
//!     generated: false,
//!     slots: vec![slot],
//!     depends: vec![],
//!     edges: vec![edge],
//! })?;
//! builder.set_code_count(2);
//! let statement = "precompile(Tuple{typeof(sin), Float64})".into();
//! builder.entry(Entry { statement, package: None, bucket: Bucket::Compiled(function) })?;
//! let bytes = builder.finish()?;
//!
//! let image = Image::parse(&bytes)?;
//! let BucketRef::Compiled(function) = image.entry(EntryId(0))?.bucket else { panic!("not compiled") };
//! let function = image.function(function)?;
//! assert!(matches!(image.node(function.method_instance)?, NodeRef::MethodInstance { .. }));
//! let edges = function.edges.iter().map(|edge| image.edge(edge)).collect::<Result<Vec<_>, _>>()?;
//! assert!(edges.iter().all(|edge| edge.methods.get(0) == Some(method)));
//! assert_eq!(image.table(table)?.live, 12);
//! assert_eq!(image.node(sin)?.to_node(), Node::ConstValue { module: base, name: "sin".into() });
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod builder;
mod builtin;
mod check;
mod digest;
mod error;
mod file;
mod heap;
mod ids;
mod layout;
mod list;
mod model;
mod node;
mod node_ref;
mod node_writer;
mod output;
mod reader;

pub use builder::ImageBuilder;
pub use builtin::Builtin;
pub use digest::{Digest, Digests};
pub use error::{Hash, ImageError};
pub use file::{
    append, content_hash, read_verified, verify, Layout, Trailer, IMAGE_ALIGN, TRAILER_MAGIC, TRAILER_SIZE,
};
pub use ids::{CodeIndex, EdgeId, EntryId, FunctionId, ListItem, NodeId, PackageId, SlotId, TableId};
pub use layout::{FORMAT_VERSION, IMAGE_MAGIC};
pub use list::{List, ListIter};
pub use model::{Bucket, Edge, EdgeTarget, Entry, Function, Invoke, Package, Slot, Table};
pub use nativecache_store::{Reason, Stage};
pub use node::Node;
pub use node_ref::NodeRef;
pub use reader::{BucketRef, EdgeRef, EntryRef, FunctionRef, Image, ModuleSetRef, PackageRef, SlotRef};
