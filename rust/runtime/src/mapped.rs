//! The shared objects that are mapped in this process: machine code outside of all of them was made
//! by the JIT.

use std::ops::Range;

use libc::c_void;

/// Their spans, in order.
pub struct SharedObjects(Vec<Range<usize>>);

impl SharedObjects {
    /// Those of now.
    #[must_use]
    pub fn current() -> Self {
        let mut spans: Vec<Range<usize>> = Vec::new();
        // SAFETY: the callback gets `spans` back and does not keep it.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut spans).cast()) };
        spans.sort_unstable_by_key(|span| span.start);
        SharedObjects(spans)
    }

    /// Does `address` lie in one?
    #[must_use]
    pub fn contain(&self, address: usize) -> bool {
        let behind = self.0.partition_point(|span| span.start <= address);
        behind > 0 && self.0[behind - 1].contains(&address)
    }
}

extern "C" fn visit(info: *mut libc::dl_phdr_info, _: libc::size_t, data: *mut c_void) -> libc::c_int {
    // SAFETY: the loader hands over a valid record; `data` is the vector of `current`.
    let (info, spans) = unsafe { (&*info, &mut *data.cast::<Vec<Range<usize>>>()) };
    // SAFETY: the loader vouches for the program headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let base = info.dlpi_addr as usize;
    let loads = || headers.iter().filter(|h| h.p_type == libc::PT_LOAD);
    if let (Some(start), Some(end)) =
        (loads().map(|h| h.p_vaddr).min(), loads().map(|h| h.p_vaddr + h.p_memsz).max())
    {
        spans.push(base + start as usize..base + end as usize);
    }
    0
}
