//! The writer: numbers by first mention, equal things once, wrong references refused, equal bytes for equal calls.

mod common;

use common::{every_edge, every_function, every_node, every_table, full_builder, full_image, operands};
use nativecache_image::{
    Bucket, Builtin, CodeIndex, Edge, EdgeId, EdgeTarget, Entry, Function, FunctionId, Image, ImageBuilder,
    ImageError, Invoke, Node, NodeId, Package, PackageId, Slot, SlotId, Table, TableId,
};

#[test]
fn equal_calls_give_equal_bytes() {
    let first = full_image();
    for _ in 0..20 {
        assert_eq!(full_image(), first);
    }
    let mut other = full_builder();
    other.node(Node::Symbol("one more".into())).unwrap();
    assert_ne!(other.finish().unwrap(), first);
}

#[test]
fn equal_records_get_one_number() {
    let mut builder = full_builder();
    let counts = |builder: &ImageBuilder| {
        [builder.node_count(), builder.slot_count(), builder.table_count(), builder.edge_count()]
    };
    let before = counts(&builder);
    for (number, node) in (0..).zip(every_node()) {
        assert_eq!(builder.node(node).unwrap(), NodeId(number));
    }
    for (number, slot) in (0..).zip(common::every_slot()) {
        assert_eq!(builder.slot(slot).unwrap(), SlotId(number));
    }
    for (number, table) in (0..).zip(every_table()) {
        assert_eq!(builder.table(table).unwrap(), TableId(number));
    }
    for (number, edge) in (0..).zip(every_edge()) {
        assert_eq!(builder.edge(edge).unwrap(), EdgeId(number));
    }
    for (number, package) in (0..).zip(common::packages()) {
        assert_eq!(builder.package(package).unwrap(), PackageId(number));
    }
    assert_eq!(counts(&builder), before);
    assert_eq!(before, [34, 9, 3, 8]);
    assert_eq!(builder.finish().unwrap(), full_image());
}

#[test]
fn a_fresh_node_is_not_merged_and_later_nodes_may_refer_to_it() {
    let mut builder = ImageBuilder::new();
    let any = builder.node(Node::Builtin(Builtin::ArrayAnyType)).unwrap();
    let array = Node::Array { ty: any, items: vec![] };
    let merged = builder.node(array.clone()).unwrap();
    let (first, second) = (builder.fresh_node(&array).unwrap(), builder.fresh_node(&array).unwrap());
    assert_eq!([merged, first, second], [NodeId(1), NodeId(2), NodeId(3)]);
    assert_eq!(builder.node(array.clone()).unwrap(), merged);
    let both = builder.node(Node::SVec { items: vec![first, second] }).unwrap();
    assert_eq!(both, NodeId(4));
    let bytes = builder.finish().unwrap();
    let image = Image::parse(&bytes).unwrap();
    assert_eq!(image.node_count(), 5);
    for id in [merged, first, second] {
        assert_eq!(image.node(id).unwrap().to_node(), array);
    }
}

#[test]
fn type_variables_of_different_serial_stay_apart() {
    let mut builder = ImageBuilder::new();
    let any = builder.node(Node::Builtin(Builtin::Any)).unwrap();
    let variable = |serial| Node::TypeVar { name: "T".into(), lb: any, ub: any, serial };
    let numbers = [0, 1, 0, u32::MAX].map(|serial| builder.node(variable(serial)).unwrap().0);
    assert_eq!(numbers, [1, 2, 1, 3]);
}

#[test]
fn equal_strings_and_bytes_are_stored_once() {
    let name = "a name that is long enough to be seen in the size of an image".repeat(20);
    let size = |names: usize| {
        let mut builder = ImageBuilder::new();
        let any = builder.node(Node::Builtin(Builtin::Any)).unwrap();
        for serial in 0..names as u32 {
            builder.node(Node::TypeVar { name: name.clone(), lb: any, ub: any, serial }).unwrap();
            builder.node(Node::ArrayBits { ty: any, len: serial, bytes: name.clone().into_bytes() }).unwrap();
        }
        builder.finish().unwrap().len()
    };
    assert!(size(1) > 2 * name.len());
    assert!(size(5) < size(1) + name.len(), "{} and {}", size(5), size(1));
}

