//! What several tests need: an image with one of everything, a reader of everything, a source of numbers.

#![allow(dead_code)] // Each test file uses its own part.

use nativecache_image::{
    Bucket, BucketRef, Builtin, CodeIndex, Edge, EdgeId, EdgeTarget, Entry, EntryId, Function, FunctionId,
    Image, ImageBuilder, Invoke, Node, NodeId, NodeRef, Package, PackageId, Reason, Slot, SlotId, SlotRef,
    Table, TableId,
};

/// Numbers that look random and are the same in every run (splitmix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// One node of each kind; operands are the numbers before it. Two packages must exist.
pub fn every_node() -> Vec<Node> {
    let id = NodeId;
    vec![
        Node::RootModule(PackageId(1)),
        Node::Submodule { parent: id(0), name: "Inner".into() },
        Node::Symbol("größe".into()),
        Node::Symbol(String::new()),
        Node::ConstValue { module: id(1), name: "#3#4".into() },
        Node::Field { parent: id(4), index: u32::MAX },
        Node::TypeName { module: id(1), name: "Point".into() },
        Node::Wrapper { typename: id(6) },
        Node::Builtin(Builtin::Any),
        Node::Builtin(Builtin::Bottom),
        Node::TypeVar { name: "T".into(), lb: id(9), ub: id(8), serial: 0 },
        Node::TypeVar { name: "T".into(), lb: id(9), ub: id(8), serial: 1 },
        Node::Apply { typename: id(6), params: vec![id(10), id(11), id(10)] },
        Node::Apply { typename: id(6), params: vec![] },
        Node::Tuple { params: vec![id(7), id(12)] },
        Node::UnionAll { var: id(10), body: id(12) },
        Node::Union { members: vec![id(7), id(8)] },
        Node::SVec { items: vec![id(2), id(3)] },
        Node::Bits { ty: id(8), bytes: vec![0, 255, 1] },
        Node::Bits { ty: id(8), bytes: vec![] },
        Node::String(vec![0xff, 0, b'x']),
        Node::Struct { ty: id(12), fields: vec![id(18), id(20)] },
        Node::MutableStruct { ty: id(12), fields: vec![None, Some(id(21)), None] },
        Node::Array { ty: id(7), items: vec![Some(id(0)), None] },
        Node::ArrayBits { ty: id(7), len: 2, bytes: vec![1, 2, 3, 4] },
        Node::Singleton { ty: id(13) },
        Node::Expr { head: "call".into(), args: vec![id(25), id(2)] },
        Node::Method { signature: id(14), origin: u64::MAX - 5 },
        Node::Root { method: id(27), index: 7 },
        Node::MethodInstance { method: id(27), spec_types: id(14), sparams: id(17) },
        Node::CodeInstance { method_instance: id(29) },
        Node::InferredCode {
            method: id(27),
            bytes: vec![9, 1, 0, 9, 0, 0],
            roots: vec![id(12), id(29)],
            places: vec![1, 4],
        },
        Node::InferredCode { method: id(27), bytes: vec![], roots: vec![], places: vec![] },
        Node::Sysimage { offset: 0x00ff_fff8 },
    ]
}

/// One slot of each kind, over [`every_node`].
pub fn every_slot() -> Vec<Slot> {
    vec![
        Slot::Object(NodeId(18)),
        Slot::Binding { module: NodeId(1), name: "counter".into(), offset: 8 },
        Slot::CSymbol { library: None, name: "jl_throw".into() },
        Slot::CSymbol { library: Some("libm.so.6".into()), name: "sin".into() },
        Slot::CSymbol { library: Some(String::new()), name: "cos".into() },
        Slot::CString(b"typeassert".to_vec()),
        Slot::CString(vec![]),
        Slot::Invoke(NodeId(30)),
        Slot::Specptr(NodeId(30)),
    ]
}

/// Method tables, over [`every_node`].
pub fn every_table() -> Vec<Table> {
    vec![
        Table { typename: NodeId(6), live: 3, digest: 0xfedc_ba98_7654_3210 },
        Table { typename: NodeId(7), live: 0, digest: 0 },
        Table { typename: NodeId(8), live: u32::MAX, digest: u64::MAX },
    ]
}

/// Edges with every kind of target and no, one and several methods, over the others.
pub fn every_edge() -> Vec<Edge> {
    let (instance, signature) = (EdgeTarget::MethodInstance(NodeId(29)), EdgeTarget::Signature(NodeId(14)));
    let edge = |table, target, methods: &[u32]| Edge {
        table: TableId(table),
        target,
        methods: methods.iter().copied().map(NodeId).collect(),
    };
    vec![
        edge(0, instance, &[27]),
        edge(2, signature, &[27, 28, 27]),
        edge(1, signature, &[]),
        edge(0, signature, &[27]),
        edge(0, instance, &[28, 27]),
        edge(0, instance, &[27, 28]),
        edge(0, EdgeTarget::Generated(NodeId(29)), &[18, 18, 18]),
        edge(0, EdgeTarget::Constant(NodeId(2)), &[0, 18]),
    ]
}

