//! Digests of records that do not depend on how an image numbers them: two images say the same of a thing if the
//! digests are equal.

use crate::error::ImageError;
use crate::file::content_hash;
use crate::ids::{EdgeId, NodeId, SlotId};
use crate::model::EdgeTarget;
use crate::node_ref::NodeRef;
use crate::reader::{Image, SlotRef};

/// The digest of a record with all that it refers to.
pub type Digest = [u8; 16];

/// The digests of all nodes of an image, and of records over them.
#[derive(Clone, Debug)]
pub struct Digests<'a> {
    image: Image<'a>,
    /// Whether the build of a package counts.
    builds: bool,
    nodes: Vec<Digest>,
}

/// What goes into one digest.
#[derive(Default)]
struct Parts(Vec<u8>);

impl Parts {
    fn word(&mut self, word: u64) -> &mut Self {
        self.0.extend(word.to_le_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.word(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn digest(&self) -> Digest {
        content_hash(&self.0).0
    }
}

impl<'a> Digests<'a> {
    /// Computes the digest of every node.
    ///
    /// # Errors
    /// None for an image that was parsed.
    pub fn of(image: Image<'a>) -> Result<Self, ImageError> {
        Self::new(image, true)
    }

    /// The same, but not of which build a package is, nor where exactly a method stands: most of what a package
    /// consists of is the same in its next build.
    ///
    /// # Errors
    /// None for an image that was parsed.
    pub fn of_any_build(image: Image<'a>) -> Result<Self, ImageError> {
        Self::new(image, false)
    }

    fn new(image: Image<'a>, builds: bool) -> Result<Self, ImageError> {
        let mut digests = Self { image, builds, nodes: Vec::with_capacity(image.node_count() as usize) };
        for index in 0..image.node_count() {
            let digest = digests.new_node(NodeId(index))?;
            digests.nodes.push(digest);
        }
        Ok(digests)
    }

    /// The digest of a node. One that is not there has a digest that no node has.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Digest {
        self.nodes.get(id.index()).copied().unwrap_or_default()
    }

    fn new_node(&self, id: NodeId) -> Result<Digest, ImageError> {
        let node = self.image.node(id)?;
        let mut parts = Parts::default();
        parts.word(u64::from(self.image.node_tag(id)));
        match node {
            NodeRef::RootModule(package) => {
                let package = self.image.package(package)?;
                parts.bytes(package.name.as_bytes()).bytes(&package.uuid);
                if self.builds {
                    parts.word(package.build_id);
                }
            }
            NodeRef::Field { index, .. } | NodeRef::Root { index, .. } => {
                parts.word(u64::from(index));
            }
            NodeRef::Bits { bytes, .. } | NodeRef::String(bytes) => {
                parts.bytes(bytes);
            }
            NodeRef::ArrayBits { len, bytes, .. } => {
                parts.word(u64::from(len)).bytes(bytes);
            }
            NodeRef::Method { origin, .. } if self.builds => {
                parts.word(origin);
            }
            NodeRef::Builtin(builtin) => {
                parts.word(u64::from(builtin.number()));
            }
            NodeRef::InferredCode { bytes, places, .. } => {
                parts.bytes(bytes);
                for place in places {
                    parts.word(u64::from(place));
                }
            }
            NodeRef::MutableStruct { fields: items, .. } | NodeRef::Array { items, .. } => {
                for item in items {
                    parts.word(u64::from(item.is_some()));
                }
            }
            // An offset in the sysimage's data, the same in every process with that sysimage.
            NodeRef::Sysimage { offset } => {
                parts.word(u64::from(offset));
            }
            // Names and operands say all of these; the serial of a type variable is a number of this image.
            NodeRef::Symbol(_)
            | NodeRef::Submodule { .. }
            | NodeRef::ConstValue { .. }
            | NodeRef::TypeName { .. }
            | NodeRef::Wrapper { .. }
            | NodeRef::Apply { .. }
            | NodeRef::Tuple { .. }
            | NodeRef::TypeVar { .. }
            | NodeRef::UnionAll { .. }
            | NodeRef::Union { .. }
            | NodeRef::SVec { .. }
            | NodeRef::Struct { .. }
            | NodeRef::Singleton { .. }
            | NodeRef::Expr { .. }
            | NodeRef::Method { .. }
            | NodeRef::MethodInstance { .. }
            | NodeRef::CodeInstance { .. } => {}
        }
        parts.bytes(node.name().unwrap_or_default().as_bytes());
        node.try_for_each_operand(|operand| {
            parts.bytes(&self.node(operand));
            Ok::<(), ImageError>(())
        })?;
        Ok(parts.digest())
    }

    /// The digest of a slot.
    ///
    /// # Errors
    /// If there is no such slot.
    pub fn slot(&self, id: SlotId) -> Result<Digest, ImageError> {
        let mut parts = Parts::default();
        match self.image.slot(id)? {
            SlotRef::Object(node) => parts.word(1).bytes(&self.node(node)),
            SlotRef::Binding { module, name, offset } => {
                parts.word(2).bytes(&self.node(module)).bytes(name.as_bytes()).word(u64::from(offset))
            }
            SlotRef::CSymbol { library, name } => {
                let known = u64::from(library.is_some());
                parts.word(3).word(known).bytes(library.unwrap_or_default().as_bytes()).bytes(name.as_bytes())
            }
            SlotRef::CString(bytes) => parts.word(4).bytes(bytes),
            SlotRef::Invoke(node) => parts.word(5).bytes(&self.node(node)),
            SlotRef::Specptr(node) => parts.word(6).bytes(&self.node(node)),
        };
        Ok(parts.digest())
    }

    /// The digest of an edge: what is asked, and the methods that are expected.
    ///
    /// # Errors
    /// If there is no such edge.
    pub fn edge(&self, id: EdgeId) -> Result<Digest, ImageError> {
        let edge = self.image.edge(id)?;
        let (kind, target) = match edge.target {
            EdgeTarget::MethodInstance(node) => (1, node),
            EdgeTarget::Signature(node) => (2, node),
            EdgeTarget::Generated(node) => (3, node),
            EdgeTarget::Constant(node) => (4, node),
        };
        let mut parts = Parts::default();
        parts.bytes(&self.node(self.image.table(edge.table)?.typename)).word(kind).bytes(&self.node(target));
        for method in edge.methods {
            parts.bytes(&self.node(method));
        }
        Ok(parts.digest())
    }
}
