//! Where things lie in an image: header, section directory, record sizes, tags. Shared by writer and reader;
//! `docs/image-format.md` has the same in words.

use crate::error::ImageError;
use crate::list::Word;

/// The first bytes of an image.
pub const IMAGE_MAGIC: [u8; 8] = *b"NCIMAGE\0";

/// Version of the format of image and trailer. Any change in either raises it.
pub const FORMAT_VERSION: u32 = 4;

/// Bytes before the section directory.
pub(crate) const HEADER_SIZE: usize = 32;
/// Bytes of one entry of the section directory.
pub(crate) const DIRECTORY_ENTRY_SIZE: usize = 16;
/// Sections begin at multiples of this.
pub(crate) const SECTION_ALIGN: usize = 8;

/// Words in a record of each table.
pub(crate) const KEY_WORDS: usize = 4;
pub(crate) const PACKAGE_WORDS: usize = 10;
pub(crate) const MODULE_SET_WORDS: usize = 4;
pub(crate) const SLOT_WORDS: usize = 5;
pub(crate) const FUNCTION_WORDS: usize = 11;
pub(crate) const TABLE_WORDS: usize = 4;
pub(crate) const EDGE_WORDS: usize = 5;
pub(crate) const ENTRY_WORDS: usize = 6;

/// The sections of an image, in the order in which they lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Section {
    Strings = 1,
    Bytes,
    Key,
    Packages,
    ModuleSets,
    NodeOffsets,
    Nodes,
    Slots,
    Functions,
    Lists,
    Tables,
    Edges,
    Entries,
}

impl Section {
    pub(crate) const COUNT: usize = 13;
    pub(crate) const ALL: [Section; Self::COUNT] = [
        Section::Strings,
        Section::Bytes,
        Section::Key,
        Section::Packages,
        Section::ModuleSets,
        Section::NodeOffsets,
        Section::Nodes,
        Section::Slots,
        Section::Functions,
        Section::Lists,
        Section::Tables,
        Section::Edges,
        Section::Entries,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Section::Strings => "strings",
            Section::Bytes => "bytes",
            Section::Key => "key",
            Section::Packages => "packages",
            Section::ModuleSets => "module sets",
            Section::NodeOffsets => "node offsets",
            Section::Nodes => "nodes",
            Section::Slots => "slots",
            Section::Functions => "functions",
            Section::Lists => "lists",
            Section::Tables => "tables",
            Section::Edges => "edges",
            Section::Entries => "entries",
        }
    }

    /// Bytes of one of the things that the section's count counts.
    pub(crate) const fn unit(self) -> usize {
        match self {
            Section::Strings | Section::Bytes => 1,
            Section::NodeOffsets | Section::Nodes | Section::Lists => 4,
            Section::Key => 4 * KEY_WORDS,
            Section::Packages => 4 * PACKAGE_WORDS,
            Section::ModuleSets => 4 * MODULE_SET_WORDS,
            Section::Slots => 4 * SLOT_WORDS,
            Section::Functions => 4 * FUNCTION_WORDS,
            Section::Tables => 4 * TABLE_WORDS,
            Section::Edges => 4 * EDGE_WORDS,
            Section::Entries => 4 * ENTRY_WORDS,
        }
    }
}

/// First words of nodes. Part of the format: append, never renumber.
pub(crate) mod node_tag {
    pub(crate) const SYMBOL: u32 = 1;
    pub(crate) const ROOT_MODULE: u32 = 2;
    pub(crate) const SUBMODULE: u32 = 3;
    pub(crate) const CONST_VALUE: u32 = 4;
    pub(crate) const FIELD: u32 = 5;
    pub(crate) const TYPE_NAME: u32 = 6;
    pub(crate) const WRAPPER: u32 = 7;
    pub(crate) const APPLY: u32 = 8;
    pub(crate) const TUPLE: u32 = 9;
    pub(crate) const TYPE_VAR: u32 = 10;
    pub(crate) const UNION_ALL: u32 = 11;
    pub(crate) const UNION: u32 = 12;
    pub(crate) const SVEC: u32 = 13;
    pub(crate) const BITS: u32 = 14;
    pub(crate) const STRING: u32 = 15;
    pub(crate) const STRUCT: u32 = 16;
    pub(crate) const MUTABLE_STRUCT: u32 = 17;
    pub(crate) const ARRAY: u32 = 18;
    pub(crate) const ARRAY_BITS: u32 = 19;
    pub(crate) const SINGLETON: u32 = 20;
    pub(crate) const EXPR: u32 = 21;
    pub(crate) const METHOD: u32 = 22;
    pub(crate) const ROOT: u32 = 23;
    pub(crate) const METHOD_INSTANCE: u32 = 24;
    pub(crate) const CODE_INSTANCE: u32 = 25;
    pub(crate) const BUILTIN: u32 = 26;
    pub(crate) const INFERRED_CODE: u32 = 27;
    pub(crate) const SYSIMAGE: u32 = 28;
}

/// First words of slots.
pub(crate) mod slot_tag {
    pub(crate) const OBJECT: u32 = 1;
    pub(crate) const BINDING: u32 = 2;
    pub(crate) const C_SYMBOL: u32 = 3;
    pub(crate) const C_STRING: u32 = 4;
    pub(crate) const INVOKE: u32 = 5;
    pub(crate) const SPECPTR: u32 = 6;
}

