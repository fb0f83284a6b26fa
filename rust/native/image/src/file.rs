//! The library file: `ELF shared object || padding || image || trailer`.
//!
//! The dynamic linker ignores what follows the ELF file, so machine code and tables travel in one file and are
//! replaced in one rename.

use crate::error::{Hash, ImageError};
use crate::layout::FORMAT_VERSION;
use crate::reader::Image;
use nativecache_mutation::mutation;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use twox_hash::XxHash3_128;

/// The last bytes of a library file.
pub const TRAILER_MAGIC: [u8; 8] = *b"NCLIBEND";
/// Bytes of the trailer.
pub const TRAILER_SIZE: usize = 96;
/// The image begins at a multiple of this in the file.
pub const IMAGE_ALIGN: usize = 64;

const ELF_MAGIC: [u8; 4] = *b"\x7fELF";

/// The content hash of anything: XXH3 with 128 bits, in canonical (big-endian) order.
#[must_use]
pub fn content_hash(bytes: &[u8]) -> Hash {
    Hash(XxHash3_128::oneshot(bytes).to_be_bytes())
}

/// The content hash of what comes piece by piece.
struct Pieces(XxHash3_128);

impl Pieces {
    fn new() -> Self {
        Self(XxHash3_128::new())
    }

    fn add(&mut self, piece: &[u8]) {
        self.0.write(piece);
    }

    fn is(&self, part: &'static str, expected: Hash) -> Result<(), ImageError> {
        let found = Hash(self.0.finish_128().to_be_bytes());
        if found == expected {
            return Ok(());
        }
        Err(ImageError::HashMismatch { part, found, expected })
    }
}

/// What stands at the end of a library file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trailer {
    /// Length of the ELF file.
    pub elf_len: u64,
    /// Where the image begins.
    pub image_offset: u64,
    /// Length of the image.
    pub image_len: u64,
    /// Length of the whole file.
    pub file_len: u64,
    /// Hash of everything before the image.
    pub elf_hash: Hash,
    /// Hash of the image; the ELF file has it as `nativecache_build_id`.
    pub image_hash: Hash,
}

/// Where the parts of a library file lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The ELF shared object.
    pub elf: Range<usize>,
    /// The image.
    pub image: Range<usize>,
    /// Hash of the image; must be what `nativecache_build_id` holds.
    pub image_hash: Hash,
}

impl Layout {
    /// The image's bytes; empty if `file` is not the file that was verified.
    #[must_use]
    pub fn image_bytes<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        file.get(self.image.clone()).unwrap_or_default()
    }
}

