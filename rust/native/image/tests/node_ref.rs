//! Nodes: every kind survives writing and reading, alone and in random images.

mod common;

use common::{every_node, full_image, operands, walk};
use nativecache_image::{Builtin, Image, ImageBuilder, Node, NodeId, NodeRef, PackageId};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

#[test]
fn every_kind_is_in_the_sample() {
    let kinds: HashSet<_> = every_node().iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 28, "a new kind of node belongs into every_node and into this number");
}

#[test]
fn every_kind_comes_back() {
    let bytes = full_image();
    let image = Image::parse(&bytes).unwrap();
    for (index, node) in (0..).zip(every_node()) {
        let read = image.node(NodeId(index)).unwrap();
        assert_eq!(read.to_node(), node);
        let mut visited = vec![];
        let all: Result<(), ()> = read.try_for_each_operand(|operand| {
            visited.push(operand);
            Ok(())
        });
        assert_eq!(all, Ok(()));
        assert_eq!(visited, operands(&node), "{node:?}");
    }
}

#[test]
fn a_visit_ends_at_the_first_error() {
    let bytes = full_image();
    let image = Image::parse(&bytes).unwrap();
    let node = image.node(NodeId(12)).unwrap();
    assert_eq!(operands(&node.to_node()), [6, 10, 11, 10].map(NodeId));
    let mut visited = 0;
    let result = node.try_for_each_operand(|operand| {
        visited += 1;
        if operand == NodeId(10) {
            Err(operand)
        } else {
            Ok(())
        }
    });
    assert_eq!((result, visited), (Err(NodeId(10)), 2));
}

#[test]
fn names_are_those_of_the_kinds_that_have_one() {
    let bytes = full_image();
    let image = Image::parse(&bytes).unwrap();
    let names: Vec<&str> =
        (0..image.node_count()).filter_map(|index| image.node(NodeId(index)).unwrap().name()).collect();
    assert_eq!(names, ["Inner", "größe", "", "#3#4", "Point", "T", "T", "call"]);
}

/// What a random node is made of; numbers become operands by remainder, once it is known how many nodes there are.
#[derive(Clone, Debug)]
struct Recipe {
    kind: u8,
    a: u32,
    b: u32,
    c: u32,
    list: Vec<Option<u32>>,
    name: String,
    bytes: Vec<u8>,
}

impl Recipe {
    fn node(self, earlier: u32) -> Node {
        let id = |number: u32| NodeId(number % earlier.max(1));
        if earlier == 0 {
            return Node::Symbol(self.name);
        }
        let (a, b, c) = (id(self.a), id(self.b), id(self.c));
        let some = || self.list.iter().flatten().map(|number| id(*number)).collect();
        let maybe = || self.list.iter().map(|number| number.map(id)).collect();
        let (name, bytes) = (self.name.clone(), self.bytes.clone());
        match self.kind % 28 {
            0 => Node::Symbol(name),
            1 => Node::RootModule(PackageId(self.a % 2)),
            2 => Node::Submodule { parent: a, name },
            3 => Node::ConstValue { module: a, name },
            4 => Node::Field { parent: a, index: self.b },
            5 => Node::TypeName { module: a, name },
            6 => Node::Wrapper { typename: a },
            7 => Node::Apply { typename: a, params: some() },
            8 => Node::Tuple { params: some() },
            9 => Node::TypeVar { name, lb: a, ub: b, serial: self.c },
            10 => Node::UnionAll { var: a, body: b },
            11 => Node::Union { members: some() },
            12 => Node::SVec { items: some() },
            13 => Node::Bits { ty: a, bytes },
            14 => Node::String(bytes),
            15 => Node::Struct { ty: a, fields: some() },
            16 => Node::MutableStruct { ty: a, fields: maybe() },
            17 => Node::Array { ty: a, items: maybe() },
            18 => Node::ArrayBits { ty: a, len: self.b, bytes },
            19 => Node::Singleton { ty: a },
            20 => Node::Expr { head: name, args: some() },
            21 => Node::Method { signature: a, origin: u64::from(self.b) << 32 | 7 },
            22 => Node::Root { method: a, index: self.b },
            23 => Node::MethodInstance { method: a, spec_types: b, sparams: c },
            24 => Node::CodeInstance { method_instance: a },
            25 => {
                let roots: Vec<NodeId> = some();
                let places = if roots.is_empty() {
                    vec![]
                } else {
                    (0..bytes.len() as u32 / 2).map(|i| i * 2).collect()
                };
                let mut bytes = bytes;
                bytes
                    .as_chunks_mut::<2>()
                    .0
                    .iter_mut()
                    .for_each(|two| *two = [two[0] % roots.len().max(1) as u8, 0]);
                Node::InferredCode { method: a, bytes, roots, places }
            }
            26 => Node::Sysimage { offset: self.a },
            _ => Node::Builtin(Builtin::ALL[self.a as usize % Builtin::ALL.len()]),
        }
    }
}

