//! The reader: gives back what was written, from any address, and says where something does not fit.

mod common;

use common::{
    every_edge, every_entry, every_function, every_node, every_slot, every_table, full_image, packages, walk,
    KEY, MODULE_SETS,
};
use nativecache_image::{
    Bucket, BucketRef, Builtin, Edge, EdgeId, EdgeRef, EntryId, Function, FunctionId, FunctionRef, Image,
    ImageBuilder, ImageError, Node, NodeId, PackageId, Slot, SlotId, SlotRef, TableId,
};

fn owned_slot(slot: SlotRef<'_>) -> Slot {
    match slot {
        SlotRef::Object(node) => Slot::Object(node),
        SlotRef::Binding { module, name, offset } => Slot::Binding { module, name: name.into(), offset },
        SlotRef::CSymbol { library, name } => {
            Slot::CSymbol { library: library.map(String::from), name: name.into() }
        }
        SlotRef::CString(bytes) => Slot::CString(bytes.to_vec()),
        SlotRef::Invoke(node) => Slot::Invoke(node),
        SlotRef::Specptr(node) => Slot::Specptr(node),
    }
}

fn owned_function(function: FunctionRef<'_>) -> Function {
    Function {
        method_instance: function.method_instance,
        rettype: function.rettype,
        rettype_const: function.rettype_const,
        inferred: function.inferred,
        invoke: function.invoke,
        spec: function.spec,
        inlineable: function.inlineable,
        generated: function.generated,
        slots: function.slots.to_vec(),
        depends: function.depends.to_vec(),
        edges: function.edges.to_vec(),
    }
}

fn owned_edge(edge: EdgeRef<'_>) -> Edge {
    Edge { table: edge.table, target: edge.target, methods: edge.methods.to_vec() }
}

fn owned_bucket(bucket: BucketRef<'_>) -> Bucket {
    match bucket {
        BucketRef::Compiled(function) => Bucket::Compiled(function),
        BucketRef::Skipped { reason, detail } => Bucket::Skipped { reason, detail: detail.into() },
        BucketRef::Failed { reason, detail } => Bucket::Failed { reason, detail: detail.into() },
    }
}

fn assert_full(image: &Image<'_>) {
    assert_eq!(image.code_count(), 2);
    assert_eq!(image.key_count() as usize, KEY.len());
    for (index, component) in (0..).zip(KEY) {
        assert_eq!(image.key_component(index).unwrap(), component);
    }
    assert_eq!(image.package_count() as usize, packages().len());
    for (index, package) in (0..).zip(packages()) {
        let read = image.package(PackageId(index)).unwrap();
        assert_eq!((read.name, read.uuid), (package.name.as_str(), package.uuid));
        assert_eq!((read.build_id, read.in_sysimage), (package.build_id, package.in_sysimage));
    }
    assert_eq!(image.module_set_count() as usize, MODULE_SETS.len());
    for (index, set) in (0..).zip(MODULE_SETS) {
        let read = image.module_set(index).unwrap();
        assert_eq!((read.hash, read.text), set);
    }
    assert_eq!(image.node_count() as usize, every_node().len());
    for (index, node) in (0..).zip(every_node()) {
        assert_eq!(image.node(NodeId(index)).unwrap().to_node(), node);
    }
    assert_eq!(image.slot_count() as usize, every_slot().len());
    for (index, slot) in (0..).zip(every_slot()) {
        assert_eq!(owned_slot(image.slot(SlotId(index)).unwrap()), slot);
    }
    assert_eq!(image.edge_count() as usize, every_edge().len());
    for (index, edge) in (0..).zip(every_edge()) {
        assert_eq!(owned_edge(image.edge(EdgeId(index)).unwrap()), edge);
    }
    assert_eq!(image.table_count() as usize, every_table().len());
    for (index, table) in (0..).zip(every_table()) {
        assert_eq!(image.table(TableId(index)).unwrap(), table);
    }
    assert_eq!(image.function_count() as usize, every_function().len());
    for (index, function) in (0..).zip(every_function()) {
        assert_eq!(owned_function(image.function(FunctionId(index)).unwrap()), function);
    }
    assert_eq!(image.entry_count() as usize, every_entry().len());
    for (index, entry) in (0..).zip(every_entry()) {
        let read = image.entry(EntryId(index)).unwrap();
        assert_eq!((read.statement, read.package), (entry.statement.as_str(), entry.package));
        assert_eq!(owned_bucket(read.bucket), entry.bucket);
    }
}

