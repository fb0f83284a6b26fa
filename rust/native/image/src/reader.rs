//! Reading an image in place.

use crate::check;
use crate::error::ImageError;
use crate::ids::{
    CodeIndex, EdgeId, EntryId, FunctionId, ListItem, NodeId, PackageId, SlotId, TableId, NONE,
};
use crate::layout::{
    bucket_tag, edge_tag, invoke_tag, slot_tag, Section, Sections, EDGE_WORDS, ENTRY_WORDS, FUNCTION_WORDS,
    KEY_WORDS, MODULE_SET_WORDS, PACKAGE_WORDS, SLOT_WORDS, TABLE_WORDS,
};
use crate::list::{List, Word};
use crate::model::{EdgeTarget, Invoke, Table};
use crate::node_ref::NodeRef;
use nativecache_store::Reason;

/// Strings and bytes that records point into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heaps<'a> {
    pub(crate) strings: &'a str,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Heaps<'a> {
    /// A piece of the string heap; the heap as a whole is UTF-8, so only the piece's ends are to be checked.
    #[inline]
    pub(crate) fn string(
        self,
        what: &'static str,
        section: Section,
        index: u32,
        offset: u32,
        len: u32,
    ) -> Result<&'a str, ImageError> {
        let start = offset as usize;
        self.strings.get(start..start.saturating_add(len as usize)).ok_or_else(|| {
            let heap = self.strings.len() as u64;
            ImageError::BadPiece { what, section: section.name(), index, offset, len, heap }
        })
    }

    #[inline]
    pub(crate) fn bytes(
        self,
        what: &'static str,
        section: Section,
        index: u32,
        offset: u32,
        len: u32,
    ) -> Result<&'a [u8], ImageError> {
        let start = offset as usize;
        self.bytes.get(start..start.saturating_add(len as usize)).ok_or_else(|| {
            let heap = self.bytes.len() as u64;
            ImageError::BadPiece { what, section: section.name(), index, offset, len, heap }
        })
    }
}

/// A package that nodes refer to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PackageRef<'a> {
    /// Name of the package.
    pub name: &'a str,
    /// Its uuid, all zero if it has none.
    pub uuid: [u8; 16],
    /// The build id that its root module must have.
    pub build_id: u64,
    /// Whether it was part of the sysimage.
    pub in_sysimage: bool,
}

/// A set of loaded root modules under which the library was built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModuleSetRef<'a> {
    /// Hash of the sorted (uuid, build id) pairs.
    pub hash: u64,
    /// The set in words, for messages.
    pub text: &'a str,
}

/// A pointer that the library's code loads. The kinds are those of [`Slot`](crate::Slot).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // Kinds and fields are described at `Slot`.
pub enum SlotRef<'a> {
    Object(NodeId),
    Binding { module: NodeId, name: &'a str, offset: u32 },
    CSymbol { library: Option<&'a str>, name: &'a str },
    CString(&'a [u8]),
    Invoke(NodeId),
    Specptr(NodeId),
}

/// A code instance that the library can install. The fields are those of [`Function`](crate::Function).
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs)] // Fields are described at `Function`.
pub struct FunctionRef<'a> {
    pub method_instance: NodeId,
    pub rettype: NodeId,
    pub rettype_const: Option<NodeId>,
    pub inferred: Option<NodeId>,
    pub invoke: Invoke,
    pub spec: Option<CodeIndex>,
    pub inlineable: bool,
    pub generated: bool,
    pub slots: List<'a, SlotId>,
    pub depends: List<'a, FunctionId>,
    pub edges: List<'a, EdgeId>,
}

/// A condition under which compiled code is valid. The fields are those of [`Edge`](crate::Edge).
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs)] // Fields are described at `Edge`.
pub struct EdgeRef<'a> {
    pub table: TableId,
    pub target: EdgeTarget,
    pub methods: List<'a, NodeId>,
}

