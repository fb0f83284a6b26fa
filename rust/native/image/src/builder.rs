//! Writing an image.

use crate::check::{below, invocable, without_nul};
use crate::error::ImageError;
use crate::heap::{count, HeapWriter, Interned};
use crate::ids::{CodeIndex, EdgeId, EntryId, FunctionId, NodeId, PackageId, SlotId, TableId, NONE};
use crate::layout::{bucket_tag, edge_tag, invoke_tag, slot_tag, Section};
use crate::model::{Bucket, Edge, EdgeTarget, Entry, Function, Invoke, Package, Slot, Table};
use crate::node::Node;
use crate::node_writer::NodeTable;
use crate::output::Output;

/// Collects what belongs into an image and writes it.
///
/// Numbers are given in the order of first mention, and nothing depends on the order of a hash table: the same calls
/// give the same bytes. Nodes, slots, tables, edges and packages that are equal get the same number. A record that is refused
/// leaves the builder as it was, so the method that needed it can be left out and the rest goes on.
#[derive(Debug, Default)]
pub struct ImageBuilder {
    heaps: HeapWriter,
    code_count: u32,
    base_world: u64,
    key: Vec<(String, String)>,
    packages: Interned<Package>,
    module_sets: Vec<(u64, String)>,
    nodes: NodeTable,
    slots: Interned<Slot>,
    slot_words: Vec<u32>,
    functions: Vec<Function>,
    tables: Interned<NodeId>,
    table_records: Vec<Table>,
    edges: Interned<Edge>,
    edge_words: Vec<u32>,
    /// The methods of all edges.
    edge_lists: Vec<u32>,
    entries: Vec<Entry>,
}

impl ImageBuilder {
    /// An empty image.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says how many entries the library's `nativecache_functions` has; every [`CodeIndex`] must be below.
    pub fn set_code_count(&mut self, code_count: u32) {
        self.code_count = code_count;
    }

    /// Says that the method tables of all edges hold what the sysimage and packages' images bring and nothing
    /// else, and that the sysimage's newest method is of world `base_world`.
    pub fn set_base_world(&mut self, base_world: u64) {
        self.base_world = base_world;
    }

    /// Adds a component of the key.
    ///
    /// # Errors
    /// If the component is there already with another value.
    pub fn key(&mut self, name: &str, value: &str) -> Result<(), ImageError> {
        match self.key.iter().find(|(known, _)| known == name) {
            Some((_, known)) if known == value => Ok(()),
            Some((_, known)) => {
                Err(conflict("key component", name, format!("{value:?}"), format!("{known:?}")))
            }
            None => {
                self.key.push((name.to_owned(), value.to_owned()));
                Ok(())
            }
        }
    }

    /// The number of a package, which is added if it is new.
    ///
    /// # Errors
    /// If a package of that name and uuid is there already with another build id.
    pub fn package(&mut self, package: Package) -> Result<PackageId, ImageError> {
        if let Some(number) = self.packages.find(&package) {
            return Ok(PackageId(number));
        }
        let same = |known: &&Package| known.name == package.name && known.uuid == package.uuid;
        if let Some(known) = self.packages.numbers.keys().find(same) {
            let build = |package: &Package| {
                format!("build {:#x}, in sysimage: {}", package.build_id, package.in_sysimage)
            };
            return Err(conflict("package", &package.name, build(&package), build(known)));
        }
        let number = self.packages.next(Section::Packages)?;
        self.packages.numbers.insert(package, number);
        Ok(PackageId(number))
    }

    /// Adds a set of loaded root modules under which the library may be used.
    pub fn module_set(&mut self, hash: u64, text: &str) {
        self.module_sets.push((hash, text.to_owned()));
    }

    /// The number of a node, which is added if it is new.
    ///
    /// # Errors
    /// If it refers to a node or package that is not there yet.
    pub fn node(&mut self, node: Node) -> Result<NodeId, ImageError> {
        self.nodes.intern(node, self.packages.len(), &mut self.heaps)
    }

    /// Adds a node even if there is an equal one: for mutable objects that look alike and are not the same.
    ///
    /// # Errors
    /// If it refers to a node or package that is not there yet.
    pub fn fresh_node(&mut self, node: &Node) -> Result<NodeId, ImageError> {
        self.nodes.append(node, self.packages.len(), &mut self.heaps)
    }