#[test]
fn every_operand_must_be_an_earlier_node() {
    let nodes = every_node();
    let mut tried = 0;
    for (number, node) in (0..).zip(&nodes) {
        if operands(node).is_empty() {
            continue;
        }
        // A builder in which some operand of the node is not there yet.
        let mut builder = ImageBuilder::new();
        for package in common::packages() {
            builder.package(package).unwrap();
        }
        let largest = operands(node).into_iter().max().unwrap();
        for earlier in &nodes[..largest.index()] {
            builder.node(earlier.clone()).unwrap();
        }
        let before = builder.node_count();
        match builder.node(node.clone()) {
            Err(ImageError::OutOfRange { what: "operand", section: "nodes", index, found, limit }) => {
                assert_eq!((index, found), (before, u64::from(largest.0)), "{node:?}");
                assert_eq!(limit, u64::from(before));
            }
            other => panic!("node {number} {node:?} gave {other:?}"),
        }
        assert_eq!(builder.node_count(), before);
        tried += 1;
    }
    assert!(tried > 20);
}

#[test]
fn a_refused_record_leaves_no_trace() {
    let mut builder = full_builder();
    let far = NodeId(1000);
    let refused = [
        builder.node(Node::Expr { head: "new name".into(), args: vec![NodeId(0), far] }).is_err(),
        builder.node(Node::TypeName { module: far, name: "another".into() }).is_err(),
        builder.node(Node::ArrayBits { ty: far, len: 1, bytes: vec![9; 9] }).is_err(),
        builder.node(Node::MutableStruct { ty: NodeId(0), fields: vec![None, Some(far)] }).is_err(),
        builder.node(Node::RootModule(PackageId(2))).is_err(),
        builder.node(Node::Symbol("a\0b".into())).is_err(),
        builder.fresh_node(&Node::Wrapper { typename: far }).is_err(),
        builder.slot(Slot::Object(far)).is_err(),
        builder.slot(Slot::Binding { module: far, name: "third".into(), offset: 0 }).is_err(),
        builder.slot(Slot::CSymbol { library: Some("new lib".into()), name: "a\0".into() }).is_err(),
        builder.slot(Slot::CString(vec![1, 0])).is_err(),
        builder.table(Table { typename: far, live: 1, digest: 2 }).is_err(),
        builder.table(Table { typename: NodeId(6), live: 4, digest: 2 }).is_err(),
        builder.edge(Edge { table: TableId(3), ..every_edge().swap_remove(0) }).is_err(),
        builder.edge(Edge { methods: vec![NodeId(0), far], ..every_edge().swap_remove(0) }).is_err(),
        builder.function(Function { rettype: far, ..every_function().swap_remove(0) }).is_err(),
    ];
    assert_eq!(refused, [true; 16]);
    assert_eq!(builder.finish().unwrap(), full_image());
}

#[test]
fn a_function_must_refer_to_what_exists() {
    let good = every_function().swap_remove(0);
    let far = NodeId(1000);
    let cases: Vec<(&str, Function)> = vec![
        ("method instance", Function { method_instance: far, ..good.clone() }),
        ("return type", Function { rettype: far, ..good.clone() }),
        ("constant result", Function { rettype_const: Some(far), ..good.clone() }),
        ("inferred code", Function { inferred: Some(far), ..good.clone() }),
        ("slot", Function { slots: vec![SlotId(0), SlotId(99)], ..good.clone() }),
        ("edge", Function { edges: vec![EdgeId(8)], ..good.clone() }),
        ("dependency", Function { depends: vec![FunctionId(8)], ..good.clone() }),
        ("specialised code", Function { spec: Some(CodeIndex(2)), ..good.clone() }),
        ("wrapper", Function { invoke: Invoke::Wrapper(CodeIndex(2)), ..good.clone() }),
    ];
    for (field, function) in cases {
        let mut builder = full_builder();
        let error = match builder.function(function) {
            Ok(_) => builder.finish().unwrap_err(),
            Err(error) => error,
        };
        match error {
            ImageError::OutOfRange { what, section: "functions", index: 7, .. } => assert_eq!(what, field),
            other => panic!("{field}: {other}"),
        }
    }
    let mut builder = full_builder();
    builder.function(Function { depends: vec![FunctionId(7)], ..good }).unwrap();
    builder.finish().unwrap();
}

#[test]
fn a_function_must_have_what_its_invoke_calls() {
    let good = every_function().swap_remove(0);
    for (invoke, what) in [
        (Invoke::Args, "specialised code"),
        (Invoke::Sparam, "specialised code"),
        (Invoke::ConstReturn, "constant result"),
    ] {
        let error = full_builder().function(Function { invoke, spec: None, ..good.clone() }).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{what} of functions[7] is absent, expected because of its invoke")
        );
    }
    let error = full_builder().function(Function { invoke: Invoke::Inferred, ..good.clone() }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "specialised code of functions[7] is present, expected none because of its invoke"
    );
    full_builder().function(Function { invoke: Invoke::Inferred, spec: None, ..good }).unwrap();
}

