//! Symbols and strings.

use std::ffi::CStr;

use jl_sys::{jl_sym_t, jl_value_t};

use super::handle;
use crate::stopped::Stopped;

handle! {
    /// A symbol. There is one for each name, and it is never freed.
    Symbol, jl_sym_t, jl_symbol_type
}

impl<'j> Symbol<'j> {
    /// The symbol of this name, which is cut at a NUL: Julia has none of such a name.
    pub fn new(_julia: &'j Stopped, name: &str) -> Self {
        Symbol::named(name)
    }

    /// The symbol of this name, for who has a handle: that proves what [`Symbol::new`] asks for.
    pub(crate) fn named(name: &str) -> Self {
        let name = name.split('\0').next().unwrap_or("");
        // SAFETY: jl_symbol_n copies the bytes, and throws only at a NUL.
        unsafe { Symbol::from_ptr_unchecked(jl_sys::jl_symbol_n(name.as_ptr().cast(), name.len())) }
    }

    /// The symbol of these bytes, cut at a NUL.
    pub fn from_bytes(_julia: &'j Stopped, name: &[u8]) -> Self {
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        // SAFETY: jl_symbol_n copies the bytes, and throws only at a NUL.
        unsafe { Symbol::from_ptr_unchecked(jl_sys::jl_symbol_n(name.as_ptr().cast(), name.len())) }
    }

    /// Its name, which may be made of any bytes but NUL.
    pub fn bytes(self) -> &'j [u8] {
        // SAFETY: the name follows the struct and ends with a NUL (julia.h, `jl_symbol_name`).
        unsafe { CStr::from_ptr(self.as_ptr().add(1).cast()).to_bytes() }
    }

    /// Its name for as long as the process lives, as the symbol itself does; empty if that is no UTF-8.
    pub fn permanent(self) -> &'static str {
        // SAFETY: as for `bytes`, and no symbol is ever freed.
        unsafe { CStr::from_ptr(self.as_ptr().add(1).cast()) }.to_str().unwrap_or("")
    }

    /// Its name; empty if that is no UTF-8.
    pub fn as_str(self) -> &'j str {
        std::str::from_utf8(self.bytes()).unwrap_or("")
    }
}

handle! {
    /// A `String`.
    Text, jl_value_t, jl_string_type
}

impl<'j> Text<'j> {
    /// A new one.
    pub fn new(_julia: &'j Stopped, bytes: &[u8]) -> Self {
        // SAFETY: copies the bytes.
        unsafe { Text::from_ptr_unchecked(jl_sys::jl_pchar_to_string(bytes.as_ptr().cast(), bytes.len())) }
    }

    /// Its bytes.
    pub fn bytes(self) -> &'j [u8] {
        // SAFETY: a String is a length word followed by its bytes.
        unsafe {
            let length = *self.as_ptr().cast::<usize>();
            std::slice::from_raw_parts(self.as_ptr().cast::<u8>().add(size_of::<usize>()), length)
        }
    }
}