    /// How many nodes there are.
    #[must_use]
    pub fn node_count(&self) -> u32 {
        self.nodes.len()
    }

    /// The number of a slot, which is added if it is new.
    ///
    /// # Errors
    /// If it refers to a node that is not there.
    pub fn slot(&mut self, slot: Slot) -> Result<SlotId, ImageError> {
        if let Some(number) = self.slots.find(&slot) {
            return Ok(SlotId(number));
        }
        let number = self.slots.next(Section::Slots)?;
        let known = self.nodes.len();
        let node = |node: NodeId| below("node", Section::Slots, number, node.0, known).map(|()| node.0);
        let words = match &slot {
            Slot::Object(object) => [slot_tag::OBJECT, node(*object)?, 0, 0, 0],
            Slot::Binding { module, name, offset } => {
                let module = node(*module)?;
                let (name, len) = self.heaps.name(name, Section::Slots, number)?;
                [slot_tag::BINDING, module, name, len, *offset]
            }
            Slot::CSymbol { library, name } => {
                without_nul("name", Section::Slots, number, name.as_bytes())?;
                let (library, library_len) = match library {
                    Some(library) => self.heaps.name(library, Section::Slots, number)?,
                    None => (NONE, 0),
                };
                let (name, len) = self.heaps.string(name)?;
                [slot_tag::C_SYMBOL, library, library_len, name, len]
            }
            Slot::CString(bytes) => {
                without_nul("bytes", Section::Slots, number, bytes)?;
                let (bytes, len) = self.heaps.bytes(bytes)?;
                [slot_tag::C_STRING, bytes, len, 0, 0]
            }
            Slot::Invoke(code_instance) => [slot_tag::INVOKE, node(*code_instance)?, 0, 0, 0],
            Slot::Specptr(code_instance) => [slot_tag::SPECPTR, node(*code_instance)?, 0, 0, 0],
        };
        self.slot_words.extend_from_slice(&words);
        self.slots.numbers.insert(slot, number);
        Ok(SlotId(number))
    }

    /// How many slots there are.
    #[must_use]
    pub fn slot_count(&self) -> u32 {
        self.slots.len()
    }

    /// The number of a method table, which is added if it is new.
    ///
    /// # Errors
    /// If it refers to a node that is not there, or if the table of that type name is there already with other numbers.
    pub fn table(&mut self, table: Table) -> Result<TableId, ImageError> {
        let typename = table.typename;
        if let Some(number) = self.tables.find(&typename) {
            return match self.table_records.get(number as usize) {
                Some(known) if *known != table => {
                    let digest =
                        |table: &Table| format!("{} methods, digest {:#x}", table.live, table.digest);
                    let name = format!("nodes[{}]", typename.0);
                    Err(conflict("table of type name", &name, digest(&table), digest(known)))
                }
                _ => Ok(TableId(number)),
            };
        }
        let number = self.tables.next(Section::Tables)?;
        below("type name", Section::Tables, number, typename.0, self.nodes.len())?;
        self.table_records.push(table);
        self.tables.numbers.insert(typename, number);
        Ok(TableId(number))
    }

    /// How many method tables there are.
    #[must_use]
    pub fn table_count(&self) -> u32 {
        self.tables.len()
    }

    /// The number of an edge, which is added if it is new.
    ///
    /// # Errors
    /// If it refers to a table or node that is not there.
    pub fn edge(&mut self, edge: Edge) -> Result<EdgeId, ImageError> {
        if let Some(number) = self.edges.find(&edge) {
            return Ok(EdgeId(number));
        }
        let number = self.edges.next(Section::Edges)?;
        let check = |what, found, limit| below(what, Section::Edges, number, found, limit);
        let nodes = self.nodes.len();
        check("table", edge.table.0, self.tables.len())?;
        let (tag, target) = match edge.target {
            EdgeTarget::MethodInstance(target) => {
                check("method instance", target.0, nodes)?;
                (edge_tag::METHOD_INSTANCE, target.0)
            }
            EdgeTarget::Signature(target) => {
                check("signature", target.0, nodes)?;
                (edge_tag::SIGNATURE, target.0)
            }
            EdgeTarget::Generated(target) => {
                check("method instance", target.0, nodes)?;
                (edge_tag::GENERATED, target.0)
            }
            EdgeTarget::Constant(target) => {
                check("module", target.0, nodes)?;
                (edge_tag::CONSTANT, target.0)
            }
        };
        edge.methods.iter().try_for_each(|method| check("method", method.0, nodes))?;
        let start = count("image", Section::Lists.name(), self.edge_lists.len())?;
        let methods = count("edge", "methods", edge.methods.len())?;
        count("image", Section::Lists.name(), self.edge_lists.len().saturating_add(edge.methods.len()))?;
        self.edge_lists.extend(edge.methods.iter().map(|method| method.0));
        self.edge_words.extend_from_slice(&[edge.table.0, tag, target, start, methods]);
        self.edges.numbers.insert(edge, number);
        Ok(EdgeId(number))
    }

