//! Is a library what would be built now? Each of its functions against the same one in a fresh library.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;

use nativecache_codegen::{Disassembler, MachineInstruction};
use nativecache_image::{
    BucketRef, Digest, Digests, EntryId, FunctionRef, Image, ImageError, Invoke, NodeId, NodeRef, SlotId,
};
use nativecache_runtime::load::library::{Code, LibraryFile};

use nativecache_store::Hex;

use crate::error::BuildError;

/// One function of which the two libraries say different things.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The statement that asked for it, or its signature.
    pub(crate) method: String,
    /// What differs.
    pub(crate) what: String,
    /// Its number in the library that was there, if it is in it.
    pub(crate) number: Option<u32>,
}

/// What one library says of a function, without its own numbers.
struct Said {
    number: u32,
    method: String,
    facts: BTreeMap<&'static str, Vec<Digest>>,
    code: Vec<String>,
}

/// Compares two libraries. Those of equal bytes differ in nothing.
pub(crate) fn compare(held: &Path, fresh: &Path) -> Result<Vec<Difference>, BuildError> {
    let read = |path: &Path| std::fs::read(path).map_err(BuildError::at(path));
    if read(held)? == read(fresh)? {
        return Ok(Vec::new());
    }
    let (mut held, fresh) = (say(held)?, say(fresh)?);
    let mut found = Vec::new();
    for (instance, now) in fresh {
        match held.remove(&instance) {
            None => found.push(Difference {
                method: now.method,
                what: "the library lacks it".to_owned(),
                number: None,
            }),
            Some(then) => found.extend(difference(&then, &now)),
        }
    }
    found.extend(held.into_values().map(|then| Difference {
        method: then.method,
        what: "it would not be in the library now".to_owned(),
        number: Some(then.number),
    }));
    if found.is_empty() {
        let what = "the files differ, although no function does".to_owned();
        found.push(Difference { method: "the library".to_owned(), what, number: None });
    }
    found.sort_by(|a, b| a.method.cmp(&b.method));
    Ok(found)
}

fn difference(then: &Said, now: &Said) -> Option<Difference> {
    let fact = then.facts.iter().find(|(name, digests)| now.facts.get(*name) != Some(digests));
    let what = match fact {
        Some((name, _)) => (*name).to_owned(),
        None if then.code == now.code => return None,
        None => match then.code.iter().zip(&now.code).find(|(a, b)| a != b) {
            Some((a, b)) => format!("machine code: {a} in the library, {b} now"),
            None => format!("machine code: {} instructions, {} now", then.code.len(), now.code.len()),
        },
    };
    Some(Difference { method: now.method.clone(), what, number: Some(then.number) })
}

fn say(path: &Path) -> Result<BTreeMap<Digest, Said>, BuildError> {
    let unusable = |source| BuildError::Incomparable { library: path.to_owned(), source };
    let file = LibraryFile::open(path).map_err(unusable)?;
    let image = file.image().map_err(unusable)?;
    let code = file.load().map_err(unusable)?;
    let reader = Reader { image, digests: Digests::of(image)?, code: &code, spans: spans(&image, &code) };
    let disassembler = Disassembler::new();
    let mut statements = HashMap::new();
    for index in 0..image.entry_count() {
        let entry = image.entry(EntryId(index))?;
        if let BucketRef::Compiled(function) = entry.bucket {
            statements.insert(function, entry.statement);
        }
    }
    let mut said = BTreeMap::new();
    for (id, function) in image.functions() {
        let method = match statements.get(&id) {
            Some(statement) => (*statement).to_owned(),
            None => signature(&image, function.method_instance),
        };
        let code = disassembler.as_ref().map_or_else(Vec::new, |d| reader.code(&function, d));
        let instance = reader.digests.node(function.method_instance);
        said.insert(instance, Said { number: id.0, method, facts: reader.facts(&function)?, code });
    }
    Ok(said)
}

/// Where each piece of machine code begins and ends, by where it begins.
fn spans(image: &Image<'_>, code: &Code) -> BTreeMap<usize, usize> {
    // SAFETY: indices are below the code count of the image that belongs to the code.
    let starts: BTreeSet<usize> = (0..image.code_count()).map(|i| unsafe { code.function(i) }).collect();
    let ends = starts.iter().skip(1).copied().map(Some).chain([None]);
    let end_of = |start: usize| code.segments().iter().find(|s| s.contains(&start)).map_or(start, |s| s.end);
    starts.iter().zip(ends).map(|(start, end)| (*start, end.unwrap_or_else(|| end_of(*start)))).collect()
}

struct Reader<'a> {
    image: Image<'a>,
    digests: Digests<'a>,
    code: &'a Code,
    spans: BTreeMap<usize, usize>,
}

