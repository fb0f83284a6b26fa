//! A library file: read, checked, mapped as code.
//!
//! The content hash covers every byte and is taken each time: reading and hashing cost less than 0.1 ms for each MB,
//! about a hundredth of what linking costs (docs/trust.md has the figures), of which remembering "seen already" by inode, size
//! and time would save most, at the price of a record that can be stale. What is checked is read and not mapped, so that
//! nobody who cuts the file short meanwhile can make this process read behind its end; and piece by piece, so that only
//! the tables take memory: a fresh page costs as much as hashing 10 kB.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use libc::c_void;
use nativecache_image::{Hash, Image, ImageError, Trailer, TRAILER_SIZE};
use nativecache_julia::elf::{Library, Object};
use nativecache_julia::sysimage::{Sysimage, TLS_OFFSET};
use nativecache_store::trust::{self, unreadable};

use crate::error::Rejected;

/// Larger files are looked at in their last bytes before they are read into memory.
const LARGE: u64 = 64 << 20;

/// A file whose content hash is right and which nobody else can change. Nothing of it has run.
pub struct LibraryFile {
    /// Without links.
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    tables: Vec<u8>,
    bytes: u64,
    image_hash: Hash,
}

impl LibraryFile {
    /// Reads and verifies the file.
    pub fn open(path: &Path) -> Result<Self, Rejected> {
        let real = trust::check(path)?;
        let mut file = OpenOptions::new()
            .read(true)
            // Without it, opening a pipe waits until somebody writes to it.
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(&real)
            .map_err(|e| unreadable(path, &e))?;
        let meta = file.metadata().map_err(|e| unreadable(path, &e))?;
        if !meta.is_file() {
            return Err(Rejected::NoFile(path.to_owned()));
        }
        trust::check_one(&real, &meta)?;
        let (tables, image_hash) = read(&mut file, meta.len(), path)?;
        Ok(LibraryFile {
            path: real,
            identity: (meta.dev(), meta.ino()),
            tables,
            bytes: meta.len(),
            image_hash,
        })
    }

    /// The tables, read in place.
    pub fn image(&self) -> Result<Image<'_>, Rejected> {
        Ok(Image::parse(&self.tables)?)
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Which build it is: the hash of its tables, which lead to its code.
    pub fn image_hash(&self) -> Hash {
        self.image_hash
    }

    /// Maps the code. Its initialisers run: there are none in a library that we wrote.
    pub fn load(&self) -> Result<Code, Rejected> {
        // By path and not by descriptor: debuggers, profilers and Julia's own stack traces open the file again by
        // the name that it was loaded under.
        let found = std::fs::metadata(&self.path).map_err(|e| unreadable(&self.path, &e))?;
        if (found.dev(), found.ino(), found.len()) != (self.identity.0, self.identity.1, self.bytes) {
            return Err(Rejected::Replaced(self.path.clone()));
        }
        Code::load(&self.path, self.image_hash.0)
    }
}

/// The file's tables, when all of it is as it was written.
fn read(file: &mut File, len: u64, path: &Path) -> Result<(Vec<u8>, Hash), Rejected> {
    let damaged = |error: ImageError| Rejected::Damaged(path.to_owned(), Arc::new(error));
    if len >= TRAILER_SIZE as u64 {
        let mut tail = [0; TRAILER_SIZE];
        file.read_exact_at(&mut tail, len - TRAILER_SIZE as u64).map_err(|e| unreadable(path, &e))?;
        match Trailer::read(&tail) {
            Ok(trailer) => {
                // A file that grows meanwhile must not make this one grow.
                let read = nativecache_image::read_verified(&mut file.take(len), &trailer, len);
                let tables = read.map_err(|e| unreadable(path, &e))?.map_err(damaged)?;
                return Ok((tables, trailer.image_hash));
            }
            Err(error) if len > LARGE => return Err(damaged(error)),
            // The whole file says better what it is instead.
            Err(_) => {}
        }
    }
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
    let layout = nativecache_image::verify(&bytes).map_err(damaged)?;
    Ok((layout.image_bytes(&bytes).to_vec(), layout.image_hash))
}

/// The spans of all libraries of this process.
static CODE: Mutex<Vec<Range<usize>>> = Mutex::new(Vec::new());