/// Functions with every way to be invoked, over the others.
pub fn every_function() -> Vec<Function> {
    let plain = Function {
        method_instance: NodeId(29),
        rettype: NodeId(8),
        rettype_const: None,
        inferred: None,
        invoke: Invoke::Wrapper(CodeIndex(0)),
        spec: Some(CodeIndex(1)),
        inlineable: false,
        generated: false,
        slots: vec![],
        depends: vec![],
        edges: vec![],
    };
    vec![
        Function {
            slots: vec![SlotId(3), SlotId(0), SlotId(8)],
            depends: vec![FunctionId(3), FunctionId(0)],
            edges: vec![EdgeId(1), EdgeId(0)],
            ..plain.clone()
        },
        Function { invoke: Invoke::Args, inlineable: true, inferred: Some(NodeId(26)), ..plain.clone() },
        Function { invoke: Invoke::Sparam, generated: true, depends: vec![FunctionId(0)], ..plain.clone() },
        Function {
            invoke: Invoke::ConstReturn,
            rettype_const: Some(NodeId(18)),
            spec: None,
            edges: vec![EdgeId(0)],
            ..plain.clone()
        },
        Function { spec: None, inlineable: true, generated: true, ..plain.clone() },
        Function { invoke: Invoke::EdgesOnly, spec: None, ..plain.clone() },
        Function {
            invoke: Invoke::Inferred,
            spec: None,
            rettype_const: Some(NodeId(18)),
            inferred: Some(NodeId(31)),
            inlineable: true,
            depends: vec![FunctionId(5)],
            edges: vec![EdgeId(5), EdgeId(2)],
            ..plain
        },
    ]
}

/// Entries with every bucket.
pub fn every_entry() -> Vec<Entry> {
    vec![
        Entry {
            statement: "precompile(Tuple{typeof(sin), Float64})".into(),
            package: Some(PackageId(0)),
            bucket: Bucket::Compiled(FunctionId(4)),
        },
        Entry {
            statement: "precompile(Tuple{Main.f})".into(),
            package: None,
            bucket: Bucket::Skipped { reason: Reason::NamesMain, detail: "Main.f\0\n".into() },
        },
        Entry {
            statement: String::new(),
            package: Some(PackageId(1)),
            bucket: Bucket::Failed { reason: Reason::CompilerAborted, detail: "SIGABRT".into() },
        },
    ]
}

pub const KEY: [(&str, &str); 3] = [("julia version", "1.5.3"), ("opt level", "2"), ("cpu features", "")];
pub const MODULE_SETS: [(u64, &str); 2] = [(u64::MAX - 5, "Core Base Dates"), (7, "")];

pub fn packages() -> Vec<Package> {
    vec![
        Package { name: "Base".into(), uuid: [0; 16], build_id: 3, in_sysimage: true },
        Package {
            name: "Dates".into(),
            uuid: *b"0123456789abcdef",
            build_id: 0x0123_4567_89ab_cdef,
            in_sysimage: false,
        },
    ]
}

/// A builder with one of everything in it.
pub fn full_builder() -> ImageBuilder {
    let mut builder = ImageBuilder::new();
    for (name, value) in KEY {
        builder.key(name, value).unwrap();
    }
    for package in packages() {
        builder.package(package).unwrap();
    }
    for (hash, text) in MODULE_SETS {
        builder.module_set(hash, text);
    }
    for (number, node) in (0..).zip(every_node()) {
        assert_eq!(builder.node(node).unwrap(), NodeId(number));
    }
    for slot in every_slot() {
        builder.slot(slot).unwrap();
    }
    for table in every_table() {
        builder.table(table).unwrap();
    }
    for edge in every_edge() {
        builder.edge(edge).unwrap();
    }
    for function in every_function() {
        builder.function(function).unwrap();
    }
    for entry in every_entry() {
        builder.entry(entry).unwrap();
    }
    builder.set_code_count(2);
    builder
}

pub fn full_image() -> Vec<u8> {
    full_builder().finish().unwrap()
}