/// Low byte of the word `invoke` of a function.
pub(crate) mod invoke_tag {
    pub(crate) const ARGS: u32 = 1;
    pub(crate) const SPARAM: u32 = 2;
    pub(crate) const CONST_RETURN: u32 = 3;
    pub(crate) const WRAPPER: u32 = 4;
    pub(crate) const INFERRED: u32 = 5;
    pub(crate) const EDGES_ONLY: u32 = 6;
    /// Added when callers may inline the function.
    pub(crate) const INLINEABLE: u32 = 0x100;
    /// Added when the method is a generated function whose body was fixed at build.
    pub(crate) const GENERATED: u32 = 0x200;
}

/// What the target of an edge is.
pub(crate) mod edge_tag {
    pub(crate) const METHOD_INSTANCE: u32 = 1;
    pub(crate) const SIGNATURE: u32 = 2;
    pub(crate) const GENERATED: u32 = 3;
    pub(crate) const CONSTANT: u32 = 4;
}

/// Low half of the word `bucket` of an entry; the high half is the reason's code.
pub(crate) mod bucket_tag {
    pub(crate) const COMPILED: u32 = 1;
    pub(crate) const SKIPPED: u32 = 2;
    pub(crate) const FAILED: u32 = 3;
}

/// An image cut into its sections.
pub(crate) struct Sections<'a> {
    pub(crate) code_count: u32,
    pub(crate) base_world: u64,
    pieces: [&'a [u8]; Section::COUNT],
}

impl<'a> Sections<'a> {
    /// Checks header and directory: sections in order, each where the one before ends, nothing left over.
    pub(crate) fn split(image: &'a [u8]) -> Result<Self, ImageError> {
        let table_end = HEADER_SIZE + Section::COUNT * DIRECTORY_ENTRY_SIZE;
        let Some((magic, _)) = image.split_first_chunk::<8>() else {
            return Err(cut_short(image.len(), table_end));
        };
        if *magic != IMAGE_MAGIC {
            return Err(ImageError::BadMagic {
                part: "image",
                found: magic.as_slice().into(),
                expected: &IMAGE_MAGIC,
            });
        }
        let version = header_word(image, 2, table_end)?;
        if version != FORMAT_VERSION {
            return Err(ImageError::FormatVersion {
                part: "image",
                found: version,
                expected: FORMAT_VERSION,
            });
        }
        let Some(table) = image.get(HEADER_SIZE..table_end) else {
            return Err(cut_short(image.len(), table_end));
        };
        expect("section count", "header", 0, header_word(image, 3, table_end)?, Section::COUNT)?;
        let length = header_word(image, 4, table_end)?;
        if image.len() < length as usize {
            return Err(cut_short(image.len(), length as usize));
        }
        expect("length", "header", 0, length, image.len())?;
        let code_count = header_word(image, 5, table_end)?;
        let low = u64::from(header_word(image, 6, table_end)?);
        let base_world = u64::from(header_word(image, 7, table_end)?) << 32 | low;

        let mut pieces: [&'a [u8]; Section::COUNT] = [&[]; Section::COUNT];
        let mut end = table_end;
        for ((section, entry), piece) in
            Section::ALL.into_iter().zip(words(table).as_chunks::<4>().0).zip(&mut pieces)
        {
            let [id, offset, count, size] = entry.map(u32::from_le_bytes);
            let row = section as u32 - 1;
            expect("section id", "directory", row, id, section as usize)?;
            expect("offset", "directory", row, offset, end)?;
            // A count and a size of 32 bits each cannot overflow the product in 64 bits.
            let wanted = u64::from(count) * section.unit() as u64;
            if u64::from(size) != wanted {
                let found = u64::from(size);
                return Err(ImageError::Mismatch {
                    what: "size",
                    section: "directory",
                    index: row,
                    found,
                    expected: wanted,
                });
            }
            let start = end;
            let stop = start.saturating_add(size as usize);
            let Some(bytes) = image.get(start..stop) else {
                let (found, limit) = (stop as u64, image.len() as u64 + 1);
                return Err(ImageError::OutOfRange {
                    what: "end",
                    section: "directory",
                    index: row,
                    found,
                    limit,
                });
            };
            *piece = bytes;
            end = stop.next_multiple_of(SECTION_ALIGN);
            let Some(padding) = image.get(stop..end) else {
                return Err(cut_short(image.len(), end));
            };
            if let Some(byte) = padding.iter().find(|byte| **byte != 0) {
                expect("padding", "directory", row, u32::from(*byte), 0)?;
            }
        }
        expect("length", "header", 0, length, end)?;
        Ok(Self { code_count, base_world, pieces })
    }

    pub(crate) fn bytes(&self, section: Section) -> &'a [u8] {
        self.pieces.get(section as usize - 1).copied().unwrap_or_default()
    }

    pub(crate) fn words(&self, section: Section) -> &'a [Word] {
        words(self.bytes(section))
    }

    pub(crate) fn records<const N: usize>(&self, section: Section) -> &'a [[Word; N]] {
        self.words(section).as_chunks::<N>().0
    }
}

/// The bytes as words; a rest that fills no word (which the checks above rule out) is left out.
fn words(bytes: &[u8]) -> &[Word] {
    bytes.as_chunks::<4>().0
}

fn header_word(image: &[u8], index: usize, expected: usize) -> Result<u32, ImageError> {
    words(image)
        .get(index)
        .map(|word| u32::from_le_bytes(*word))
        .ok_or_else(|| cut_short(image.len(), expected))
}

fn cut_short(found: usize, expected: usize) -> ImageError {
    ImageError::Truncated { part: "image", found: found as u64, expected: expected as u64 }
}

fn expect(
    what: &'static str,
    section: &'static str,
    index: u32,
    found: u32,
    expected: usize,
) -> Result<(), ImageError> {
    if found as usize == expected {
        return Ok(());
    }
    Err(ImageError::Mismatch { what, section, index, found: u64::from(found), expected: expected as u64 })
}