#[test]
fn an_edge_must_refer_to_what_exists() {
    let good = every_edge().swap_remove(0);
    let far = NodeId(34);
    for (edge, message) in [
        (Edge { table: TableId(3), ..good.clone() }, "table of edges[8] is 3, expected less than 3"),
        (
            Edge { target: EdgeTarget::MethodInstance(far), ..good.clone() },
            "method instance of edges[8] is 34, expected less than 34",
        ),
        (
            Edge { target: EdgeTarget::Signature(far), ..good.clone() },
            "signature of edges[8] is 34, expected less than 34",
        ),
        (
            Edge { methods: vec![NodeId(27), far], ..good.clone() },
            "method of edges[8] is 34, expected less than 34",
        ),
    ] {
        assert_eq!(full_builder().edge(edge).unwrap_err().to_string(), message);
    }
    let error = full_builder().table(Table { typename: far, live: 0, digest: 0 }).unwrap_err();
    assert_eq!(error.to_string(), "type name of tables[3] is 34, expected less than 34");
}

#[test]
fn edges_that_differ_anywhere_stay_apart() {
    let good = Edge { methods: vec![NodeId(27), NodeId(28)], ..every_edge().swap_remove(0) };
    let mut builder = full_builder();
    let known = builder.edge(good.clone()).unwrap();
    assert_eq!(known, EdgeId(5));
    let others = [
        Edge { table: TableId(1), ..good.clone() },
        Edge { target: EdgeTarget::Signature(NodeId(29)), ..good.clone() },
        Edge { methods: vec![NodeId(27), NodeId(28), NodeId(28)], ..good.clone() },
    ];
    let numbers = others.map(|edge| builder.edge(edge).unwrap().0);
    assert_eq!(numbers, [8, 9, 10]);
    assert_eq!(builder.edge(good).unwrap(), known);
}

#[test]
fn an_entry_must_refer_to_what_exists() {
    let entry = |package, function| Entry {
        statement: "precompile(f)".into(),
        package,
        bucket: Bucket::Compiled(FunctionId(function)),
    };
    let error = full_builder().entry(entry(Some(PackageId(2)), 0)).unwrap_err();
    assert_eq!(error.to_string(), "package of entries[3] is 2, expected less than 2");
    let mut builder = full_builder();
    builder.entry(entry(None, 7)).unwrap();
    assert_eq!(
        builder.finish().unwrap_err().to_string(),
        "function of entries[3] is 7, expected less than 7"
    );
}

#[test]
fn one_name_cannot_have_two_meanings() {
    let mut builder = full_builder();
    builder.key("opt level", "2").unwrap();
    assert_eq!(
        builder.key("opt level", "3").unwrap_err().to_string(),
        r#"key component "opt level" is given twice, as "3" and "2""#
    );
    let mut rebuilt = common::packages().swap_remove(1);
    rebuilt.build_id = 5;
    match builder.package(rebuilt).unwrap_err() {
        ImageError::Conflict { what: "package", name, found, expected } => {
            assert_eq!(name, "Dates");
            assert!(found.contains("0x5") && expected.contains("0x123456789abcdef"), "{found} {expected}");
        }
        other => panic!("{other}"),
    }
    let table = every_table().swap_remove(0);
    for (other, found) in [
        (Table { live: 4, ..table }, "4 methods, digest 0xfedcba9876543210"),
        (Table { digest: 5, ..table }, "3 methods, digest 0x5"),
    ] {
        let expected = "3 methods, digest 0xfedcba9876543210";
        assert_eq!(
            builder.table(other).unwrap_err().to_string(),
            format!(r#"table of type name "nodes[6]" is given twice, as {found} and {expected}"#)
        );
    }
    assert_eq!(builder.table(table).unwrap(), TableId(0));
    // Same name, another uuid: another package.
    let stranger = Package { uuid: [1; 16], ..common::packages().swap_remove(1) };
    assert_eq!(builder.package(stranger).unwrap(), PackageId(2));
}

#[test]
fn an_empty_image_is_an_image() {
    let bytes = ImageBuilder::new().finish().unwrap();
    let image = Image::parse(&bytes).unwrap();
    assert_eq!(common::walk(&image), 0);
    assert_eq!((image.node_count(), image.slot_count(), image.code_count()), (0, 0, 0));
}