/// Reads every record of a parsed image through the public functions and asserts that whatever it refers to exists.
/// Returns how much it saw, so that a test can tell that it was not nothing.
pub fn walk(image: &Image<'_>) -> usize {
    let mut seen = 0;
    for index in 0..image.key_count() {
        let (name, value) = image.key_component(index).unwrap();
        seen += 1 + name.chars().count() + value.chars().count();
    }
    for index in 0..image.package_count() {
        seen += 1 + image.package(PackageId(index)).unwrap().name.chars().count();
    }
    for index in 0..image.module_set_count() {
        seen += 1 + image.module_set(index).unwrap().text.chars().count();
    }
    for index in 0..image.node_count() {
        let node = image.node(NodeId(index)).unwrap();
        if let NodeRef::RootModule(package) = node {
            image.package(package).unwrap();
        }
        assert!(!node.name().unwrap_or("").contains('\0'));
        // Through `to_node`, so that this does not lean on the visitor that `parse` itself uses.
        for operand in operands(&node.to_node()) {
            assert!(operand.0 < index, "node {index} refers to {operand:?}");
            seen += 1;
        }
        seen += 1;
    }
    for index in 0..image.slot_count() {
        match image.slot(SlotId(index)).unwrap() {
            SlotRef::Object(node) | SlotRef::Invoke(node) | SlotRef::Specptr(node) => {
                image.node(node).unwrap();
            }
            SlotRef::Binding { module, name, .. } => {
                image.node(module).unwrap();
                assert!(!name.contains('\0'));
            }
            SlotRef::CSymbol { library, name } => {
                assert!(!library.unwrap_or("").contains('\0') && !name.contains('\0'));
            }
            SlotRef::CString(bytes) => assert!(!bytes.contains(&0)),
        }
        seen += 1;
    }
    for index in 0..image.table_count() {
        image.node(image.table(TableId(index)).unwrap().typename).unwrap();
        seen += 1;
    }
    for index in 0..image.edge_count() {
        let edge = image.edge(EdgeId(index)).unwrap();
        image.table(edge.table).unwrap();
        match edge.target {
            EdgeTarget::MethodInstance(node)
            | EdgeTarget::Signature(node)
            | EdgeTarget::Generated(node)
            | EdgeTarget::Constant(node) => image.node(node).unwrap(),
        };
        assert!(edge.methods.iter().all(|method| image.node(method).is_ok()));
        seen += 1 + edge.methods.len();
    }
    for index in 0..image.function_count() {
        let function = image.function(FunctionId(index)).unwrap();
        image.node(function.method_instance).unwrap();
        image.node(function.rettype).unwrap();
        for node in function.rettype_const.into_iter().chain(function.inferred) {
            image.node(node).unwrap();
        }
        match function.invoke {
            Invoke::Args | Invoke::Sparam => assert!(function.spec.is_some()),
            Invoke::ConstReturn => assert!(function.rettype_const.is_some()),
            Invoke::Wrapper(code) => assert!(code.0 < image.code_count()),
            Invoke::Inferred | Invoke::EdgesOnly => assert!(function.spec.is_none()),
        }
        assert!(function.spec.is_none_or(|code| code.0 < image.code_count()));
        assert!(function.slots.iter().all(|slot| image.slot(slot).is_ok()));
        assert!(function.depends.iter().all(|other| image.function(other).is_ok()));
        assert!(function.edges.iter().all(|edge| image.edge(edge).is_ok()));
        seen += 1 + function.slots.len() + function.depends.len() + function.edges.len();
    }
    for index in 0..image.entry_count() {
        let entry = image.entry(EntryId(index)).unwrap();
        seen += 1 + entry.statement.chars().count();
        assert!(entry.package.is_none_or(|package| image.package(package).is_ok()));
        match entry.bucket {
            BucketRef::Compiled(function) => assert!(image.function(function).is_ok()),
            BucketRef::Skipped { detail, .. } | BucketRef::Failed { detail, .. } => {
                seen += detail.chars().count();
            }
        }
    }
    seen
}

/// All operands of a node.
pub fn operands(node: &Node) -> Vec<NodeId> {
    match node {
        Node::Symbol(_)
        | Node::RootModule(_)
        | Node::String(_)
        | Node::Builtin(_)
        | Node::Sysimage { .. } => vec![],
        Node::Submodule { parent: a, .. }
        | Node::ConstValue { module: a, .. }
        | Node::Field { parent: a, .. }
        | Node::TypeName { module: a, .. }
        | Node::Wrapper { typename: a }
        | Node::Bits { ty: a, .. }
        | Node::ArrayBits { ty: a, .. }
        | Node::Singleton { ty: a }
        | Node::Method { signature: a, .. }
        | Node::Root { method: a, .. }
        | Node::CodeInstance { method_instance: a } => vec![*a],
        Node::TypeVar { lb: a, ub: b, .. } | Node::UnionAll { var: a, body: b } => vec![*a, *b],
        Node::MethodInstance { method, spec_types, sparams } => vec![*method, *spec_types, *sparams],
        Node::Tuple { params: list }
        | Node::Union { members: list }
        | Node::SVec { items: list }
        | Node::Expr { args: list, .. } => list.clone(),
        Node::Apply { typename: a, params: list } | Node::Struct { ty: a, fields: list } => {
            [&[*a], list.as_slice()].concat()
        }
        Node::InferredCode { method, roots, .. } => [&[*method], roots.as_slice()].concat(),
        Node::MutableStruct { ty: a, fields: list } | Node::Array { ty: a, items: list } => {
            std::iter::once(*a).chain(list.iter().flatten().copied()).collect()
        }
    }
}