/// Where a requested method ended up in the build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BucketRef<'a> {
    /// The library has code for it.
    Compiled(FunctionId),
    /// It was left out on purpose.
    Skipped {
        /// Why.
        reason: Reason,
        /// What exactly.
        detail: &'a str,
    },
    /// It should have worked.
    Failed {
        /// Why it did not.
        reason: Reason,
        /// What exactly.
        detail: &'a str,
    },
}

/// A requested method and what became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryRef<'a> {
    /// The statement as it was asked for.
    pub statement: &'a str,
    /// The package that it belongs to, if that is known.
    pub package: Option<PackageId>,
    /// Where it ended up.
    pub bucket: BucketRef<'a>,
}

/// An image, checked from end to end and read where it lies.
///
/// A record can be asked for by any number; one behind the table's end gives an error.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    pub(crate) heaps: Heaps<'a>,
    pub(crate) code_count: u32,
    base_world: u64,
    key: &'a [[Word; KEY_WORDS]],
    packages: &'a [[Word; PACKAGE_WORDS]],
    module_sets: &'a [[Word; MODULE_SET_WORDS]],
    pub(crate) node_offsets: &'a [Word],
    pub(crate) nodes: &'a [Word],
    slots: &'a [[Word; SLOT_WORDS]],
    pub(crate) functions: &'a [[Word; FUNCTION_WORDS]],
    pub(crate) lists: &'a [Word],
    tables: &'a [[Word; TABLE_WORDS]],
    pub(crate) edges: &'a [[Word; EDGE_WORDS]],
    entries: &'a [[Word; ENTRY_WORDS]],
}

/// One record of a table as numbers.
fn record<const N: usize>(table: &[[Word; N]], section: Section, index: u32) -> Result<[u32; N], ImageError> {
    match table.get(index as usize) {
        Some(record) => Ok(record.map(u32::from_le_bytes)),
        None => Err(behind_end("number", section, index, index, table.len())),
    }
}

#[cold]
pub(crate) fn behind_end(
    what: &'static str,
    section: Section,
    index: u32,
    found: u32,
    limit: usize,
) -> ImageError {
    ImageError::OutOfRange {
        what,
        section: section.name(),
        index,
        found: u64::from(found),
        limit: limit as u64,
    }
}

/// The lists of one record, taken one after the other.
struct Lists<'a> {
    rest: &'a [Word],
    section: Section,
    index: u32,
}

