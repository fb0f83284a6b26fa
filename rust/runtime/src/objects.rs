//! Is there an object at this address? Answered from what the runtime itself vouches for, never by
//! looking at memory of unknown contents.

use std::collections::HashSet;

use jl_sys::jl_sym_t;

use crate::julia::{jl_gc_internal_obj_base_ptr, jl_get_root_symbol};
use crate::sysimage::Sysimage;

/// Known ranges and sets of object addresses.
pub struct Objects {
    sysimage: Sysimage,
    symbols: HashSet<usize>,
}

impl Objects {
    /// Reads the symbol tree.
    ///
    /// # Safety
    /// `jl_gc_enable_conservative_gc_support` was called at start; nothing else runs.
    pub unsafe fn collect(sysimage: Sysimage) -> Self {
        let mut symbols = HashSet::new();
        // SAFETY: the tree's nodes live for ever; its links are null or nodes.
        unsafe {
            let mut stack: Vec<*mut jl_sym_t> = vec![jl_get_root_symbol()];
            while let Some(symbol) = stack.pop() {
                if !symbol.is_null() && symbols.insert(symbol as usize) {
                    stack.push((*symbol).left);
                    stack.push((*symbol).right);
                }
            }
        }
        Objects { sysimage, symbols }
    }

    /// Does a live object begin at `address`?
    ///
    /// # Safety
    /// The garbage collector is off. For an address inside the sysimage's data the caller knows that it
    /// is one that Julia's code generator used as an object.
    pub unsafe fn is_object(&self, address: usize) -> bool {
        if !address.is_multiple_of(8) {
            return false;
        }
        if self.sysimage.data.contains(&address) || self.symbols.contains(&address) {
            return true;
        }
        // SAFETY: the function accepts any address (gc.c): it only consults the collector's page tables.
        // It knows no big objects; those are cacheable only when they have a path.
        unsafe { jl_gc_internal_obj_base_ptr(address as *mut _) as usize == address }
    }

    /// Where the sysimage lies.
    pub fn sysimage(&self) -> &Sysimage {
        &self.sysimage
    }
}
