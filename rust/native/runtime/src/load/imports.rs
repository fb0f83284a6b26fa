//! The import slots of the sysimage.
//!
//! Compiled Julia code calls C functions through import slots (ccall.cpp, `emit_plt_thunk`): writable words
//! of the sysimage's file, filled at the first call.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use nativecache_julia::elf::Object;
use nativecache_julia::sysimage;

/// Puts the function `ours` in the place of `runtime` wherever the sysimage has called that one. Returns how
/// many slots were changed, `None` if the sysimage's file is not loaded as a shared library, or holds no image.
///
/// # Safety
/// Both are addresses of functions of one type; `ours` stays callable for the life of the process and does for
/// its callers what `runtime` does.
pub unsafe fn exchange(runtime: usize, ours: usize) -> Option<usize> {
    let words = ImportWords::find()?;
    // A slot is an aligned word that compiled code reads with one load: any thread calls the old or the new
    // function.
    let exchanged = |word: &&AtomicUsize| {
        word.compare_exchange(runtime, ours, Ordering::Release, Ordering::Relaxed).is_ok()
    };
    Some(words.words().filter(exchanged).count())
}

/// The writable words of the sysimage's file that are not part of the image of Julia's heap.
struct ImportWords {
    heap: Range<usize>,
    writable: Vec<Range<usize>>,
}

impl ImportWords {
    /// `None` if the sysimage is not loaded as a shared library, or holds no image.
    fn find() -> Option<Self> {
        let heap = sysimage::heap()?;
        let writable = Object::at(heap.start)?.writable();
        Some(Self { heap, writable })
    }

    /// All words that may be import slots, as atomics: compiled code of other threads reads them.
    fn words(&self) -> impl Iterator<Item = &'static AtomicUsize> + '_ {
        let words = || self.writable.iter().map(|range| ((range.start + 7) & !7, range.end & !7));
        let before_heap = words().map(|(from, to)| (from, to.min(self.heap.start & !7)));
        let after_heap = words().map(|(from, to)| (from.max((self.heap.end + 7) & !7), to));
        before_heap.chain(after_heap).flat_map(|(from, to)| {
            (from..to).step_by(8).map(|word| {
                // SAFETY: aligned, mapped and writable for the life of the process (see `find`).
                unsafe { AtomicUsize::from_ptr(word as *mut usize) }
            })
        })
    }
}