impl Trailer {
    /// Reads the trailer from the end of `bytes`: a whole library file, or just its last [`TRAILER_SIZE`] bytes.
    ///
    /// Magic and format version are looked at first: they are the last 16 bytes in every version of the format.
    ///
    /// # Errors
    /// If there is none, if it is of another version, or if it is damaged.
    pub fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let truncated = || ImageError::Truncated {
            part: "library file",
            found: bytes.len() as u64,
            expected: TRAILER_SIZE as u64,
        };
        let (rest, magic) = bytes.split_last_chunk::<8>().ok_or_else(truncated)?;
        if *magic != TRAILER_MAGIC {
            if bytes.starts_with(&ELF_MAGIC) {
                // An ELF file without our end is most likely ours without its end.
                let expected = (bytes.len() + TRAILER_SIZE) as u64;
                return Err(ImageError::Truncated {
                    part: "library file",
                    found: bytes.len() as u64,
                    expected,
                });
            }
            return Err(ImageError::BadMagic {
                part: "library file",
                found: magic.as_slice().into(),
                expected: &TRAILER_MAGIC,
            });
        }
        let (_, version) = rest.split_last_chunk::<4>().ok_or_else(truncated)?;
        let version = u32::from_le_bytes(*version);
        if version != FORMAT_VERSION {
            return Err(ImageError::FormatVersion {
                part: "library file",
                found: version,
                expected: FORMAT_VERSION,
            });
        }
        let (_, trailer) = bytes.split_last_chunk::<TRAILER_SIZE>().ok_or_else(truncated)?;
        let [elf_len, image_offset, image_len, file_len, elf_1, elf_2, image_1, image_2, own_1, own_2, size, _] =
            *trailer.as_chunks::<8>().0
        else {
            return Err(truncated());
        };
        let decoded = Self {
            elf_len: u64::from_le_bytes(elf_len),
            image_offset: u64::from_le_bytes(image_offset),
            image_len: u64::from_le_bytes(image_len),
            file_len: u64::from_le_bytes(file_len),
            elf_hash: joined(elf_1, elf_2),
            image_hash: joined(image_1, image_2),
        };
        let (found, expected) = (content_hash(&decoded.hashed()), joined(own_1, own_2));
        if found != expected {
            return Err(ImageError::HashMismatch { part: "trailer", found, expected });
        }
        let [a, b, c, d, ..] = size;
        let size = u32::from_le_bytes([a, b, c, d]);
        if size as usize != TRAILER_SIZE {
            return Err(mismatch("size", u64::from(size), TRAILER_SIZE as u64));
        }
        Ok(decoded)
    }

    /// Where the parts lie in a file of `len` bytes that ends in this.
    ///
    /// # Errors
    /// If it is not the end of a file of that length.
    pub fn layout(&self, len: u64) -> Result<Layout, ImageError> {
        if self.file_len > len {
            let (found, expected) = (len, self.file_len);
            return Err(ImageError::Truncated { part: "library file", found, expected });
        }
        if self.file_len != len {
            return Err(mismatch("file length", self.file_len, len));
        }
        let image_offset = self.elf_len.checked_next_multiple_of(IMAGE_ALIGN as u64).unwrap_or(u64::MAX);
        if self.image_offset != image_offset {
            return Err(mismatch("image offset", self.image_offset, image_offset));
        }
        let body = len.saturating_sub(TRAILER_SIZE as u64);
        let Some(image_len) = body.checked_sub(self.image_offset) else {
            return Err(mismatch("image offset", self.image_offset, body));
        };
        if self.image_len != image_len {
            return Err(mismatch("image length", self.image_len, image_len));
        }
        let place =
            |at: u64| usize::try_from(at).map_err(|_| mismatch("file length", len, usize::MAX as u64));
        Ok(Layout {
            elf: 0..place(self.elf_len)?,
            image: place(self.image_offset)?..place(body)?,
            image_hash: self.image_hash,
        })
    }

    /// The bytes that the trailer's own hash covers: all fields.
    fn hashed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILER_SIZE);
        for number in [self.elf_len, self.image_offset, self.image_len, self.file_len] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.elf_hash.0);
        out.extend_from_slice(&self.image_hash.0);
        out
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = self.hashed();
        out.extend_from_slice(&content_hash(&out).0);
        out.extend_from_slice(&(TRAILER_SIZE as u32).to_le_bytes());
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&TRAILER_MAGIC);
        out
    }
}

fn joined(first: [u8; 8], second: [u8; 8]) -> Hash {
    let mut hash = [0; 16];
    for (place, byte) in hash.iter_mut().zip(first.into_iter().chain(second)) {
        *place = byte;
    }
    Hash(hash)
}

fn mismatch(what: &'static str, found: u64, expected: u64) -> ImageError {
    ImageError::Mismatch { what, section: "trailer", index: 0, found, expected }
}

/// Checks that a library file is whole and says where its parts lie. Reads every byte once.
///
/// # Errors
/// If it is not a library file of this format version, or not byte for byte what was written.
pub fn verify(file: &[u8]) -> Result<Layout, ImageError> {
    let trailer = Trailer::read(file)?;
    let layout = trailer.layout(file.len() as u64)?;
    let (before, rest) = file.split_at_checked(layout.image.start).unwrap_or((file, &[]));
    let image = rest.get(..layout.image.len()).unwrap_or_default();
    for (part, bytes, expected) in [(CODE, before, trailer.elf_hash), (IMAGE, image, trailer.image_hash)] {
        let found = content_hash(bytes);
        if found != expected {
            return Err(ImageError::HashMismatch { part, found, expected });
        }
    }
    Ok(layout)
}

