//! The shared objects of this process, and every question to the dynamic loader.
//!
//! The loader answers under locks of its own, and so it does to who unwinds a stack: the thread of Julia's profiler does that
//! while it keeps another thread stopped, wherever that is (signals-unix.c). If that one holds such a lock, both wait for
//! ever. So nothing here can be stopped: signals are put off around each call (docs/faults.md, "Signals and locks").
//!
//! Of `dl_iterate_phdr`, which holds the lock while it calls back, only copies are taken there. A callback that allocated
//! would wait for a thread that was stopped in `malloc`, and that for its profiler, and the profiler for the loader.

use nativecache_mutation::mutation;
use std::ffi::{c_int, c_void, CStr, OsStr};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::{dl_phdr_info, Elf64_Phdr, PF_R, PF_W, PT_GNU_RELRO, PT_LOAD, PT_NOTE};
use libloading::os::unix::{RTLD_LOCAL, RTLD_NOW};
use nativecache_signals::put_off;
use object::elf::{FileHeader64, NT_GNU_BUILD_ID};
use object::read::elf::NoteIterator;
use object::NativeEndian;

/// More program headers than any linker makes; of an object that had more, what is behind them would be missing here.
const MOST_HEADERS: usize = 32;

/// A shared object as it is mapped: a copy, good for as long as the object stays loaded.
#[derive(Clone, Copy)]
pub struct Object {
    base: usize,
    headers: [Elf64_Phdr; MOST_HEADERS],
    count: usize,
}

impl Object {
    /// The one that holds `address`.
    #[must_use]
    pub fn at(address: usize) -> Option<Self> {
        Self::find(|object, _| object.span().contains(&address))
    }

    /// The one that was loaded under this name.
    #[must_use]
    pub fn named(path: &Path) -> Option<Self> {
        Self::find(|_, name| OsStr::from_bytes(name.to_bytes()) == path.as_os_str())
    }

    /// The first that `wanted` says is it. That is called under the loader's lock, and must neither allocate nor wait.
    fn find(wanted: impl Fn(&Object, &CStr) -> bool) -> Option<Self> {
        let mut found = None;
        visit(|object, name| {
            let is_it = wanted(&object, name);
            if is_it {
                found = Some(object);
            }
            is_it
        });
        found
    }

    fn headers(&self, kind: u32) -> impl Iterator<Item = &Elf64_Phdr> {
        self.headers.iter().take(self.count).filter(move |header| header.p_type == kind)
    }

    fn range(&self, header: &Elf64_Phdr, size: u64) -> Range<usize> {
        let start = self.base.wrapping_add(header.p_vaddr as usize);
        start..start.wrapping_add(size as usize)
    }

    /// From its first byte to its last; empty for what maps nothing.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        let loads = || self.headers(PT_LOAD).map(|header| self.range(header, header.p_memsz));
        let start = loads().map(|range| range.start).min().unwrap_or(0);
        start..loads().map(|range| range.end).max().unwrap_or(0)
    }

    /// The parts that come from its file and can be read.
    #[must_use]
    pub fn readable(&self) -> Vec<Range<usize>> {
        let readable = self.headers(PT_LOAD).filter(|header| header.p_flags & PF_R != 0);
        readable.map(|header| self.range(header, header.p_filesz)).collect()
    }

    /// The parts that can be written to, without what the loader made read-only after relocation.
    #[must_use]
    pub fn writable(&self) -> Vec<Range<usize>> {
        let relocated = self
            .headers(PT_GNU_RELRO)
            .map(|header| self.range(header, header.p_memsz).end)
            .max()
            .unwrap_or(0);
        let writable = self.headers(PT_LOAD).filter(|header| header.p_flags & PF_W != 0);
        writable
            .map(|header| self.range(header, header.p_memsz))
            .map(|range| range.start.max(relocated)..range.end)
            .filter(|range| !range.is_empty())
            .collect()
    }

    /// Its `NT_GNU_BUILD_ID`, as hexadecimal digits.
    ///
    /// # Safety
    /// The object is still loaded.
    #[must_use]
    pub unsafe fn build_id(&self) -> Option<String> {
        self.headers(PT_NOTE).find_map(|header| {
            let range = self.range(header, header.p_memsz);
            // SAFETY: segments of notes are mapped, and read-only, for as long as the object is loaded.
            let notes = unsafe { std::slice::from_raw_parts(range.start as *const u8, range.len()) };
            build_id_among(header.p_align, notes)
        })
    }
}