    /// How many edges there are.
    #[must_use]
    pub fn edge_count(&self) -> u32 {
        self.edges.len()
    }

    /// Adds a function. Functions are numbered in the order of these calls, so those that it depends on may be later
    /// ones; they, and code indices, are checked by [`finish`](Self::finish).
    ///
    /// # Errors
    /// If it refers to a node, slot or edge that is not there, or lacks what its `invoke` calls, or has code
    /// that its `invoke` says is not there.
    pub fn function(&mut self, function: Function) -> Result<FunctionId, ImageError> {
        let number = count("image", Section::Functions.name(), self.functions.len())?;
        let check = |what, found, limit| below(what, Section::Functions, number, found, limit);
        let nodes = self.nodes.len();
        check("method instance", function.method_instance.0, nodes)?;
        check("return type", function.rettype.0, nodes)?;
        function.rettype_const.map_or(Ok(()), |node| check("constant result", node.0, nodes))?;
        function.inferred.map_or(Ok(()), |node| check("inferred code", node.0, nodes))?;
        function.slots.iter().try_for_each(|slot| check("slot", slot.0, self.slots.len()))?;
        function.edges.iter().try_for_each(|edge| check("edge", edge.0, self.edges.len()))?;
        invocable(number, function.invoke, function.spec.is_some(), function.rettype_const.is_some())?;
        self.functions.push(function);
        Ok(FunctionId(number))
    }

    /// How many functions there are.
    #[must_use]
    pub fn function_count(&self) -> u32 {
        self.functions.len() as u32
    }

    /// Adds a requested method; its function is checked by [`finish`](Self::finish).
    ///
    /// # Errors
    /// If it refers to a package that is not there.
    pub fn entry(&mut self, entry: Entry) -> Result<EntryId, ImageError> {
        let number = count("image", Section::Entries.name(), self.entries.len())?;
        if let Some(package) = entry.package {
            below("package", Section::Entries, number, package.0, self.packages.len())?;
        }
        self.entries.push(entry);
        Ok(EntryId(number))
    }

    /// Writes the image.
    ///
    /// # Errors
    /// If a function or entry refers to a function or code that is not there, or if a section grew too large.
    pub fn finish(mut self) -> Result<Vec<u8>, ImageError> {
        let (functions, lists) = self.encode_functions()?;
        let entries = self.encode_entries()?;
        let mut key = Vec::new();
        for (name, value) in &self.key {
            let ((name, name_len), (value, value_len)) =
                (self.heaps.string(name)?, self.heaps.string(value)?);
            key.extend_from_slice(&[name, name_len, value, value_len]);
        }
        let packages = self.encode_packages()?;
        let mut module_sets = Vec::new();
        for (hash, text) in &self.module_sets {
            let (text, len) = self.heaps.string(text)?;
            module_sets.extend_from_slice(&[*hash as u32, (*hash >> 32) as u32, text, len]);
        }

        let mut tables = Vec::new();
        for table in &self.table_records {
            let digest = table.digest;
            tables.extend_from_slice(&[table.typename.0, table.live, digest as u32, (digest >> 32) as u32]);
        }

        let mut out = Output::default();
        out.section(Section::Strings, self.heaps.strings.as_bytes())?;
        out.section(Section::Bytes, &self.heaps.bytes)?;
        for (section, words) in [
            (Section::Key, &key),
            (Section::Packages, &packages),
            (Section::ModuleSets, &module_sets),
            (Section::NodeOffsets, &self.nodes.offsets),
            (Section::Nodes, &self.nodes.words),
            (Section::Slots, &self.slot_words),
            (Section::Functions, &functions),
            (Section::Lists, &lists),
            (Section::Tables, &tables),
            (Section::Edges, &self.edge_words),
            (Section::Entries, &entries),
        ] {
            out.section(section, &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())?;
        }
        out.finish(self.code_count, self.base_world)
    }