const CODE: &str = "machine code";
const IMAGE: &str = "image";

/// How much of the code is in memory at a time: it stays in the processor's cache until it is hashed, and no page but
/// those of the image has to be made for the file.
const PIECE: usize = 64 << 10;

/// The same as [`verify`] for a file of `len` bytes that ends in `trailer`, read piece by piece: the image, which is all
/// that is kept of it.
///
/// # Errors
/// The outer one if it cannot be read, the inner one as for [`verify`].
pub fn read_verified(
    source: &mut impl Read,
    trailer: &Trailer,
    len: u64,
) -> io::Result<Result<Vec<u8>, ImageError>> {
    let layout = match trailer.layout(len) {
        Ok(layout) => layout,
        Err(error) => return Ok(Err(error)),
    };
    let mut code = Pieces::new();
    let mut buffer = vec![0; PIECE.min(layout.image.start)];
    let mut left = layout.image.start;
    while left > 0 {
        let count = left.min(buffer.len());
        let piece = buffer.get_mut(..count).unwrap_or_default();
        source.read_exact(piece)?;
        code.add(piece);
        left -= count;
    }
    let hash =
        mutation!("file: the hash of its code is not compared", code.is(CODE, trailer.elf_hash), Ok(()));
    if let Err(error) = hash {
        return Ok(Err(error));
    }
    let mut image = Vec::new();
    image.try_reserve_exact(layout.image.len()).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let mut hash = Pieces::new();
    while image.len() < layout.image.len() {
        let done = image.len();
        let count = PIECE.min(layout.image.len() - done) as u64;
        if source.by_ref().take(count).read_to_end(&mut image)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hash.add(image.get(done..).unwrap_or_default());
    }
    Ok(hash.is(IMAGE, trailer.image_hash).map(|()| image))
}

/// Writes a library file: the ELF file `elf`, then `image`, then a trailer; on disk when this returns.
///
/// `out` must not exist, so that no library that a session has mapped is ever written to: give a temporary name and
/// rename it. A file that could not be finished is removed.
///
/// # Errors
/// If `elf` cannot be read or is no ELF file, if [`Image::parse`] refuses `image`, or if `out` cannot be written.
pub fn append(elf: &Path, image: &[u8], out: &Path) -> Result<Trailer, ImageError> {
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| ImageError::Io { action, path, source }
    };
    Image::parse(image)?;
    let mut body = fs::read(elf).map_err(io("read", elf))?;
    if !body.starts_with(&ELF_MAGIC) {
        return Err(ImageError::BadMagic {
            part: "linker's output",
            found: body.get(..ELF_MAGIC.len()).unwrap_or(&body).into(),
            expected: &ELF_MAGIC,
        });
    }
    let elf_len = body.len();
    body.resize(elf_len.next_multiple_of(IMAGE_ALIGN), 0);
    let trailer = Trailer {
        elf_len: elf_len as u64,
        image_offset: body.len() as u64,
        image_len: image.len() as u64,
        file_len: (body.len() + image.len() + TRAILER_SIZE) as u64,
        elf_hash: content_hash(&body),
        image_hash: content_hash(image),
    };
    // Nobody else may write to what sessions run, whatever the umask says.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o644);
    let mut file = options.open(out).map_err(io("create", out))?;
    let written = write_all(&mut file, &[&body, image, &trailer.encode()]);
    if let Err(source) = written {
        // Best effort: the error that counts is the one that is returned.
        let _ = fs::remove_file(out);
        return Err(io("write", out)(source));
    }
    Ok(trailer)
}

fn write_all(file: &mut File, parts: &[&[u8]]) -> std::io::Result<()> {
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()
}