/// Does `address` lie in a library of ours?
pub fn owned(address: usize) -> bool {
    let spans = CODE.lock().unwrap_or_else(PoisonError::into_inner);
    spans.iter().any(|span| span.contains(&address))
}

/// Mapped machine code and its tables. Not unmapped once a function of it is installed: frames and pointers may lead
/// into it.
pub struct Code {
    slots: *mut *mut c_void,
    functions: *const i32,
    range: Range<usize>,
    segments: Vec<Range<usize>>,
    library: ManuallyDrop<Library>,
}

// SAFETY: the pointers lead into a mapping that is never unmapped; slots are written only while
// linking, under the session's lock, and read by the library's own code afterwards.
unsafe impl Send for Code {}

impl Code {
    fn load(path: &Path, image_id: [u8; 16]) -> Result<Self, Rejected> {
        let offset = Sysimage::current().map_or(0, |sysimage| sysimage.tls_offset);
        if offset == 0 {
            return Err(Rejected::ThreadState);
        }
        // SAFETY: the content hash says that this is a file that NativeCache wrote, and those have
        // no initialisers.
        let library =
            unsafe { Library::open(path) }.map_err(|error| Rejected::LinkFailed(Arc::new(error)))?;
        let [build_id, tls_offset, slots, functions] = library
            .symbols([c"nativecache_build_id", TLS_OFFSET, c"nativecache_slots", c"nativecache_functions"])
            .map_err(|error| Rejected::SymbolMissing(Arc::new(error)))?;
        // SAFETY: the symbols' types are those that codegen's `finish` gives them; nothing of the library runs yet.
        unsafe {
            if *(build_id as *const [u8; 16]) != image_id {
                return Err(Rejected::TwoBuilds);
            }
            *(tls_offset as *mut usize) = offset;
        }
        let object = Object::at(functions).ok_or(Rejected::NotListed)?;
        let range = object.span();
        CODE.lock().unwrap_or_else(PoisonError::into_inner).push(range.clone());
        Ok(Code {
            slots: slots as *mut *mut c_void,
            functions: functions as *const i32,
            range,
            segments: object.readable(),
            library: ManuallyDrop::new(library),
        })
    }

    /// Takes the mapping away.
    ///
    /// # Safety
    /// No pointer leads into it: none of its functions was ever installed.
    pub unsafe fn close(self) {
        CODE.lock().unwrap_or_else(PoisonError::into_inner).retain(|span| *span != self.range);
        drop(ManuallyDrop::into_inner(self.library));
    }

    /// Writes a slot.
    ///
    /// # Safety
    /// `index` is below the slot count of the library's image; no code of the library runs yet that
    /// uses this slot.
    pub unsafe fn fill(&self, index: u32, value: *mut c_void) {
        // SAFETY: the table has an aligned word for each slot, and this one is read by nobody yet.
        unsafe { self.slots.add(index as usize).write(value) }
    }

    /// The address of function `index`.
    ///
    /// # Safety
    /// `index` is below the code count of the library's image.
    pub unsafe fn function(&self, index: u32) -> usize {
        // SAFETY: the table has an offset for each function, relative to the table's own address.
        unsafe {
            let offset = *self.functions.add(index as usize);
            (self.functions as isize + offset as isize) as usize
        }
    }

    /// The number of the slot at this address, of a library with `slots` of them.
    pub fn slot_at(&self, address: usize, slots: u32) -> Option<u32> {
        let size = std::mem::size_of::<*mut c_void>();
        let offset = address.checked_sub(self.slots as usize)?;
        let index = u32::try_from(offset / size).ok()?;
        (offset % size == 0 && index < slots).then_some(index)
    }

    /// The parts of the library that come from its file and can be read.
    pub fn segments(&self) -> &[Range<usize>] {
        &self.segments
    }

    /// The bytes there, if they lie in the library.
    pub fn bytes(&self, at: Range<usize>) -> Option<&[u8]> {
        let whole = self.segments.iter().find(|s| s.start <= at.start && at.end <= s.end)?;
        // SAFETY: a readable segment of a mapping that is never taken away, and nothing writes to its code and
        // constants.
        (whole.start <= at.start)
            .then(|| unsafe { std::slice::from_raw_parts(at.start as *const u8, at.end - at.start) })
    }

    /// Does this address lie in the library?
    pub fn owns(&self, address: usize) -> bool {
        self.range.contains(&address)
    }
}
