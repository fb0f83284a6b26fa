//! The import slots of the sysimage.
//!
//! Compiled Julia code calls C functions through import slots (ccall.cpp, `emit_plt_thunk`): writable words
//! of the sysimage's file, filled at the first call.

use std::ffi::CString;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use nativecache_julia::elf::{self, Object};
use nativecache_julia::sysimage::sysimage_path;

/// Puts the function `ours` in the place of `runtime` wherever the sysimage has called that one. Returns how
/// many slots were changed, `None` if the sysimage's file is not loaded as a shared library, or holds no image.
///
/// # Safety
/// Both are addresses of functions of one type; `ours` stays callable for the life of the process and does for
/// its callers what `runtime` does.
pub unsafe fn exchange(runtime: usize, ours: usize) -> Option<usize> {
    let words = Sysimage::find()?;
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
    writable: Vec<Range<usize>>,
}

impl Sysimage {
    /// `None` if it is not loaded as a shared library, or holds no image.
    fn find() -> Option<Self> {
        let path = sysimage_path()?;
        let path = CString::new(path.as_os_str().as_bytes()).ok()?;
        // The two symbols are what the runtime itself reads (staticdata.c, `jl_restore_system_image_from_handle`).
        let [heap, size] = elf::symbols_of(&path, [c"jl_system_image_data", c"jl_system_image_size"])?;
        if heap == 0 || size == 0 {
            return None;
        }
        // SAFETY: a variable of this type in a library that is never unloaded.
        let size = unsafe { *(size as *const usize) };
        let writable = Object::at(heap)?.writable();
        Some(Self { heap, heap_end: heap.checked_add(size)?, writable })
    }

    /// All words that may be import slots, as atomics: compiled code of other threads reads them.
    fn import_words(&self) -> impl Iterator<Item = &'static AtomicUsize> + '_ {
        let words = || self.writable.iter().map(|range| ((range.start + 7) & !7, range.end & !7));
        let before_heap = words().map(|(from, to)| (from, to.min(self.heap & !7)));
        let after_heap = words().map(|(from, to)| (from.max((self.heap_end + 7) & !7), to));
        before_heap.chain(after_heap).flat_map(|(from, to)| {
            (from..to).step_by(8).map(|word| {
                // SAFETY: aligned, mapped and writable for the life of the process (see `find`).
                unsafe { AtomicUsize::from_ptr(word as *mut usize) }
            })
        })
    }
}
