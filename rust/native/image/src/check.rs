//! The one pass over all records that [`Image::parse`] makes: every number must refer to something that exists.

use crate::error::ImageError;
use crate::ids::{CodeIndex, EdgeId, EntryId, FunctionId, NodeId, PackageId, SlotId, TableId};
use crate::layout::Section;
use crate::model::{EdgeTarget, Invoke};
use crate::node_ref::NodeRef;
use crate::reader::{behind_end, BucketRef, FunctionRef, Image, SlotRef};

/// Checks every record of every table.
pub(crate) fn all(image: &Image<'_>) -> Result<(), ImageError> {
    (0..image.key_count()).try_for_each(|index| image.key_component(index).map(drop))?;
    (0..image.package_count()).try_for_each(|index| image.package(PackageId(index)).map(drop))?;
    (0..image.module_set_count()).try_for_each(|index| image.module_set(index).map(drop))?;
    nodes(image)?;
    (0..image.slot_count()).try_for_each(|index| slot(image, index))?;
    (0..image.table_count()).try_for_each(|index| table(image, index))?;
    let end = edges(image)?;
    let end = functions(image, end)?;
    ends("words used", Section::Lists, end, image.lists.len())?;
    (0..image.entry_count()).try_for_each(|index| entry(image, index))
}

/// Nodes lie one after the other, and each refers to earlier ones only.
fn nodes(image: &Image<'_>) -> Result<(), ImageError> {
    let mut rest = image.nodes;
    for (index, offset) in (0_u32..).zip(image.node_offsets) {
        let found = u32::from_le_bytes(*offset);
        follows("offset", Section::NodeOffsets, index, found, image.nodes.len() - rest.len())?;
        let (node, words) = NodeRef::decode(image.heaps, rest, index)?;
        rest = rest.get(words..).unwrap_or_default();
        if let NodeRef::RootModule(package) = node {
            below("package", Section::Nodes, index, package.0, image.package_count())?;
        }
        if let Some(name) = node.name() {
            without_nul("name", Section::Nodes, index, name.as_bytes())?;
        }
        if let NodeRef::InferredCode { bytes, roots, places, .. } = node {
            root_numbers(index, bytes, roots.len(), places.iter())?;
        }
        node.try_for_each_operand(|operand| below("operand", Section::Nodes, index, operand.0, index))?;
    }
    ends("words used", Section::Nodes, image.nodes.len() - rest.len(), image.nodes.len())
}

/// Places of inferred code lie within it, one behind the other, and each holds the number of a root.
pub(crate) fn root_numbers(
    index: u32,
    bytes: &[u8],
    roots: usize,
    places: impl Iterator<Item = u32>,
) -> Result<(), ImageError> {
    let mut free = 0;
    for place in places {
        let start = place as usize;
        let number = bytes.get(start..).and_then(|rest| rest.first_chunk::<2>());
        let Some(number) = number.filter(|_| start >= free) else {
            return Err(behind_end("place", Section::Nodes, index, place, bytes.len()));
        };
        let number = u32::from(u16::from_le_bytes(*number));
        below("root number", Section::Nodes, index, number, u32::try_from(roots).unwrap_or(u32::MAX))?;
        free = start + 2;
    }
    Ok(())
}

fn slot(image: &Image<'_>, index: u32) -> Result<(), ImageError> {
    let node = |node: NodeId| below("node", Section::Slots, index, node.0, image.node_count());
    let clean = |what, bytes: &[u8]| without_nul(what, Section::Slots, index, bytes);
    match image.slot(SlotId(index))? {
        SlotRef::Object(object) => node(object),
        SlotRef::Invoke(code_instance) | SlotRef::Specptr(code_instance) => node(code_instance),
        SlotRef::Binding { module, name, .. } => {
            node(module)?;
            clean("name", name.as_bytes())
        }
        SlotRef::CSymbol { library, name } => {
            clean("library", library.unwrap_or_default().as_bytes())?;
            clean("name", name.as_bytes())
        }
        SlotRef::CString(bytes) => clean("bytes", bytes),
    }
}

fn table(image: &Image<'_>, index: u32) -> Result<(), ImageError> {
    let table = image.table(TableId(index))?;
    below("type name", Section::Tables, index, table.typename.0, image.node_count())
}

/// Lists lie one after the other, so a few words cannot claim a long list many times over. Returns where those of
/// edges end and those of functions begin.
fn edges(image: &Image<'_>) -> Result<usize, ImageError> {
    let mut end = 0;
    for (index, record) in (0_u32..).zip(image.edges) {
        let [.., start, _] = record.map(u32::from_le_bytes);
        follows("list offset", Section::Edges, index, start, end)?;
        let edge = image.edge(EdgeId(index))?;
        end += edge.methods.len();
        let check = |what, found, limit| below(what, Section::Edges, index, found, limit);
        check("table", edge.table.0, image.table_count())?;
        match edge.target {
            EdgeTarget::MethodInstance(target) => check("method instance", target.0, image.node_count())?,
            EdgeTarget::Generated(target) => check("method instance", target.0, image.node_count())?,
            EdgeTarget::Constant(target) => check("module", target.0, image.node_count())?,
            EdgeTarget::Signature(target) => check("signature", target.0, image.node_count())?,
        }
        edge.methods.iter().try_for_each(|method| check("method", method.0, image.node_count()))?;
    }
    Ok(end)
}