#[test]
fn everything_comes_back_from_any_address() {
    let bytes = full_image();
    assert_full(&Image::parse(&bytes).unwrap());
    for shift in 1..16 {
        let mut moved = vec![0xaa; shift];
        moved.extend_from_slice(&bytes);
        assert_full(&Image::parse(&moved[shift..]).unwrap());
    }
}

#[test]
fn a_number_behind_the_end_is_an_error() {
    let bytes = full_image();
    let image = Image::parse(&bytes).unwrap();
    for index in [1000, u32::MAX - 1, u32::MAX] {
        let errors = [
            image.key_component(index).unwrap_err(),
            image.package(PackageId(index)).unwrap_err(),
            image.module_set(index).unwrap_err(),
            image.node(NodeId(index)).unwrap_err(),
            image.slot(SlotId(index)).unwrap_err(),
            image.function(FunctionId(index)).unwrap_err(),
            image.table(TableId(index)).unwrap_err(),
            image.edge(EdgeId(index)).unwrap_err(),
            image.entry(EntryId(index)).unwrap_err(),
        ];
        for error in errors {
            assert!(
                matches!(error, ImageError::OutOfRange { what: "number", found, .. } if found == u64::from(index)),
                "{error}"
            );
        }
    }
    let last = NodeId(image.node_count());
    assert_eq!(
        image.node(last).unwrap_err().to_string(),
        "number of node offsets[34] is 34, expected less than 34"
    );
    assert!(image.node(NodeId(last.0 - 1)).is_ok());
}

/// Where the directory says that a section begins; sections are numbered from 1.
fn section(image: &[u8], id: usize) -> usize {
    let entry = 32 + (id - 1) * 16;
    u32::from_le_bytes(image[entry + 4..entry + 8].try_into().unwrap()) as usize
}

/// How many things the directory says that a section of the full image has.
fn full_image_count(id: usize) -> u32 {
    let entry = 32 + (id - 1) * 16;
    u32::from_le_bytes(full_image()[entry + 8..entry + 12].try_into().unwrap())
}

fn parse_with(change: impl Fn(&mut Vec<u8>)) -> String {
    let mut bytes = full_image();
    change(&mut bytes);
    match Image::parse(&bytes) {
        Ok(_) => "parsed".into(),
        Err(error) => error.to_string(),
    }
}