impl<'a> Lists<'a> {
    fn take<T: ListItem>(&mut self, what: &'static str, count: u32) -> Result<List<'a, T>, ImageError> {
        let (list, rest) = self
            .rest
            .split_at_checked(count as usize)
            .ok_or_else(|| behind_end(what, self.section, self.index, count, self.rest.len() + 1))?;
        self.rest = rest;
        Ok(List::new(list))
    }
}

fn wide(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

fn optional(word: u32) -> Option<NodeId> {
    (word != NONE).then_some(NodeId(word))
}

impl<'a> Image<'a> {
    /// Checks everything in one pass: sections, strings, and every number of every record.
    ///
    /// # Errors
    /// The first thing that does not fit, with its place.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let sections = Sections::split(bytes)?;
        let strings = std::str::from_utf8(sections.bytes(Section::Strings))
            .map_err(|error| ImageError::NotUtf8 { offset: error.valid_up_to() as u64 })?;
        let image = Self {
            heaps: Heaps { strings, bytes: sections.bytes(Section::Bytes) },
            code_count: sections.code_count,
            base_world: sections.base_world,
            key: sections.records(Section::Key),
            packages: sections.records(Section::Packages),
            module_sets: sections.records(Section::ModuleSets),
            node_offsets: sections.words(Section::NodeOffsets),
            nodes: sections.words(Section::Nodes),
            slots: sections.records(Section::Slots),
            functions: sections.records(Section::Functions),
            lists: sections.words(Section::Lists),
            tables: sections.records(Section::Tables),
            edges: sections.records(Section::Edges),
            entries: sections.records(Section::Entries),
        };
        check::all(&image)?;
        Ok(image)
    }

    /// Number of entries that the library's `nativecache_functions` must have.
    #[must_use]
    pub fn code_count(&self) -> u32 {
        self.code_count
    }

    /// The world of the sysimage's newest method, if the method tables of all edges held nothing at build but
    /// what the sysimage and packages' images bring; else 0.
    #[must_use]
    pub fn base_world(&self) -> u64 {
        self.base_world
    }

    /// Number of key components.
    #[must_use]
    pub fn key_count(&self) -> u32 {
        self.key.len() as u32
    }

    /// Name and value of one component of the key.
    ///
    /// # Errors
    /// If there is no such component.
    pub fn key_component(&self, index: u32) -> Result<(&'a str, &'a str), ImageError> {
        let [name, name_len, value, value_len] = record(self.key, Section::Key, index)?;
        Ok((
            self.heaps.string("name", Section::Key, index, name, name_len)?,
            self.heaps.string("value", Section::Key, index, value, value_len)?,
        ))
    }

    /// Number of packages.
    #[must_use]
    pub fn package_count(&self) -> u32 {
        self.packages.len() as u32
    }

    /// One package.
    ///
    /// # Errors
    /// If there is no such package.
    pub fn package(&self, id: PackageId) -> Result<PackageRef<'a>, ImageError> {
        let [name, len, a, b, c, d, low, high, flags, reserved] =
            record(self.packages, Section::Packages, id.0)?;
        if flags > 1 {
            return Err(unknown("flags", Section::Packages, id.0, flags));
        }
        if reserved != 0 {
            return Err(unknown("reserved word", Section::Packages, id.0, reserved));
        }
        let mut uuid = [0; 16];
        for (piece, word) in uuid.as_chunks_mut::<4>().0.iter_mut().zip([a, b, c, d]) {
            *piece = word.to_le_bytes();
        }
        Ok(PackageRef {
            name: self.heaps.string("name", Section::Packages, id.0, name, len)?,
            uuid,
            build_id: wide(low, high),
            in_sysimage: flags == 1,
        })
    }

    /// Number of module sets.
    #[must_use]
    pub fn module_set_count(&self) -> u32 {
        self.module_sets.len() as u32
    }