    fn encode_functions(&self) -> Result<(Vec<u32>, Vec<u32>), ImageError> {
        let (mut words, mut lists) = (Vec::new(), self.edge_lists.clone());
        for (index, function) in (0_u32..).zip(&self.functions) {
            let code = |what, code: CodeIndex| {
                below(what, Section::Functions, index, code.0, self.code_count).map(|()| code.0)
            };
            let (tag, wrapper) = match function.invoke {
                Invoke::Args => (invoke_tag::ARGS, 0),
                Invoke::Sparam => (invoke_tag::SPARAM, 0),
                Invoke::ConstReturn => (invoke_tag::CONST_RETURN, 0),
                Invoke::Wrapper(wrapper) => (invoke_tag::WRAPPER, code("wrapper", wrapper)?),
                Invoke::Inferred => (invoke_tag::INFERRED, 0),
                Invoke::EdgesOnly => (invoke_tag::EDGES_ONLY, 0),
            };
            for other in &function.depends {
                below("dependency", Section::Functions, index, other.0, self.function_count())?;
            }
            let flags = if function.inlineable { invoke_tag::INLINEABLE } else { 0 }
                | if function.generated { invoke_tag::GENERATED } else { 0 };
            let start = count("image", Section::Lists.name(), lists.len())?;
            lists.extend(function.slots.iter().map(|slot| slot.0));
            lists.extend(function.depends.iter().map(|other| other.0));
            lists.extend(function.edges.iter().map(|edge| edge.0));
            count("image", Section::Lists.name(), lists.len())?;
            words.extend_from_slice(&[
                function.method_instance.0,
                function.rettype.0,
                function.rettype_const.map_or(NONE, |node| node.0),
                function.inferred.map_or(NONE, |node| node.0),
                tag | flags,
                wrapper,
                function.spec.map_or(Ok(NONE), |spec| code("specialised code", spec))?,
                start,
                function.slots.len() as u32,
                function.depends.len() as u32,
                function.edges.len() as u32,
            ]);
        }
        Ok((words, lists))
    }

    fn encode_entries(&mut self) -> Result<Vec<u32>, ImageError> {
        let mut words = Vec::new();
        let functions = self.function_count();
        for (index, entry) in (0_u32..).zip(&self.entries) {
            let (statement, len) = self.heaps.string(&entry.statement)?;
            let (bucket, (a, b)) = match &entry.bucket {
                Bucket::Compiled(function) => {
                    below("function", Section::Entries, index, function.0, functions)?;
                    (bucket_tag::COMPILED, (function.0, 0))
                }
                Bucket::Skipped { reason, detail } => {
                    (bucket_tag::SKIPPED | u32::from(reason.code()) << 16, self.heaps.string(detail)?)
                }
                Bucket::Failed { reason, detail } => {
                    (bucket_tag::FAILED | u32::from(reason.code()) << 16, self.heaps.string(detail)?)
                }
            };
            words.extend_from_slice(&[
                statement,
                len,
                entry.package.map_or(NONE, |package| package.0),
                bucket,
                a,
                b,
            ]);
        }
        Ok(words)
    }

    fn encode_packages(&mut self) -> Result<Vec<u32>, ImageError> {
        let mut packages: Vec<(&Package, u32)> =
            self.packages.numbers.iter().map(|(package, number)| (package, *number)).collect();
        packages.sort_unstable_by_key(|(_, number)| *number);
        let mut words = Vec::new();
        for (package, _) in packages {
            let (name, len) = self.heaps.string(&package.name)?;
            words.extend_from_slice(&[name, len]);
            words.extend(package.uuid.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)));
            let build_id = package.build_id;
            words.extend_from_slice(&[
                build_id as u32,
                (build_id >> 32) as u32,
                u32::from(package.in_sysimage),
                0,
            ]);
        }
        Ok(words)
    }
}

fn conflict(what: &'static str, name: &str, found: String, expected: String) -> ImageError {
    ImageError::Conflict { what, name: name.to_owned(), found, expected }
}
