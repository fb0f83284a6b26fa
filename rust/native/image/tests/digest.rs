//! Digests: the same for the same description in images that number it differently, another one for any difference.

mod common;

use common::{every_node, every_slot, full_builder, full_image};
use nativecache_image::{Builtin, Digests, EdgeId, Image, ImageBuilder, Node, NodeId, SlotId};
use std::collections::HashSet;

#[test]
fn different_things_have_different_digests() {
    let bytes = full_image();
    let image = Image::parse(&bytes).unwrap();
    let digests = Digests::of(image).unwrap();
    let nodes: HashSet<_> = (0..image.node_count()).map(|index| digests.node(NodeId(index))).collect();
    // Two type variables that differ in their serial alone are the same thing under two numbers.
    assert_eq!(nodes.len(), every_node().len() - 1);
    let slots: HashSet<_> =
        (0..image.slot_count()).map(|index| digests.slot(SlotId(index)).unwrap()).collect();
    assert_eq!(slots.len(), every_slot().len());
    let edges: HashSet<_> =
        (0..image.edge_count()).map(|index| digests.edge(EdgeId(index)).unwrap()).collect();
    assert_eq!(edges.len(), image.edge_count() as usize);
    assert!(digests.slot(SlotId(1000)).is_err());
    assert_eq!(digests.node(NodeId(1000)), [0; 16]);
}

#[test]
fn numbering_does_not_count() {
    let build = |others: u32| {
        let mut builder = ImageBuilder::new();
        for number in 0..others {
            builder.node(Node::Symbol(format!("other {number}"))).unwrap();
        }
        let any = builder.node(Node::Builtin(Builtin::Any)).unwrap();
        let tuple = builder.node(Node::Tuple { params: vec![any, any] }).unwrap();
        let last = builder.node(Node::Method { signature: tuple, origin: 7 }).unwrap();
        (builder.finish().unwrap(), last)
    };
    let (first, second) = (build(0), build(5));
    let digest =
        |(bytes, node): &(Vec<u8>, NodeId)| Digests::of(Image::parse(bytes).unwrap()).unwrap().node(*node);
    assert_eq!(digest(&first), digest(&second));
    let mut builder = full_builder();
    let moved = builder.node(Node::Symbol("moved".into())).unwrap();
    assert_ne!(digest(&(builder.finish().unwrap(), moved)), digest(&first));
}

#[test]
fn numbers_that_stand_in_a_node_count() {
    let digest = |node: Node| {
        let mut builder = ImageBuilder::new();
        let any = builder.node(Node::Builtin(Builtin::Any)).unwrap();
        assert_eq!(any, NodeId(0));
        let node = builder.node(node).unwrap();
        Digests::of(Image::parse(&builder.finish().unwrap()).unwrap()).unwrap().node(node)
    };
    let ty = NodeId(0);
    let pairs = [
        (Node::Sysimage { offset: 16 }, Node::Sysimage { offset: 32 }),
        (Node::Field { parent: ty, index: 1 }, Node::Field { parent: ty, index: 2 }),
        (Node::Root { method: ty, index: 1 }, Node::Root { method: ty, index: 2 }),
        (Node::Method { signature: ty, origin: 1 }, Node::Method { signature: ty, origin: 2 }),
        (
            Node::ArrayBits { ty, len: 1, bytes: vec![1, 2] },
            Node::ArrayBits { ty, len: 2, bytes: vec![1, 2] },
        ),
    ];
    for (one, other) in pairs {
        assert_ne!(digest(one.clone()), digest(other), "{one:?}");
    }
}