impl Reader<'_> {
    fn facts(&self, function: &FunctionRef<'_>) -> Result<BTreeMap<&'static str, Vec<Digest>>, ImageError> {
        let node = |node: Option<NodeId>| node.map(|node| self.digests.node(node)).into_iter().collect();
        let sorted = |mut digests: Vec<Digest>| {
            digests.sort_unstable();
            digests
        };
        let slots = function.slots.iter().map(|slot| self.digests.slot(slot)).collect::<Result<_, _>>()?;
        let edges = function.edges.iter().map(|edge| self.digests.edge(edge)).collect::<Result<_, _>>()?;
        let mut how = [0; 16];
        how[0] = match function.invoke {
            Invoke::Args => 1,
            Invoke::Sparam => 2,
            Invoke::ConstReturn => 3,
            Invoke::Wrapper(_) => 4,
            Invoke::Inferred => 5,
            Invoke::EdgesOnly => 6,
        };
        Ok(BTreeMap::from([
            ("return type", node(Some(function.rettype))),
            ("constant result", node(function.rettype_const)),
            ("inferred code", node(function.inferred)),
            ("calling convention", vec![how]),
            ("edges", sorted(edges)),
            ("what its code refers to", sorted(slots)),
        ]))
    }

    /// The instructions of a function, with what they refer to in place of addresses.
    fn code(&self, function: &FunctionRef<'_>, disassembler: &Disassembler) -> Vec<String> {
        let wrapper = match function.invoke {
            Invoke::Wrapper(code) => Some(code),
            _ => None,
        };
        let mut text = Vec::new();
        for code in [function.spec, wrapper].into_iter().flatten() {
            // SAFETY: the image was checked against its code count, and belongs to the code.
            let start = unsafe { self.code.function(code.0) };
            let Some(end) = self.spans.get(&start).copied() else { continue };
            let Some(bytes) = self.code.bytes(start..end) else { continue };
            let mut lines: Vec<String> = disassembler
                .instructions(bytes, start as u64)
                .iter()
                .map(|instruction| self.plain(instruction, &(start..end)))
                .collect();
            // What fills the space up to the next function is not code of this one.
            while lines.last().is_some_and(|line| is_filling(line)) {
                lines.pop();
            }
            text.extend(lines);
        }
        text
    }

    fn plain(&self, instruction: &MachineInstruction, own: &Range<usize>) -> String {
        // Whether a vector move is of the aligned kind depends on where a slot came to lie in the table.
        let text = instruction.text.replace('\t', " ").replacen("movap", "movup", 1);
        let next = (instruction.address + instruction.length) as i64;
        if let Some(at) = text.find("(%rip)") {
            let start = text[..at].rfind(|c: char| !c.is_ascii_digit() && c != '-').map_or(0, |i| i + 1);
            let Ok(offset) = text[start..at].parse::<i64>() else { return text };
            let target = next.wrapping_add(offset) as usize;
            let what = self.what(target, text.starts_with("lea"));
            return format!("{}{what}{}", &text[..start], &text[at..]);
        }
        let mut words = text.split(' ');
        if let (Some(name @ ("callq" | "jmp" | "jmpq")), Some(offset)) = (words.next(), words.next()) {
            if let Ok(offset) = offset.parse::<i64>() {
                let target = next.wrapping_add(offset) as usize;
                if !own.contains(&target) {
                    return format!("{name} {}", self.what(target, true));
                }
            }
        }
        text
    }

    /// What lies at an address of the library. A constant is told by its value; where only the address is
    /// taken, there may be a jump table, whose contents are distances.
    fn what(&self, target: usize, address_only: bool) -> String {
        if let Some(slot) = self.code.slot_at(target, self.image.slot_count()) {
            let digest = self.digests.slot(SlotId(slot)).unwrap_or_default();
            return format!("<slot {}>", Hex(&digest));
        }
        if self.spans.contains_key(&target) {
            return "<function>".to_owned();
        }
        match self.code.bytes(target..target + 8) {
            Some(bytes) if !address_only => format!("<constant {}>", Hex(bytes)),
            _ => "<data>".to_owned(),
        }
    }
}

fn is_filling(line: &str) -> bool {
    line.starts_with("nop")
        || line.starts_with("int3")
        || line.starts_with("data16")
        || line == "addb %al, (%rax)"
}

/// The specialised types of a method instance, for people.
fn signature(image: &Image<'_>, instance: NodeId) -> String {
    match image.node(instance) {
        Ok(NodeRef::MethodInstance { spec_types, .. }) => type_text(image, spec_types, 0),
        _ => "a method instance".to_owned(),
    }
}

fn type_text(image: &Image<'_>, node: NodeId, depth: u32) -> String {
    if depth > 20 {
        return "…".to_owned();
    }
    let list = |name: String, nodes: nativecache_image::List<'_, NodeId>| {
        if nodes.is_empty() && name != "Tuple" {
            return name;
        }
        let items: Vec<String> = nodes.iter().map(|node| type_text(image, node, depth + 1)).collect();
        format!("{name}{{{}}}", items.join(", "))
    };
    match image.node(node) {
        Ok(NodeRef::TypeName { module, name } | NodeRef::ConstValue { module, name }) => {
            format!("{}.{name}", type_text(image, module, depth + 1))
        }
        Ok(NodeRef::Submodule { parent, name }) => format!("{}.{name}", type_text(image, parent, depth + 1)),
        Ok(NodeRef::RootModule(package)) => image.package(package).map_or("", |p| p.name).to_owned(),
        Ok(NodeRef::Wrapper { typename }) => type_text(image, typename, depth + 1),
        Ok(NodeRef::Apply { typename, params }) => list(type_text(image, typename, depth + 1), params),
        Ok(NodeRef::Tuple { params }) => list("Tuple".to_owned(), params),
        Ok(NodeRef::Union { members }) => list("Union".to_owned(), members),
        Ok(NodeRef::UnionAll { body, .. }) => type_text(image, body, depth + 1),
        Ok(NodeRef::Symbol(name) | NodeRef::TypeVar { name, .. }) => name.to_owned(),
        Ok(NodeRef::Builtin(builtin)) => {
            builtin.symbol().trim_start_matches("jl_").trim_end_matches("_type").to_owned()
        }
        _ => "…".to_owned(),
    }
}