prop_compose! {
    fn recipe()(
        kind: u8,
        a: u32,
        b: u32,
        c: u32,
        list in prop::collection::vec(any::<Option<u32>>(), 0..6),
        name in "[^\0]{0,6}",
        bytes in prop::collection::vec(any::<u8>(), 0..12),
    ) -> Recipe {
        Recipe { kind, a, b, c, list, name, bytes }
    }
}

fn builder() -> ImageBuilder {
    let mut builder = ImageBuilder::new();
    for package in common::packages() {
        builder.package(package).unwrap();
    }
    builder
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_images_come_back(recipes in prop::collection::vec(recipe(), 1..60)) {
        let (mut first, mut second) = (builder(), builder());
        let mut known: HashMap<Node, NodeId> = HashMap::new();
        let mut written = vec![];
        for recipe in recipes {
            let node = recipe.node(written.len() as u32);
            let id = first.node(node.clone()).unwrap();
            prop_assert_eq!(second.node(node.clone()).unwrap(), id);
            if let Some(before) = known.insert(node.clone(), id) {
                prop_assert_eq!(before, id);
            } else {
                prop_assert_eq!(id.index(), written.len());
                written.push(node);
            }
        }
        let bytes = first.finish().unwrap();
        prop_assert_eq!(&bytes, &second.finish().unwrap());
        let image = Image::parse(&bytes).unwrap();
        prop_assert_eq!(image.node_count() as usize, written.len());
        for (index, node) in (0..).zip(&written) {
            prop_assert_eq!(&image.node(NodeId(index)).unwrap().to_node(), node);
        }
        prop_assert!(walk(&image) >= written.len());
    }

    #[test]
    fn random_images_with_a_changed_word_never_panic(
        recipes in prop::collection::vec(recipe(), 1..40),
        at: prop::sample::Index,
        value in prop_oneof![any::<u32>(), 0_u32..64],
    ) {
        let mut builder = builder();
        let mut count = 0;
        for recipe in recipes {
            count = count.max(builder.node(recipe.node(count)).unwrap().0 + 1);
        }
        let mut bytes = builder.finish().unwrap();
        let at = at.index(bytes.len() / 4) * 4;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        if let Ok(image) = Image::parse(&bytes) {
            walk(&image);
        }
    }
}

#[test]
fn lists_read_like_slices() {
    let bytes = full_image();
    let image = Image::parse(&bytes).unwrap();
    let NodeRef::MutableStruct { fields, .. } = image.node(NodeId(22)).unwrap() else {
        panic!("not the struct")
    };
    assert_eq!(fields.to_vec(), [None, Some(NodeId(21)), None]);
    assert_eq!((fields.len(), fields.is_empty()), (3, false));
    assert_eq!((fields.get(1), fields.get(2), fields.get(3)), (Some(Some(NodeId(21))), Some(None), None));
    assert_eq!(fields.iter().len(), 3);
    let mut looped = vec![];
    for field in fields {
        looped.push(field);
    }
    assert_eq!(looped, fields.to_vec());
    assert_eq!(format!("{fields:?}"), "[None, Some(NodeId(21)), None]");
    let NodeRef::Apply { params, .. } = image.node(NodeId(13)).unwrap() else { panic!("not the type") };
    assert!(params.is_empty() && params.get(0).is_none());
}

#[test]
fn places_of_inferred_code_lie_in_its_bytes_and_hold_numbers_of_roots() {
    let build = |bytes: Vec<u8>, places: Vec<u32>| {
        let mut builder = ImageBuilder::new();
        let any = builder.node(Node::Builtin(Builtin::Any)).unwrap();
        builder.node(Node::InferredCode { method: any, bytes, roots: vec![any, any], places })
    };
    assert!(build(vec![0, 0, 1, 0], vec![0, 2]).is_ok());
    assert!(build(vec![0, 0, 1, 0], vec![3]).is_err(), "half a number");
    assert!(build(vec![0, 0, 1, 0], vec![4]).is_err(), "behind the end");
    assert!(build(vec![0, 0, 2, 0], vec![2]).is_err(), "no such root");
    assert!(build(vec![0, 0, 0, 0], vec![0, 1]).is_err(), "one upon the other");
    assert!(build(vec![0, 0, 0, 0], vec![2, 0]).is_err(), "not in order");
}