/// Lists of functions begin at `end` and go on like those of edges. Returns where they end.
fn functions(image: &Image<'_>, mut end: usize) -> Result<usize, ImageError> {
    for (index, record) in (0_u32..).zip(image.functions) {
        let [.., start, _, _, _] = record.map(u32::from_le_bytes);
        follows("list offset", Section::Functions, index, start, end)?;
        let function = image.function(FunctionId(index))?;
        end += function.slots.len() + function.depends.len() + function.edges.len();
        references(image, index, &function)?;
        invocable(index, function.invoke, function.spec.is_some(), function.rettype_const.is_some())?;
    }
    Ok(end)
}

fn references(image: &Image<'_>, index: u32, function: &FunctionRef<'_>) -> Result<(), ImageError> {
    let check = |what, found, limit| below(what, Section::Functions, index, found, limit);
    let node = |what, node: NodeId| check(what, node.0, image.node_count());
    let code = |what, code: CodeIndex| check(what, code.0, image.code_count);
    node("method instance", function.method_instance)?;
    node("return type", function.rettype)?;
    function.rettype_const.map_or(Ok(()), |constant| node("constant result", constant))?;
    function.inferred.map_or(Ok(()), |inferred| node("inferred code", inferred))?;
    if let Invoke::Wrapper(wrapper) = function.invoke {
        code("wrapper", wrapper)?;
    }
    function.spec.map_or(Ok(()), |spec| code("specialised code", spec))?;
    function.slots.iter().try_for_each(|slot| check("slot", slot.0, image.slot_count()))?;
    function.depends.iter().try_for_each(|other| check("dependency", other.0, image.function_count()))?;
    function.edges.iter().try_for_each(|edge| check("edge", edge.0, image.edge_count()))
}

/// What `invoke` calls without asking must be there: a null `specptr` or result would be followed. And there must be no
/// code where `invoke` says so, or it would never run.
pub(crate) fn invocable(index: u32, invoke: Invoke, spec: bool, constant: bool) -> Result<(), ImageError> {
    let what = match invoke {
        Invoke::Args | Invoke::Sparam if !spec => "specialised code",
        Invoke::ConstReturn if !constant => "constant result",
        Invoke::Inferred | Invoke::EdgesOnly if spec => {
            let (what, section) = ("specialised code", Section::Functions.name());
            return Err(ImageError::Surplus { what, section, index, because: "invoke" });
        }
        _ => return Ok(()),
    };
    Err(ImageError::Missing { what, section: Section::Functions.name(), index, because: "invoke" })
}

fn entry(image: &Image<'_>, index: u32) -> Result<(), ImageError> {
    let entry = image.entry(EntryId(index))?;
    if let Some(package) = entry.package {
        below("package", Section::Entries, index, package.0, image.package_count())?;
    }
    match entry.bucket {
        BucketRef::Compiled(function) => {
            below("function", Section::Entries, index, function.0, image.function_count())
        }
        BucketRef::Skipped { .. } | BucketRef::Failed { .. } => Ok(()),
    }
}

/// Names are handed to C functions, which would stop at a NUL or throw because of it.
#[inline]
pub(crate) fn without_nul(
    what: &'static str,
    section: Section,
    index: u32,
    bytes: &[u8],
) -> Result<(), ImageError> {
    match bytes.iter().position(|byte| *byte == 0) {
        None => Ok(()),
        Some(at) => {
            let at = at as u64;
            Err(ImageError::NulInside { what, section: section.name(), index, at })
        }
    }
}

#[inline]
pub(crate) fn below(
    what: &'static str,
    section: Section,
    index: u32,
    found: u32,
    limit: u32,
) -> Result<(), ImageError> {
    if found < limit {
        return Ok(());
    }
    Err(behind_end(what, section, index, found, limit as usize))
}

#[inline]
fn follows(
    what: &'static str,
    section: Section,
    index: u32,
    found: u32,
    expected: usize,
) -> Result<(), ImageError> {
    if found as usize == expected {
        return Ok(());
    }
    let (found, expected) = (u64::from(found), expected as u64);
    Err(ImageError::Mismatch { what, section: section.name(), index, found, expected })
}

fn ends(what: &'static str, section: Section, found: usize, expected: usize) -> Result<(), ImageError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (found as u64, expected as u64);
    Err(ImageError::Mismatch { what, section: section.name(), index: 0, found, expected })
}
