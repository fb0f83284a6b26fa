//! The import slots of the sysimage.
//!
//! Compiled Julia code calls C functions through import slots (ccall.cpp, `emit_plt_thunk`): writable words
//! of the sysimage's file, filled at the first call.

use std::ffi::{c_int, c_void};
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::julia::jl_options;

/// Puts the function `ours` in the place of `runtime` wherever the sysimage has called that one. Returns how
/// many slots were changed, `None` if the sysimage's file is not loaded as a shared library, or holds no image.
///
/// # Safety
/// Both are addresses of functions of one type; `ours` stays callable for the life of the process and does for
/// its callers what `runtime` does.
pub unsafe fn exchange(runtime: usize, ours: usize) -> Option<usize> {
    // SAFETY: the sysimage is never unloaded.
    let words = unsafe { Sysimage::find() }?;
    // A slot is an aligned word that compiled code reads with one load: any thread calls the old or the new
    // function.
    let exchanged = |word: &&AtomicUsize| {
        word.compare_exchange(runtime, ours, Ordering::Release, Ordering::Relaxed).is_ok()
    };
    Some(words.import_words().filter(exchanged).count())
}

/// The writable words of the sysimage's file that are not part of the image of Julia's heap.
struct Sysimage {
    heap: usize,
    heap_end: usize,
    /// Half-open ranges, word-aligned.
    writable: [(usize, usize); 4],
}

impl Sysimage {
    /// # Safety
    /// The sysimage stays loaded while the result is used.
    unsafe fn find() -> Option<Self> {
        // SAFETY: RTLD_NOLOAD only finds what is loaded; a null or foreign path finds nothing. The two
        // symbols are what the runtime itself reads (staticdata.c, `jl_restore_system_image_from_handle`).
        let mut found = unsafe {
            let path = jl_options.image_file;
            if path.is_null() {
                return None;
            }
            let file = libc::dlopen(path, libc::RTLD_LAZY | libc::RTLD_NOLOAD);
            if file.is_null() {
                return None;
            }
            let heap = libc::dlsym(file, c"jl_system_image_data".as_ptr()) as usize;
            let size = libc::dlsym(file, c"jl_system_image_size".as_ptr()).cast::<usize>();
            libc::dlclose(file);
            if heap == 0 || size.is_null() {
                return None;
            }
            Self { heap, heap_end: heap.checked_add(*size)?, writable: [(0, 0); 4] }
        };
        // SAFETY: the callback gets `found` alone, for the duration of the call.
        let seen = unsafe { libc::dl_iterate_phdr(Some(writable_ranges), (&raw mut found).cast::<c_void>()) };
        (seen == 1).then_some(found)
    }

    /// All words that may be import slots, as atomics: compiled code of other threads reads them.
    fn import_words(&self) -> impl Iterator<Item = &'static AtomicUsize> + '_ {
        let before_heap = self.writable.iter().map(|&(from, to)| (from, to.min(self.heap & !7)));
        let after_heap = self.writable.iter().map(|&(from, to)| (from.max((self.heap_end + 7) & !7), to));
        before_heap.chain(after_heap).flat_map(|(from, to)| {
            (from..to).step_by(8).map(|word| {
                // SAFETY: aligned, mapped and writable for the life of the process (see `find`).
                unsafe { AtomicUsize::from_ptr(word as *mut usize) }
            })
        })
    }
}

/// For `dl_iterate_phdr`: fills `writable` and stops at the object that holds the heap image.
unsafe extern "C" fn writable_ranges(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    sysimage: *mut c_void,
) -> c_int {
    // SAFETY: the loader's own tables, valid during the call; `sysimage` is what `find` passed.
    let (object, sysimage, headers) = unsafe {
        let object = &*object;
        let headers: &[libc::Elf64_Phdr] = if object.dlpi_phdr.is_null() {
            &[]
        } else {
            slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum))
        };
        (object, &mut *sysimage.cast::<Sysimage>(), headers)
    };
    let range = |h: &libc::Elf64_Phdr| {
        let from = (object.dlpi_addr as usize).wrapping_add(h.p_vaddr as usize);
        (from, from.wrapping_add(h.p_memsz as usize))
    };
    let holds_heap = |h: &&libc::Elf64_Phdr| {
        let (from, to) = range(h);
        h.p_type == libc::PT_LOAD && from <= sysimage.heap && sysimage.heap < to
    };
    if !headers.iter().any(|h| holds_heap(&h)) {
        return 0;
    }
    // What the loader made read-only after relocation holds no slots and must not be written.
    let relro_end = headers.iter().filter(|h| h.p_type == libc::PT_GNU_RELRO).map(|h| range(h).1).max();
    let writable = headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W != 0);
    for (place, header) in sysimage.writable.iter_mut().zip(writable) {
        let (from, to) = range(header);
        *place = ((from.max(relro_end.unwrap_or(0)) + 7) & !7, to & !7);
    }
    1
}