fn build_id_among(align: u64, notes: &[u8]) -> Option<String> {
    let mut notes = NoteIterator::<FileHeader64<NativeEndian>>::new(NativeEndian, align, notes).ok()?;
    while let Some(note) = notes.next().ok()? {
        if note.name() == object::elf::ELF_NOTE_GNU && note.n_type(NativeEndian) == NT_GNU_BUILD_ID {
            return Some(note.desc().iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    None
}

/// The spans of all that are loaded, in order: machine code outside of them was made by the JIT.
pub struct SharedObjects(Vec<Range<usize>>);

impl SharedObjects {
    /// Those of now.
    #[must_use]
    pub fn current() -> Self {
        let mut room = 256;
        loop {
            let mut spans: Vec<Range<usize>> = Vec::with_capacity(room);
            let mut seen = 0;
            visit(|object, _| {
                seen += 1;
                // What has no room would be allocated under the loader's lock.
                if spans.len() < spans.capacity() {
                    spans.push(object.span());
                }
                false
            });
            if seen > spans.len() {
                room = seen.saturating_mul(2);
                continue;
            }
            spans.retain(|span| !span.is_empty());
            spans.sort_unstable_by_key(|span| span.start);
            return SharedObjects(spans);
        }
    }

    /// Does `address` lie in one?
    #[must_use]
    pub fn contain(&self, address: usize) -> bool {
        let behind = self.0.partition_point(|span| span.start <= address);
        behind > 0 && self.0[behind - 1].contains(&address)
    }
}

/// Calls `each` with every object and its name until it returns true; with signals put off, under the loader's lock.
fn visit<F: FnMut(Object, &CStr) -> bool>(mut each: F) {
    extern "C" fn copy<F: FnMut(Object, &CStr) -> bool>(
        info: *mut dl_phdr_info,
        _size: libc::size_t,
        each: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader hands over a valid record and what `visit` passed, which nobody else uses meanwhile.
        let (info, each) = unsafe { (&*info, &mut *each.cast::<F>()) };
        let count = if info.dlpi_phdr.is_null() { 0 } else { usize::from(info.dlpi_phnum).min(MOST_HEADERS) };
        let none = Elf64_Phdr {
            p_type: libc::PT_NULL,
            p_flags: 0,
            p_offset: 0,
            p_vaddr: 0,
            p_paddr: 0,
            p_filesz: 0,
            p_memsz: 0,
            p_align: 0,
        };
        let mut object = Object { base: info.dlpi_addr as usize, headers: [none; MOST_HEADERS], count };
        // SAFETY: the loader vouches for as many headers, and they cannot overlap with a local variable.
        unsafe { object.headers.as_mut_ptr().copy_from_nonoverlapping(info.dlpi_phdr, count) };
        // SAFETY: NUL-terminated by the loader.
        let name = if info.dlpi_name.is_null() { c"" } else { unsafe { CStr::from_ptr(info.dlpi_name) } };
        c_int::from(each(object, name))
    }
    // SAFETY: the callback gets `each` for the duration of the call, and does not panic: nothing in it can.
    mutation!(
        "loader: a signal comes where it is asked for all objects",
        put_off,
        nativecache_mutation::bare
    )(|| unsafe { libc::dl_iterate_phdr(Some(copy::<F>), (&raw mut each).cast()) });
}

/// Why the loader refused a library, or has no such symbol in it.
pub use libloading::Error as LoadError;

/// A library that was mapped here, and is unmapped when this is dropped.
pub struct Library(ManuallyDrop<libloading::os::unix::Library>);

impl Library {
    /// Maps it.
    ///
    /// # Safety
    /// The file is a library without initialisers.
    pub unsafe fn open(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: as the caller says.
        let opened = mutation!(
            "loader: a signal comes where a library is opened",
            put_off,
            nativecache_mutation::bare
        )(|| unsafe {
            libloading::os::unix::Library::open(Some(path), RTLD_NOW | RTLD_LOCAL)
        })?;
        Ok(Library(ManuallyDrop::new(opened)))
    }

    /// The addresses of its symbols, as long as it is mapped.
    pub fn symbols<const N: usize>(&self, names: [&CStr; N]) -> Result<[usize; N], libloading::Error> {
        put_off(|| {
            let mut found = [0; N];
            for (address, name) in found.iter_mut().zip(names) {
                // SAFETY: taken as the plain address that any symbol is.
                let symbol = unsafe { self.0.get::<*mut c_void>(name.to_bytes_with_nul()) }?;
                *address = symbol.into_raw() as usize;
            }
            Ok(found)
        })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: dropped once, here. If it cannot be unmapped, it stays.
        mutation!("loader: a signal comes where a library is closed", put_off, nativecache_mutation::bare)(
            || unsafe { ManuallyDrop::drop(&mut self.0) },
        );
    }
}

/// The addresses of these symbols in a library that is loaded already and stays loaded; 0 for one that it has not.
pub fn symbols_of<const N: usize>(library: &CStr, names: [&CStr; N]) -> Option<[usize; N]> {
    // SAFETY: with NOLOAD, `dlopen` only finds what is loaded, and nothing for a foreign path; names are
    // NUL-terminated.
    put_off(|| unsafe {
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if handle.is_null() {
            return None;
        }
        let found = names.map(|name| libc::dlsym(handle, name.as_ptr()) as usize);
        libc::dlclose(handle);
        Some(found)
    })
}

/// The address of a symbol in the process's global scope; null if there is none.
#[must_use]
pub fn global_symbol(name: &CStr) -> *mut c_void {
    // SAFETY: the name is NUL-terminated.
    put_off(|| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// The exported symbol that lies at or before an address, and where it begins.
#[must_use]
pub fn symbol_before(address: usize) -> Option<(&'static CStr, usize)> {
    put_off(|| {
        // SAFETY: any address will do, and the call fills plain data. Names lie in objects, and those that have code on a
        // stack or constants in code are not unloaded.
        unsafe {
            let mut info: libc::Dl_info = std::mem::zeroed();
            let found =
                libc::dladdr(address as *const c_void, &raw mut info) != 0 && !info.dli_sname.is_null();
            found.then(|| (CStr::from_ptr(info.dli_sname), info.dli_saddr as usize))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_of_a_function() {
        let here = the_object_of_a_function as *const () as usize;
        let object = Object::at(here).expect("code lies in an object");
        assert!(object.span().contains(&here));
        assert!(object.readable().iter().any(|range| range.contains(&here)));
        assert!(!object.writable().iter().any(|range| range.contains(&here)));
        let all = SharedObjects::current();
        assert!(
            all.contain(here)
                && all.contain(object.span().start)
                && !all.contain(object.span().end + (1 << 40))
        );
        assert!(Object::at(8).is_none());
    }

    #[test]
    fn what_is_read_only_after_relocation_is_not_written_to() {
        static CHANGES: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(7);
        let object = Object::at(&raw const CHANGES as usize).expect("a variable lies in an object");
        assert!(object.writable().iter().any(|range| range.contains(&(&raw const CHANGES as usize))));
        let relocated = object.headers(PT_GNU_RELRO).map(|header| object.range(header, header.p_memsz));
        for constant in relocated {
            assert!(object
                .writable()
                .iter()
                .all(|range| range.start >= constant.end || range.end <= constant.start));
        }
    }

    #[test]
    fn build_ids() {
        // A note of another kind, then the id; names and contents are padded to 4 bytes.
        let mut notes = Vec::new();
        for (kind, name, contents) in
            [(1_u32, b"GNU\0", &[9_u8, 9, 9][..]), (3, b"GNU\0", &[0xab, 0x01, 0xff])]
        {
            for word in [4, contents.len() as u32, kind] {
                notes.extend(word.to_ne_bytes());
            }
            notes.extend(name);
            notes.extend(contents);
            notes.push(0);
        }
        assert_eq!(build_id_among(4, &notes).as_deref(), Some("ab01ff"));
        // Another's note of that number, one that is cut short, none.
        let mut foreign = notes.clone();
        foreign[32] = b'N';
        assert_eq!(build_id_among(4, &foreign), None);
        assert_eq!(build_id_among(4, &notes[..notes.len() - 6]), None);
        assert_eq!(build_id_among(4, &[]), None);
    }

    #[test]
    fn symbols() {
        assert!(!global_symbol(c"malloc").is_null() && global_symbol(c"no such symbol").is_null());
        assert!(symbols_of(c"/no/such/library.so", [c"malloc"]).is_none());
        let address = global_symbol(c"malloc") as usize;
        assert_eq!(symbol_before(address + 1).map(|(_, start)| start), Some(address));
        assert!(symbol_before(8).is_none());
    }
}
