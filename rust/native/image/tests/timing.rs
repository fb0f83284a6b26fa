//! How long reading takes: `cargo test --release --test timing -- --ignored --nocapture`.

mod common;

use common::Numbers;
use nativecache_image::{
    content_hash, Bucket, Builtin, CodeIndex, Edge, EdgeId, EdgeTarget, Entry, Function, FunctionId, Image,
    ImageBuilder, Invoke, Node, NodeId, Slot, SlotId, Table, TableId,
};
use std::hint::black_box;
use std::time::Instant;

const FUNCTIONS: u32 = 20_000;
const NODES: u32 = 60_000;
const SLOTS: u32 = 60_000;
const TABLES: u32 = 3_000;
const EDGES: u32 = 40_000;

/// A library as large as any that is planned for: 20,000 functions, 60,000 nodes, 60,000 slots,
/// 40,000 edges of which each function has 30.
fn large_image() -> Vec<u8> {
    let mut numbers = Numbers(3);
    let mut builder = ImageBuilder::new();
    let any = builder.node(Node::Builtin(Builtin::Any)).unwrap();
    while builder.node_count() < NODES {
        let earlier = builder.node_count() as usize;
        let mut id = || NodeId(numbers.below(earlier) as u32);
        let serial = earlier as u32;
        let node = match earlier % 6 {
            0 => Node::Symbol(format!("#name of a generated function#{earlier}")),
            1 => Node::Tuple { params: vec![id(), id(), id(), id()] },
            2 => Node::TypeName { module: id(), name: format!("Type{earlier}") },
            3 => Node::MethodInstance { method: id(), spec_types: id(), sparams: id() },
            4 => Node::Bits { ty: any, bytes: (earlier as u64).to_le_bytes().to_vec() },
            _ => Node::TypeVar { name: "T".into(), lb: any, ub: id(), serial },
        };
        builder.node(node).unwrap();
    }
    for number in 0..SLOTS {
        let slot = match number % 4 {
            0 => Slot::CString(format!("text {number}").into_bytes()),
            1 => Slot::Binding { module: NodeId(number), name: format!("binding{number}"), offset: 8 },
            _ => Slot::Object(NodeId(number)),
        };
        builder.slot(slot).unwrap();
    }
    for number in 0..TABLES {
        let typename = NodeId(number);
        builder.table(Table { typename, live: number, digest: u64::from(number) }).unwrap();
    }
    while builder.edge_count() < EDGES {
        let mut id = || NodeId(numbers.below(NODES as usize) as u32);
        let (target, methods) = (EdgeTarget::MethodInstance(id()), vec![id(), id()]);
        let table = TableId(numbers.below(TABLES as usize) as u32);
        builder.edge(Edge { table, target, methods }).unwrap();
    }
    for number in 0..FUNCTIONS {
        let slots = (0..8).map(|_| SlotId(numbers.below(SLOTS as usize) as u32)).collect();
        let depends = (0..3).map(|_| FunctionId(numbers.below(FUNCTIONS as usize) as u32)).collect();
        let edges = (0..30).map(|_| EdgeId(numbers.below(EDGES as usize) as u32)).collect();
        let function = builder.function(Function {
            method_instance: NodeId(numbers.below(NODES as usize) as u32),
            rettype: any,
            rettype_const: None,
            inferred: None,
            invoke: Invoke::Wrapper(CodeIndex(2 * number)),
            spec: Some(CodeIndex(2 * number + 1)),
            inlineable: false,
            generated: false,
            slots,
            depends,
            edges,
        });
        let statement = format!("precompile(Tuple{{typeof(Package.function{number}), Int64, String}})");
        let bucket = Bucket::Compiled(function.unwrap());
        builder.entry(Entry { statement, package: None, bucket }).unwrap();
    }
    builder.set_code_count(2 * FUNCTIONS);
    builder.finish().unwrap()
}

/// Shortest and median time of many runs, in milliseconds.
fn measured<T>(mut run: impl FnMut() -> T) -> (f64, f64) {
    let mut times: Vec<f64> = (0..51)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2])
}

#[test]
#[ignore = "prints times, which mean something in release builds only"]
fn a_large_image() {
    let start = Instant::now();
    let bytes = large_image();
    let built = start.elapsed().as_secs_f64() * 1e3;
    let image = Image::parse(&bytes).unwrap();
    assert_eq!(image.function_count(), FUNCTIONS);
    let (nodes, slots) = (image.node_count(), image.slot_count());
    println!(
        "{FUNCTIONS} functions, {nodes} nodes, {slots} slots: {} bytes, built in {built:.1} ms",
        bytes.len()
    );
    let (least, median) = measured(|| Image::parse(black_box(&bytes)).map(|image| image.node_count()));
    println!("parse: {median:.3} ms (least {least:.3})");
    let list = |edge: nativecache_image::EdgeRef<'_>| edge.methods.len();
    let (least, median) = measured(|| image.edges().map(|(_, edge)| list(edge)).sum::<usize>());
    println!("read all edges: {median:.3} ms (least {least:.3})");
    let (least, median) = measured(|| (0..nodes).filter(|node| image.node(NodeId(*node)).is_ok()).count());
    println!("read all nodes: {median:.3} ms (least {least:.3})");
    let file = vec![0x5a_u8; 3 << 20];
    let (least, median) = measured(|| content_hash(black_box(&file)));
    println!("hash of 3 MB: {median:.3} ms (least {least:.3})");
    // Thirty times the budget: this fails only if something became quadratic.
    assert!(least < 300.0);
}
