//! Writing nodes: their words, one node after the other.

use crate::check::{below, root_numbers};
use crate::error::ImageError;
use crate::heap::{count, HeapWriter};
use crate::ids::{NodeId, NONE};
use crate::layout::{node_tag, Section};
use crate::node::Node;
use std::collections::HashMap;

/// The nodes written so far.
#[derive(Debug, Default)]
pub(crate) struct NodeTable {
    numbers: HashMap<Node, NodeId>,
    /// Where each node begins in `words`.
    pub(crate) offsets: Vec<u32>,
    pub(crate) words: Vec<u32>,
}

impl NodeTable {
    pub(crate) fn len(&self) -> u32 {
        // `append` refuses to hand out more numbers than fit.
        self.offsets.len() as u32
    }

    /// The number of a node, which is added if it is new; `packages` is how many packages it may refer to.
    pub(crate) fn intern(
        &mut self,
        node: Node,
        packages: u32,
        heaps: &mut HeapWriter,
    ) -> Result<NodeId, ImageError> {
        if let Some(number) = self.numbers.get(&node) {
            return Ok(*number);
        }
        let number = self.append(&node, packages, heaps)?;
        self.numbers.insert(node, number);
        Ok(number)
    }

    /// Adds a node even if there is an equal one.
    pub(crate) fn append(
        &mut self,
        node: &Node,
        packages: u32,
        heaps: &mut HeapWriter,
    ) -> Result<NodeId, ImageError> {
        let number = count("image", Section::Nodes.name(), self.offsets.len())?;
        let start = self.words.len();
        let offset = count("image", Section::Nodes.name(), start)?;
        if let Err(error) = self.encode(node, number, packages, heaps) {
            self.words.truncate(start);
            return Err(error);
        }
        self.offsets.push(offset);
        Ok(NodeId(number))
    }

    fn encode(
        &mut self,
        node: &Node,
        index: u32,
        packages: u32,
        heaps: &mut HeapWriter,
    ) -> Result<(), ImageError> {
        let mut out = NodeWriter { words: &mut self.words, heaps, index };
        match node {
            Node::Symbol(name) => out.tag(node_tag::SYMBOL).name(name)?,
            Node::RootModule(package) => {
                below("package", Section::Nodes, index, package.0, packages)?;
                out.tag(node_tag::ROOT_MODULE).word(package.0)
            }
            Node::Submodule { parent, name } => out.tag(node_tag::SUBMODULE).node(*parent)?.name(name)?,
            Node::ConstValue { module, name } => out.tag(node_tag::CONST_VALUE).node(*module)?.name(name)?,
            Node::Field { parent, index } => out.tag(node_tag::FIELD).node(*parent)?.word(*index),
            Node::TypeName { module, name } => out.tag(node_tag::TYPE_NAME).node(*module)?.name(name)?,
            Node::Wrapper { typename } => out.tag(node_tag::WRAPPER).node(*typename)?,
            Node::Apply { typename, params } => out.tag(node_tag::APPLY).node(*typename)?.list(params)?,
            Node::Tuple { params } => out.tag(node_tag::TUPLE).list(params)?,
            Node::TypeVar { name, lb, ub, serial } => {
                out.tag(node_tag::TYPE_VAR).node(*lb)?.node(*ub)?.word(*serial).name(name)?
            }
            Node::UnionAll { var, body } => out.tag(node_tag::UNION_ALL).node(*var)?.node(*body)?,
            Node::Union { members } => out.tag(node_tag::UNION).list(members)?,
            Node::SVec { items } => out.tag(node_tag::SVEC).list(items)?,
            Node::Bits { ty, bytes } => out.tag(node_tag::BITS).node(*ty)?.bytes(bytes)?,
            Node::String(bytes) => out.tag(node_tag::STRING).bytes(bytes)?,
            Node::Struct { ty, fields } => out.tag(node_tag::STRUCT).node(*ty)?.list(fields)?,
            Node::MutableStruct { ty, fields } => {
                out.tag(node_tag::MUTABLE_STRUCT).node(*ty)?.optional_list(fields)?
            }
            Node::Array { ty, items } => out.tag(node_tag::ARRAY).node(*ty)?.optional_list(items)?,
            Node::ArrayBits { ty, len, bytes } => {
                out.tag(node_tag::ARRAY_BITS).node(*ty)?.word(*len).bytes(bytes)?
            }
            Node::Singleton { ty } => out.tag(node_tag::SINGLETON).node(*ty)?,
            Node::Expr { head, args } => out.tag(node_tag::EXPR).list(args)?.name(head)?,
            Node::Method { signature, origin } => {
                let (low, high) = (*origin as u32, (*origin >> 32) as u32);
                out.tag(node_tag::METHOD).node(*signature)?.word(low).word(high)
            }
            Node::Root { method, index } => out.tag(node_tag::ROOT).node(*method)?.word(*index),
            Node::MethodInstance { method, spec_types, sparams } => {
                out.tag(node_tag::METHOD_INSTANCE).node(*method)?.node(*spec_types)?.node(*sparams)?
            }
            Node::CodeInstance { method_instance } => {
                out.tag(node_tag::CODE_INSTANCE).node(*method_instance)?
            }
            Node::Builtin(builtin) => out.tag(node_tag::BUILTIN).word(builtin.number()),
            Node::Sysimage { offset } => out.tag(node_tag::SYSIMAGE).word(*offset),
            Node::InferredCode { method, bytes, roots, places } => {
                root_numbers(index, bytes, roots.len(), places.iter().copied())?;
                out.tag(node_tag::INFERRED_CODE).node(*method)?.bytes(bytes)?.list(roots)?.words(places)?
            }
        };
        count("image", Section::Nodes.name(), self.words.len()).map(drop)
    }
}

/// Writes the words of one node, one after the other.
struct NodeWriter<'a> {
    words: &'a mut Vec<u32>,
    heaps: &'a mut HeapWriter,
    index: u32,
}

impl NodeWriter<'_> {
    fn tag(&mut self, tag: u32) -> &mut Self {
        self.word(tag)
    }

    fn word(&mut self, word: u32) -> &mut Self {
        self.words.push(word);
        self
    }

    fn node(&mut self, node: NodeId) -> Result<&mut Self, ImageError> {
        below("operand", Section::Nodes, self.index, node.0, self.index)?;
        Ok(self.word(node.0))
    }

    fn list(&mut self, nodes: &[NodeId]) -> Result<&mut Self, ImageError> {
        self.word(count("node", "operands", nodes.len())?);
        for node in nodes {
            self.node(*node)?;
        }
        Ok(self)
    }

    fn words(&mut self, words: &[u32]) -> Result<&mut Self, ImageError> {
        self.word(count("node", "places", words.len())?);
        self.words.extend_from_slice(words);
        Ok(self)
    }

    fn optional_list(&mut self, nodes: &[Option<NodeId>]) -> Result<&mut Self, ImageError> {
        self.word(count("node", "operands", nodes.len())?);
        for node in nodes {
            match node {
                Some(node) => self.node(*node)?,
                None => self.word(NONE),
            };
        }
        Ok(self)
    }

    fn name(&mut self, name: &str) -> Result<&mut Self, ImageError> {
        let (offset, len) = self.heaps.name(name, Section::Nodes, self.index)?;
        Ok(self.word(offset).word(len))
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<&mut Self, ImageError> {
        let (offset, len) = self.heaps.bytes(bytes)?;
        Ok(self.word(offset).word(len))
    }
}
