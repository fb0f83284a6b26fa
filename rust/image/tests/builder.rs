//! The writer: numbers by first mention, equal things once, wrong references refused, equal bytes for equal calls.

mod common;

use common::{every_function, every_node, full_builder, full_image, operands};
use nativecache_image::{
    Bucket, Builtin, CodeIndex, Edge, EdgeId, Entry, Function, FunctionId, Image, ImageBuilder, ImageError,
    Invoke, Node, NodeId, Package, PackageId, Slot, SlotId,
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
    let before = (builder.node_count(), builder.slot_count());
    for (number, node) in (0..).zip(every_node()) {
        assert_eq!(builder.node(node).unwrap(), NodeId(number));
    }
    for (number, slot) in (0..).zip(common::every_slot()) {
        assert_eq!(builder.slot(slot).unwrap(), SlotId(number));
    }
    for (number, edge) in (0..).zip(common::every_edge()) {
        assert_eq!(builder.edge(edge).unwrap(), EdgeId(number));
    }
    for (number, package) in (0..).zip(common::packages()) {
        assert_eq!(builder.package(package).unwrap(), PackageId(number));
    }
    assert_eq!((builder.node_count(), builder.slot_count()), before);
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
        builder.edge(Edge::Callee(far)).is_err(),
        builder.edge(Edge::Table { typename: NodeId(0), signature: far }).is_err(),
    ];
    assert_eq!(refused, [true; 13]);
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
        ("edge", Function { edges: vec![EdgeId(2)], ..good.clone() }),
        ("callee", Function { callees: vec![FunctionId(6)], ..good.clone() }),
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
            ImageError::OutOfRange { what, section: "functions", index: 5, .. } => assert_eq!(what, field),
            other => panic!("{field}: {other}"),
        }
    }
    let mut builder = full_builder();
    builder.function(Function { callees: vec![FunctionId(5)], ..good }).unwrap();
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
            format!("{what} of functions[5] is absent, expected because of its invoke")
        );
    }
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
    builder.entry(entry(None, 5)).unwrap();
    assert_eq!(
        builder.finish().unwrap_err().to_string(),
        "function of entries[3] is 5, expected less than 5"
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