fn set(image: &mut [u8], at: usize, word: u32) {
    image[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

#[test]
fn errors_say_what_and_where() {
    assert_eq!(parse_with(|_| {}), "parsed");
    let length = full_image().len();
    assert_eq!(
        parse_with(|image| image[0] = b'X'),
        r"image is not ours: magic bytes XCIMAGE\x00, expected NCIMAGE\x00"
    );
    assert_eq!(parse_with(|image| set(image, 8, 1)), "image has format version 1, expected 4");
    assert_eq!(parse_with(|image| set(image, 12, 12)), "section count of header[0] is 12, expected 13");
    assert_eq!(
        parse_with(|image| image.truncate(length - 1)),
        format!("image is cut short: {} bytes, expected at least {length}", length - 1)
    );
    assert_eq!(
        parse_with(|image| image.push(0)),
        format!("length of header[0] is {length}, expected {}", length + 1)
    );
    assert_eq!(parse_with(|image| set(image, 32, 9)), "section id of directory[0] is 9, expected 1");
    let bytes_at = section(&full_image(), 2);
    assert_eq!(
        parse_with(|image| set(image, 32 + 16 + 4, 0)),
        format!("offset of directory[1] is 0, expected {bytes_at}")
    );
    assert_eq!(
        parse_with(|image| set(image, 32 + 6 * 16 + 8, u32::MAX)),
        format!("size of directory[6] is {}, expected {}", full_image_count(7) * 4, u64::from(u32::MAX) * 4)
    );
    assert_ne!(full_image_count(1) % 8, 0, "the strings must be followed by padding");
    assert_eq!(parse_with(|image| image[bytes_at - 1] = 1), "padding of directory[0] is 1, expected 0");
    assert_eq!(
        parse_with(|image| {
            let at = section(image, 1) + 5;
            image[at] = 0xff;
        }),
        "section strings is not UTF-8 from byte 5 on"
    );
    // Node 0 is a root module: tag, package.
    assert_eq!(
        parse_with(|image| {
            let at = section(image, 7);
            set(image, at, 99);
        }),
        "tag of nodes[0] is 99, which names nothing"
    );
    assert_eq!(
        parse_with(|image| {
            let at = section(image, 7);
            set(image, at + 4, 2);
        }),
        "package of nodes[0] is 2, expected less than 2"
    );
    // Node 1 is a submodule: tag, parent, name.
    assert_eq!(
        parse_with(|image| {
            let at = section(image, 7) + 8;
            set(image, at + 4, 1);
        }),
        "operand of nodes[1] is 1, expected less than 1"
    );
    assert_eq!(
        parse_with(|image| {
            let at = section(image, 6) + 4;
            set(image, at, 3);
        }),
        "offset of node offsets[1] is 3, expected 2"
    );
    assert_eq!(
        parse_with(|image| {
            let at = section(image, 9) + 7 * 4;
            set(image, at, 0);
        }),
        "list offset of functions[0] is 0, expected 14"
    );
    assert_eq!(
        parse_with(|image| {
            let at = section(image, 13) + 24 + 12;
            set(image, at, 2 | 999 << 16);
        }),
        "reason of entries[1] is 999, which names nothing"
    );
}

/// What parsing says to the full image with one word of a section changed.
fn parse_with_word(id: usize, word: usize, value: u32) -> String {
    parse_with(|image| {
        let at = section(image, id) + word * 4;
        set(image, at, value);
    })
}

#[test]
fn errors_of_tables_and_edges_say_what_and_where() {
    // A table is type name, live, digest; an edge is table, kind of target, target, where its methods begin, how many.
    let table = |word: usize, value| parse_with_word(11, 4 + word, value);
    let edge = |word: usize, value| parse_with_word(12, 5 + word, value);
    assert_eq!(table(0, 34), "type name of tables[1] is 34, expected less than 34");
    for word in 1..4 {
        assert_eq!(table(word, u32::MAX), "parsed");
    }
    assert_eq!(edge(0, 3), "table of edges[1] is 3, expected less than 3");
    assert_eq!(edge(1, 0), "tag of edges[1] is 0, which names nothing");
    assert_eq!(edge(1, 5), "tag of edges[1] is 5, which names nothing");
    assert_eq!(edge(2, 34), "signature of edges[1] is 34, expected less than 34");
    assert_eq!(edge(3, 0), "list offset of edges[1] is 0, expected 1");
    assert_eq!(edge(3, u32::MAX), "list offset of edges[1] is 4294967295, expected 1");
    assert_eq!(edge(4, 2), "list offset of edges[2] is 4, expected 3");
    assert_eq!(
        edge(4, u32::MAX),
        format!("method count of edges[1] is {}, expected less than {}", u32::MAX, full_image_count(10))
    );
    assert_eq!(parse_with_word(12, 2, 34), "method instance of edges[0] is 34, expected less than 34");
    // The lists of edges come before those of functions: one method of edge 0, three of edge 1.
    assert_eq!(parse_with_word(10, 0, 34), "method of edges[0] is 34, expected less than 34");
    assert_eq!(parse_with_word(10, 3, 34), "method of edges[1] is 34, expected less than 34");
}

#[test]
fn errors_of_functions_say_what_and_where() {
    // Word 4 is how a function is invoked, 6 its specialised code, 9 how many others it depends on.
    let with = |function: usize, word, value| parse_with_word(9, function * 11 + word, value);
    let surplus = |function| {
        format!("specialised code of functions[{function}] is present, expected none because of its invoke")
    };
    assert_eq!(with(5, 6, 0), surplus(5));
    assert_eq!(with(0, 4, 5), surplus(0));
    assert_eq!(with(5, 4, 1), "specialised code of functions[5] is absent, expected because of its invoke");
    assert_eq!(with(0, 4, 6), surplus(0));
    assert_eq!(with(0, 4, 7), "invoke of functions[0] is 7, which names nothing");
    assert_eq!(with(0, 4, 0x404), "invoke of functions[0] is 1028, which names nothing");
    assert_eq!(with(0, 4, 0x304), "parsed");
    // The first function's lists follow fourteen words of edges; its three slots come before those it depends on.
    assert_eq!(parse_with_word(10, 17, 7), "dependency of functions[0] is 7, expected less than 7");
    assert_eq!(
        with(0, 9, u32::MAX),
        format!(
            "dependency count of functions[0] is {}, expected less than {}",
            u32::MAX,
            full_image_count(10) - 14 - 3 + 1
        )
    );
}

#[test]
fn iterators_give_every_record_with_its_number() {
    let bytes = full_image();
    let image = Image::parse(&bytes).unwrap();
    let functions: Vec<_> =
        image.functions().map(|(id, function)| (id.0, owned_function(function))).collect();
    assert_eq!(functions, (0..).zip(every_function()).collect::<Vec<_>>());
    let tables: Vec<_> = image.tables().map(|(id, table)| (id.0, table)).collect();
    assert_eq!(tables, (0..).zip(every_table()).collect::<Vec<_>>());
    let edges: Vec<_> = image.edges().map(|(id, edge)| (id.0, owned_edge(edge))).collect();
    assert_eq!(edges, (0..).zip(every_edge()).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_over() {
    let length = full_image().len() as u32;
    assert_eq!(
        parse_with(|image| {
            image.extend_from_slice(&[0; 8]);
            set(image, 16, length + 8);
        }),
        format!("length of header[0] is {}, expected {length}", length + 8)
    );
    let nodes = full_image_count(7);
    assert_eq!(
        parse_with(|image| set(image, 32 + 6 * 16 + 8, nodes - 1)),
        format!("size of directory[6] is {}, expected {}", nodes * 4, nodes * 4 - 4)
    );
    // A word of the last node, and of the last function's lists, that nothing claims.
    let mut builder = ImageBuilder::new();
    let any = builder.node(Node::Builtin(Builtin::Any)).unwrap();
    builder.node(Node::Tuple { params: vec![any] }).unwrap();
    let slot = builder.slot(Slot::Object(any)).unwrap();
    let function = Function { method_instance: any, slots: vec![slot], ..every_function().swap_remove(4) };
    builder.function(Function { rettype: any, ..function }).unwrap();
    builder.set_code_count(1);
    let good = builder.finish().unwrap();
    Image::parse(&good).unwrap();
    let without = |at: usize| {
        let mut bytes = good.clone();
        assert_eq!(bytes[at], 1);
        bytes[at] = 0;
        Image::parse(&bytes).unwrap_err().to_string()
    };
    assert_eq!(without(section(&good, 7) + 3 * 4), "words used of nodes[0] is 4, expected 5");
    assert_eq!(without(section(&good, 9) + 8 * 4), "words used of lists[0] is 0, expected 1");
}

#[test]
fn words_without_a_meaning_must_be_empty() {
    let package = section(&full_image(), 4);
    assert_eq!(
        parse_with(|image| set(image, package + 8 * 4, 2)),
        "flags of packages[0] is 2, which names nothing"
    );
    assert_eq!(
        parse_with(|image| set(image, package + 9 * 4, 1)),
        "reserved word of packages[0] is 1, which names nothing"
    );
}

#[test]
fn a_name_must_not_split_a_character_or_hold_a_nul() {
    // Node 2 is the symbol "größe"; its words follow two of node 0 and four of node 1.
    let symbol = |image: &[u8]| section(image, 7) + 6 * 4;
    let bytes = full_image();
    let at = symbol(&bytes) + 8;
    assert_eq!(bytes[at], 7, "the length of größe");
    let error = parse_with(|image| image[at] = 3);
    assert!(error.contains("name of nodes[2]") && error.contains("whole characters"), "{error}");
    let error = parse_with(|image| image[at + 3] = 0x80);
    assert!(error.contains("name of nodes[2]") && error.contains("inside it"), "{error}");
    let place = u32::from_le_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
    let error = parse_with(|image| {
        let at = section(image, 1) + place;
        image[at] = 0;
    });
    assert_eq!(error, "name of nodes[2] has a NUL at byte 0, expected none");
}

#[test]
fn walking_sees_everything() {
    let bytes = full_image();
    assert!(walk(&Image::parse(&bytes).unwrap()) > 200);
}