    /// One module set.
    ///
    /// # Errors
    /// If there is no such set.
    pub fn module_set(&self, index: u32) -> Result<ModuleSetRef<'a>, ImageError> {
        let [low, high, text, len] = record(self.module_sets, Section::ModuleSets, index)?;
        let text = self.heaps.string("text", Section::ModuleSets, index, text, len)?;
        Ok(ModuleSetRef { hash: wide(low, high), text })
    }

    /// Number of nodes.
    #[must_use]
    pub fn node_count(&self) -> u32 {
        self.node_offsets.len() as u32
    }

    /// One node.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn node(&self, id: NodeId) -> Result<NodeRef<'a>, ImageError> {
        let [offset] = record(self.node_offsets.as_chunks::<1>().0, Section::NodeOffsets, id.0)?;
        let words = self
            .nodes
            .get(offset as usize..)
            .ok_or_else(|| behind_end("offset", Section::NodeOffsets, id.0, offset, self.nodes.len()))?;
        NodeRef::decode(self.heaps, words, id.0).map(|(node, _)| node)
    }

    /// The kind of a node as a number, 0 if there is no such node.
    pub(crate) fn node_tag(&self, id: NodeId) -> u32 {
        let offset = self.node_offsets.get(id.index()).map(|offset| u32::from_le_bytes(*offset) as usize);
        offset.and_then(|offset| self.nodes.get(offset)).map_or(0, |word| u32::from_le_bytes(*word))
    }

    /// Number of slots, which is also the number of pointers that `nativecache_slots` must have.
    #[must_use]
    pub fn slot_count(&self) -> u32 {
        self.slots.len() as u32
    }

    /// One slot.
    ///
    /// # Errors
    /// If there is no such slot.
    pub fn slot(&self, id: SlotId) -> Result<SlotRef<'a>, ImageError> {
        let [tag, a, b, c, d] = record(self.slots, Section::Slots, id.0)?;
        let string = |what, offset, len| self.heaps.string(what, Section::Slots, id.0, offset, len);
        Ok(match tag {
            slot_tag::OBJECT => SlotRef::Object(NodeId(a)),
            slot_tag::BINDING => {
                SlotRef::Binding { module: NodeId(a), name: string("name", b, c)?, offset: d }
            }
            slot_tag::C_SYMBOL => SlotRef::CSymbol {
                library: if a == NONE && b == 0 { None } else { Some(string("library", a, b)?) },
                name: string("name", c, d)?,
            },
            slot_tag::C_STRING => SlotRef::CString(self.heaps.bytes("bytes", Section::Slots, id.0, a, b)?),
            slot_tag::INVOKE => SlotRef::Invoke(NodeId(a)),
            slot_tag::SPECPTR => SlotRef::Specptr(NodeId(a)),
            _ => return Err(unknown("tag", Section::Slots, id.0, tag)),
        })
    }

    /// Number of functions.
    #[must_use]
    pub fn function_count(&self) -> u32 {
        self.functions.len() as u32
    }

    /// One function.
    ///
    /// # Errors
    /// If there is no such function.
    pub fn function(&self, id: FunctionId) -> Result<FunctionRef<'a>, ImageError> {
        let [method_instance, rettype, rettype_const, inferred, flags, wrapper, spec, start, slots, depends, edges] =
            record(self.functions, Section::Functions, id.0)?;
        let invoke = match flags & !(invoke_tag::INLINEABLE | invoke_tag::GENERATED) {
            invoke_tag::ARGS => Invoke::Args,
            invoke_tag::SPARAM => Invoke::Sparam,
            invoke_tag::CONST_RETURN => Invoke::ConstReturn,
            invoke_tag::WRAPPER => Invoke::Wrapper(CodeIndex(wrapper)),
            invoke_tag::INFERRED => Invoke::Inferred,
            invoke_tag::EDGES_ONLY => Invoke::EdgesOnly,
            _ => return Err(unknown("invoke", Section::Functions, id.0, flags)),
        };
        let mut lists = self.lists_from(Section::Functions, id.0, start)?;
        Ok(FunctionRef {
            method_instance: NodeId(method_instance),
            rettype: NodeId(rettype),
            rettype_const: optional(rettype_const),
            inferred: optional(inferred),
            invoke,
            spec: (spec != NONE).then_some(CodeIndex(spec)),
            inlineable: flags & invoke_tag::INLINEABLE != 0,
            generated: flags & invoke_tag::GENERATED != 0,
            slots: lists.take("slot count", slots)?,
            depends: lists.take("dependency count", depends)?,
            edges: lists.take("edge count", edges)?,
        })
    }

    /// All functions in order. Since [`parse`](Self::parse) read each of them once, none is left out.
    pub fn functions(&self) -> impl Iterator<Item = (FunctionId, FunctionRef<'a>)> + 'a {
        let image = *self;
        (0..image.function_count()).map(FunctionId).filter_map(move |id| Some((id, image.function(id).ok()?)))
    }

    /// The lists of a record, which lie one after the other from `start` on.
    fn lists_from(&self, section: Section, index: u32, start: u32) -> Result<Lists<'a>, ImageError> {
        let rest = self
            .lists
            .get(start as usize..)
            .ok_or_else(|| behind_end("list offset", section, index, start, self.lists.len()))?;
        Ok(Lists { rest, section, index })
    }

    /// Number of method tables.
    #[must_use]
    pub fn table_count(&self) -> u32 {
        self.tables.len() as u32
    }

    /// One method table.
    ///
    /// # Errors
    /// If there is no such table.
    pub fn table(&self, id: TableId) -> Result<Table, ImageError> {
        let [typename, live, low, high] = record(self.tables, Section::Tables, id.0)?;
        Ok(Table { typename: NodeId(typename), live, digest: wide(low, high) })
    }

    /// All method tables in order. Since [`parse`](Self::parse) read each of them once, none is left out.
    pub fn tables(&self) -> impl Iterator<Item = (TableId, Table)> + 'a {
        let image = *self;
        (0..image.table_count()).map(TableId).filter_map(move |id| Some((id, image.table(id).ok()?)))
    }

    /// Number of edges.
    #[must_use]
    pub fn edge_count(&self) -> u32 {
        self.edges.len() as u32
    }

    /// One edge.
    ///
    /// # Errors
    /// If there is no such edge.
    pub fn edge(&self, id: EdgeId) -> Result<EdgeRef<'a>, ImageError> {
        let [table, tag, target, start, methods] = record(self.edges, Section::Edges, id.0)?;
        let target = match tag {
            edge_tag::METHOD_INSTANCE => EdgeTarget::MethodInstance(NodeId(target)),
            edge_tag::SIGNATURE => EdgeTarget::Signature(NodeId(target)),
            edge_tag::GENERATED => EdgeTarget::Generated(NodeId(target)),
            edge_tag::CONSTANT => EdgeTarget::Constant(NodeId(target)),
            _ => return Err(unknown("tag", Section::Edges, id.0, tag)),
        };
        let methods = self.lists_from(Section::Edges, id.0, start)?.take("method count", methods)?;
        Ok(EdgeRef { table: TableId(table), target, methods })
    }

    /// All edges in order. Since [`parse`](Self::parse) read each of them once, none is left out.
    pub fn edges(&self) -> impl Iterator<Item = (EdgeId, EdgeRef<'a>)> + 'a {
        let image = *self;
        (0..image.edge_count()).map(EdgeId).filter_map(move |id| Some((id, image.edge(id).ok()?)))
    }

    /// Number of requested methods.
    #[must_use]
    pub fn entry_count(&self) -> u32 {
        self.entries.len() as u32
    }

    /// One requested method.
    ///
    /// # Errors
    /// If there is no such entry.
    pub fn entry(&self, id: EntryId) -> Result<EntryRef<'a>, ImageError> {
        let [statement, len, package, bucket, a, b] = record(self.entries, Section::Entries, id.0)?;
        let (tag, code) = (bucket & 0xffff, (bucket >> 16) as u16);
        let because = || {
            let reason = Reason::from_code(code);
            let reason = reason.ok_or_else(|| unknown("reason", Section::Entries, id.0, u32::from(code)))?;
            Ok::<_, ImageError>((reason, self.heaps.string("detail", Section::Entries, id.0, a, b)?))
        };
        let bucket = match tag {
            bucket_tag::COMPILED => BucketRef::Compiled(FunctionId(a)),
            bucket_tag::SKIPPED => because().map(|(reason, detail)| BucketRef::Skipped { reason, detail })?,
            bucket_tag::FAILED => because().map(|(reason, detail)| BucketRef::Failed { reason, detail })?,
            _ => return Err(unknown("bucket", Section::Entries, id.0, bucket)),
        };
        Ok(EntryRef {
            statement: self.heaps.string("statement", Section::Entries, id.0, statement, len)?,
            package: (package != NONE).then_some(PackageId(package)),
            bucket,
        })
    }
}

#[cold]
pub(crate) fn unknown(what: &'static str, section: Section, index: u32, found: u32) -> ImageError {
    ImageError::UnknownTag { what, section: section.name(), index, found }
}
