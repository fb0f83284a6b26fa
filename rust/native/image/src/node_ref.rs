//! Descriptions of Julia objects, as the reader sees them: borrowed from the image.

use crate::builtin::Builtin;
use crate::error::ImageError;
use crate::ids::{ListItem, NodeId, PackageId};
use crate::layout::{node_tag, Section};
use crate::list::{List, Word};
use crate::node::Node;
use crate::reader::Heaps;

/// The description of one Julia object, borrowed from the image. The kinds are those of [`Node`].
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs)] // Kinds and fields are described at `Node`.
pub enum NodeRef<'a> {
    Symbol(&'a str),
    RootModule(PackageId),
    Submodule { parent: NodeId, name: &'a str },
    ConstValue { module: NodeId, name: &'a str },
    Field { parent: NodeId, index: u32 },
    TypeName { module: NodeId, name: &'a str },
    Wrapper { typename: NodeId },
    Apply { typename: NodeId, params: List<'a, NodeId> },
    Tuple { params: List<'a, NodeId> },
    TypeVar { name: &'a str, lb: NodeId, ub: NodeId, serial: u32 },
    UnionAll { var: NodeId, body: NodeId },
    Union { members: List<'a, NodeId> },
    SVec { items: List<'a, NodeId> },
    Bits { ty: NodeId, bytes: &'a [u8] },
    String(&'a [u8]),
    Struct { ty: NodeId, fields: List<'a, NodeId> },
    MutableStruct { ty: NodeId, fields: List<'a, Option<NodeId>> },
    Array { ty: NodeId, items: List<'a, Option<NodeId>> },
    ArrayBits { ty: NodeId, len: u32, bytes: &'a [u8] },
    Singleton { ty: NodeId },
    Expr { head: &'a str, args: List<'a, NodeId> },
    Method { signature: NodeId, origin: u64 },
    Root { method: NodeId, index: u32 },
    MethodInstance { method: NodeId, spec_types: NodeId, sparams: NodeId },
    CodeInstance { method_instance: NodeId },
    Builtin(Builtin),
    InferredCode { method: NodeId, bytes: &'a [u8], roots: List<'a, NodeId>, places: List<'a, u32> },
    Sysimage { offset: u32 },
}

impl<'a> NodeRef<'a> {
    /// Calls `visit` with every operand in the order in which they stand, until it returns an error.
    ///
    /// # Errors
    /// The first error that `visit` returns.
    #[inline]
    pub fn try_for_each_operand<E>(&self, mut visit: impl FnMut(NodeId) -> Result<(), E>) -> Result<(), E> {
        match *self {
            Self::Symbol(_)
            | Self::RootModule(_)
            | Self::String(_)
            | Self::Builtin(_)
            | Self::Sysimage { .. } => Ok(()),
            Self::Submodule { parent: operand, .. }
            | Self::ConstValue { module: operand, .. }
            | Self::Field { parent: operand, .. }
            | Self::TypeName { module: operand, .. }
            | Self::Wrapper { typename: operand }
            | Self::Bits { ty: operand, .. }
            | Self::ArrayBits { ty: operand, .. }
            | Self::Singleton { ty: operand }
            | Self::Method { signature: operand, .. }
            | Self::Root { method: operand, .. }
            | Self::CodeInstance { method_instance: operand } => visit(operand),
            Self::TypeVar { lb: first, ub: second, .. } | Self::UnionAll { var: first, body: second } => {
                visit(first)?;
                visit(second)
            }
            Self::MethodInstance { method, spec_types, sparams } => {
                visit(method)?;
                visit(spec_types)?;
                visit(sparams)
            }
            Self::Tuple { params: list }
            | Self::Union { members: list }
            | Self::SVec { items: list }
            | Self::Expr { args: list, .. } => list.iter().try_for_each(visit),
            Self::Apply { typename: first, params: list } | Self::Struct { ty: first, fields: list } => {
                visit(first)?;
                list.iter().try_for_each(visit)
            }
            Self::MutableStruct { ty, fields: list } | Self::Array { ty, items: list } => {
                visit(ty)?;
                list.iter().flatten().try_for_each(visit)
            }
            Self::InferredCode { method, roots, .. } => {
                visit(method)?;
                roots.iter().try_for_each(visit)
            }
        }
    }

    /// The name in the description, if it has one.
    #[must_use]
    #[inline]
    pub fn name(&self) -> Option<&'a str> {
        match *self {
            Self::Symbol(name)
            | Self::Submodule { name, .. }
            | Self::ConstValue { name, .. }
            | Self::TypeName { name, .. }
            | Self::TypeVar { name, .. }
            | Self::Expr { head: name, .. } => Some(name),
            _ => None,
        }
    }

    /// The same description as the writer has it.
    #[must_use]
    pub fn to_node(&self) -> Node {
        match *self {
            Self::Symbol(name) => Node::Symbol(name.to_owned()),
            Self::RootModule(package) => Node::RootModule(package),
            Self::Submodule { parent, name } => Node::Submodule { parent, name: name.to_owned() },
            Self::ConstValue { module, name } => Node::ConstValue { module, name: name.to_owned() },
            Self::Field { parent, index } => Node::Field { parent, index },
            Self::TypeName { module, name } => Node::TypeName { module, name: name.to_owned() },
            Self::Wrapper { typename } => Node::Wrapper { typename },
            Self::Apply { typename, params } => Node::Apply { typename, params: params.to_vec() },
            Self::Tuple { params } => Node::Tuple { params: params.to_vec() },
            Self::TypeVar { name, lb, ub, serial } => Node::TypeVar { name: name.to_owned(), lb, ub, serial },
            Self::UnionAll { var, body } => Node::UnionAll { var, body },
            Self::Union { members } => Node::Union { members: members.to_vec() },
            Self::SVec { items } => Node::SVec { items: items.to_vec() },
            Self::Bits { ty, bytes } => Node::Bits { ty, bytes: bytes.to_vec() },
            Self::String(bytes) => Node::String(bytes.to_vec()),
            Self::Struct { ty, fields } => Node::Struct { ty, fields: fields.to_vec() },
            Self::MutableStruct { ty, fields } => Node::MutableStruct { ty, fields: fields.to_vec() },
            Self::Array { ty, items } => Node::Array { ty, items: items.to_vec() },
            Self::ArrayBits { ty, len, bytes } => Node::ArrayBits { ty, len, bytes: bytes.to_vec() },
            Self::Singleton { ty } => Node::Singleton { ty },
            Self::Expr { head, args } => Node::Expr { head: head.to_owned(), args: args.to_vec() },
            Self::Method { signature, origin } => Node::Method { signature, origin },
            Self::Root { method, index } => Node::Root { method, index },
            Self::MethodInstance { method, spec_types, sparams } => {
                Node::MethodInstance { method, spec_types, sparams }
            }
            Self::CodeInstance { method_instance } => Node::CodeInstance { method_instance },
            Self::Builtin(builtin) => Node::Builtin(builtin),
            Self::Sysimage { offset } => Node::Sysimage { offset },
            Self::InferredCode { method, bytes, roots, places } => Node::InferredCode {
                method,
                bytes: bytes.to_vec(),
                roots: roots.to_vec(),
                places: places.to_vec(),
            },
        }
    }

    /// Decodes node `index`, whose words are the first of `words`; also gives how many words it has.
    pub(crate) fn decode(
        heaps: Heaps<'a>,
        words: &'a [Word],
        index: u32,
    ) -> Result<(NodeRef<'a>, usize), ImageError> {
        let mut cursor = Cursor { heaps, rest: words, index };
        let tag = cursor.word()?;
        let node = match tag {
            node_tag::SYMBOL => Self::Symbol(cursor.string()?),
            node_tag::ROOT_MODULE => Self::RootModule(PackageId(cursor.word()?)),
            node_tag::SUBMODULE => Self::Submodule { parent: cursor.node()?, name: cursor.string()? },
            node_tag::CONST_VALUE => Self::ConstValue { module: cursor.node()?, name: cursor.string()? },
            node_tag::FIELD => Self::Field { parent: cursor.node()?, index: cursor.word()? },
            node_tag::TYPE_NAME => Self::TypeName { module: cursor.node()?, name: cursor.string()? },
            node_tag::WRAPPER => Self::Wrapper { typename: cursor.node()? },
            node_tag::APPLY => Self::Apply { typename: cursor.node()?, params: cursor.list()? },
            node_tag::TUPLE => Self::Tuple { params: cursor.list()? },
            node_tag::TYPE_VAR => Self::TypeVar {
                lb: cursor.node()?,
                ub: cursor.node()?,
                serial: cursor.word()?,
                name: cursor.string()?,
            },
            node_tag::UNION_ALL => Self::UnionAll { var: cursor.node()?, body: cursor.node()? },
            node_tag::UNION => Self::Union { members: cursor.list()? },
            node_tag::SVEC => Self::SVec { items: cursor.list()? },
            node_tag::BITS => Self::Bits { ty: cursor.node()?, bytes: cursor.bytes()? },
            node_tag::STRING => Self::String(cursor.bytes()?),
            node_tag::STRUCT => Self::Struct { ty: cursor.node()?, fields: cursor.list()? },
            node_tag::MUTABLE_STRUCT => Self::MutableStruct { ty: cursor.node()?, fields: cursor.list()? },
            node_tag::ARRAY => Self::Array { ty: cursor.node()?, items: cursor.list()? },
            node_tag::ARRAY_BITS => {
                Self::ArrayBits { ty: cursor.node()?, len: cursor.word()?, bytes: cursor.bytes()? }
            }
            node_tag::SINGLETON => Self::Singleton { ty: cursor.node()? },
            node_tag::EXPR => Self::Expr { args: cursor.list()?, head: cursor.string()? },
            node_tag::METHOD => Self::Method { signature: cursor.node()?, origin: cursor.long()? },
            node_tag::ROOT => Self::Root { method: cursor.node()?, index: cursor.word()? },
            node_tag::METHOD_INSTANCE => Self::MethodInstance {
                method: cursor.node()?,
                spec_types: cursor.node()?,
                sparams: cursor.node()?,
            },
            node_tag::CODE_INSTANCE => Self::CodeInstance { method_instance: cursor.node()? },
            node_tag::BUILTIN => {
                let number = cursor.word()?;
                Self::Builtin(Builtin::from_number(number).ok_or(unknown("builtin", index, number))?)
            }
            node_tag::INFERRED_CODE => Self::InferredCode {
                method: cursor.node()?,
                bytes: cursor.bytes()?,
                roots: cursor.list()?,
                places: cursor.list()?,
            },
            node_tag::SYSIMAGE => Self::Sysimage { offset: cursor.word()? },
            _ => return Err(unknown("tag", index, tag)),
        };
        Ok((node, words.len() - cursor.rest.len()))
    }
}

fn unknown(what: &'static str, index: u32, found: u32) -> ImageError {
    ImageError::UnknownTag { what, section: Section::Nodes.name(), index, found }
}

/// Reads the words of one node, one after the other.
struct Cursor<'a> {
    heaps: Heaps<'a>,
    rest: &'a [Word],
    index: u32,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn word(&mut self) -> Result<u32, ImageError> {
        let (word, rest) = self.rest.split_first().ok_or_else(|| self.ends_early(1))?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*word))
    }

    fn long(&mut self) -> Result<u64, ImageError> {
        let low = self.word()?;
        Ok(u64::from(self.word()?) << 32 | u64::from(low))
    }

    #[inline]
    fn node(&mut self) -> Result<NodeId, ImageError> {
        self.word().map(NodeId)
    }

    #[inline]
    fn list<T: ListItem>(&mut self) -> Result<List<'a, T>, ImageError> {
        let count = self.word()?;
        let (list, rest) =
            self.rest.split_at_checked(count as usize).ok_or_else(|| self.ends_early(count))?;
        self.rest = rest;
        Ok(List::new(list))
    }

    #[inline]
    fn string(&mut self) -> Result<&'a str, ImageError> {
        let (offset, len) = (self.word()?, self.word()?);
        self.heaps.string("name", Section::Nodes, self.index, offset, len)
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], ImageError> {
        let (offset, len) = (self.word()?, self.word()?);
        self.heaps.bytes("bytes", Section::Nodes, self.index, offset, len)
    }

    #[cold]
    fn ends_early(&self, wanted: u32) -> ImageError {
        ImageError::OutOfRange {
            what: "words needed",
            section: Section::Nodes.name(),
            index: self.index,
            found: u64::from(wanted),
            limit: self.rest.len() as u64 + 1,
        }
    }
}
