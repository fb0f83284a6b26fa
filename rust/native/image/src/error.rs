//! What can be wrong with an image or a library file.

use nativecache_store::{Hex, Reason};
use std::fmt;
use std::path::PathBuf;

/// A 128-bit content hash; shown in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 16]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// Why an image could not be built, written or read: what, where, found, expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There are fewer bytes than there must be.
    #[error("{part} is cut short: {found} bytes, expected at least {expected}")]
    Truncated {
        /// What is cut short.
        part: &'static str,
        /// Bytes that there are.
        found: u64,
        /// Bytes that there must be.
        expected: u64,
    },
    /// The bytes are something else altogether.
    #[error("{part} is not ours: magic bytes {}, expected {}", found.escape_ascii(), expected.escape_ascii())]
    BadMagic {
        /// What was looked at.
        part: &'static str,
        /// The bytes found.
        found: Box<[u8]>,
        /// The bytes that belong there.
        expected: &'static [u8],
    },
    /// Written by a NativeCache with another format.
    #[error("{part} has format version {found}, expected {expected}")]
    FormatVersion {
        /// What was looked at.
        part: &'static str,
        /// The version found.
        found: u32,
        /// The version that this reader knows.
        expected: u32,
    },
    /// The bytes are not those that were written.
    #[error("{part} has content hash {found}, expected {expected}")]
    HashMismatch {
        /// What was hashed.
        part: &'static str,
        /// Hash of the bytes that are there.
        found: Hash,
        /// Hash of the bytes that were written.
        expected: Hash,
    },
    /// A number is too large for what it counts or refers to.
    #[error("{what} of {section}[{index}] is {found}, expected less than {limit}")]
    OutOfRange {
        /// The field.
        what: &'static str,
        /// The section.
        section: &'static str,
        /// The record in the section.
        index: u32,
        /// The number found.
        found: u64,
        /// The first number that is too large.
        limit: u64,
    },
    /// A number is not the one that it has to be.
    #[error("{what} of {section}[{index}] is {found}, expected {expected}")]
    Mismatch {
        /// The field.
        what: &'static str,
        /// The section.
        section: &'static str,
        /// The record in the section.
        index: u32,
        /// The number found.
        found: u64,
        /// The number that belongs there.
        expected: u64,
    },
    /// A number names no kind of thing.
    #[error("{what} of {section}[{index}] is {found}, which names nothing")]
    UnknownTag {
        /// The field.
        what: &'static str,
        /// The section.
        section: &'static str,
        /// The record in the section.
        index: u32,
        /// The number found.
        found: u32,
    },
    /// A field that may be empty must not be so here.
    #[error("{what} of {section}[{index}] is absent, expected because of its {because}")]
    Missing {
        /// The field.
        what: &'static str,
        /// The section.
        section: &'static str,
        /// The record in the section.
        index: u32,
        /// What asks for it.
        because: &'static str,
    },
    /// A field that may be set must not be so here.
    #[error("{what} of {section}[{index}] is present, expected none because of its {because}")]
    Surplus {
        /// The field.
        what: &'static str,
        /// The section.
        section: &'static str,
        /// The record in the section.
        index: u32,
        /// What forbids it.
        because: &'static str,
    },
    /// A piece of the string or byte heap reaches outside it or splits a character.
    #[error("{what} of {section}[{index}] is bytes {offset}..{offset}+{len} of a heap of {heap}, expected whole characters inside it")]
    BadPiece {
        /// The field.
        what: &'static str,
        /// The section.
        section: &'static str,
        /// The record in the section.
        index: u32,
        /// Where the piece begins.
        offset: u32,
        /// How long it is.
        len: u32,
        /// Size of the heap.
        heap: u64,
    },
    /// A name or C string has a NUL inside, where its reader in C would end it.
    #[error("{what} of {section}[{index}] has a NUL at byte {at}, expected none")]
    NulInside {
        /// The field.
        what: &'static str,
        /// The section.
        section: &'static str,
        /// The record in the section.
        index: u32,
        /// Where the NUL is.
        at: u64,
    },
    /// The string heap is not UTF-8.
    #[error("section strings is not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// The first byte that does not fit.
        offset: u64,
    },
    /// More than the format can number.
    #[error("{what} has {found} of {section}, expected at most {limit}")]
    TooLarge {
        /// What grew too large.
        what: &'static str,
        /// What it holds.
        section: &'static str,
        /// How many there are.
        found: u64,
        /// How many there may be.
        limit: u64,
    },
    /// The same name was given two meanings.
    #[error("{what} {name:?} is given twice, as {found} and {expected}")]
    Conflict {
        /// What was named.
        what: &'static str,
        /// The name.
        name: String,
        /// The later meaning.
        found: String,
        /// The earlier meaning.
        expected: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ImageError {
    /// The reason under which a library with this error is put on record.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Truncated { .. } => Reason::Truncated,
            Self::BadMagic { .. } => Reason::BadMagic,
            Self::FormatVersion { .. } => Reason::FormatVersion,
            Self::HashMismatch { .. } => Reason::HashMismatch,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Reason::NotFound,
            Self::Io { .. } => Reason::Unreadable,
            _ => Reason::Malformed,
        }
    }
}
