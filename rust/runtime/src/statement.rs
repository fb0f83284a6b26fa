//! Signatures as text, in the words of Julia's own `--trace-compile`.

use std::cell::UnsafeCell;

use libc::c_void;

use crate::julia::{ios_close, ios_mem, jl_static_show};
use crate::value::Value;

/// `ios_t` of ios.h in 1.5: 184 bytes; what is used of it are `buf` and `size`.
#[repr(C, align(16))]
struct Stream {
    buf: *const u8,
    errcode: i32,
    padding: i32,
    bm: i32,
    state: i32,
    maxsize: i64,
    size: i64,
    bpos: i64,
    ndirty: i64,
    rest: [u8; 448],
}

/// Prints types; holds one buffer for all of them.
pub struct Printer(Box<UnsafeCell<Stream>>);

impl Printer {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        // SAFETY: all fields are plain numbers and pointers, for which zero is a value; ios_mem fills in
        // what it needs. The stream does not move: it is boxed.
        unsafe {
            let stream: Box<UnsafeCell<Stream>> = Box::new(std::mem::zeroed());
            ios_mem(stream.get().cast(), 0);
            Printer(stream)
        }
    }

    /// What `--trace-compile` writes between `precompile(` and `)`.
    ///
    /// # Safety
    /// `value` is a live object.
    pub unsafe fn print(&mut self, value: Value) -> String {
        // SAFETY: as the caller says; the buffer holds `size` bytes after printing.
        unsafe {
            let stream = self.0.get();
            (*stream).size = 0;
            (*stream).bpos = 0;
            (*stream).ndirty = 0;
            jl_static_show(stream.cast::<c_void>(), value);
            let size = usize::try_from((*stream).size).unwrap_or(0);
            if (*stream).buf.is_null() {
                return String::new();
            }
            String::from_utf8_lossy(std::slice::from_raw_parts((*stream).buf, size)).into_owned()
        }
    }
}

impl Default for Printer {
    fn default() -> Self {
        Printer::new()
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        // SAFETY: ios_mem made it.
        unsafe { ios_close(self.0.get().cast()) };
    }
}
