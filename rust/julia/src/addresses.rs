//! Is there an object at this address? Answered from what the runtime itself vouches for, never by
//! looking at memory of unknown contents.

use std::collections::HashSet;

use jl_sys::{jl_datatype_t, jl_module_t, jl_sym_t, jl_typename_t};

use crate::inspect;
use crate::julia_1_5::{jl_gc_internal_obj_base_ptr, jl_get_root_symbol};
use crate::object::{is, svec_items, type_name, Value};
use crate::sysimage::Sysimage;

/// Known ranges and sets of object addresses.
pub struct Objects {
    sysimage: Sysimage,
    /// What the collector does not know, since it lives for ever: symbols, small boxed numbers,
    /// instances of singleton types.
    permanent: HashSet<usize>,
}

impl Objects {
    /// Gathers the permanent objects.
    ///
    /// # Safety
    /// `jl_gc_enable_conservative_gc_support` was called at start; nothing else runs; `modules` are all
    /// modules.
    pub unsafe fn collect(sysimage: Sysimage, modules: &[*mut jl_module_t]) -> Self {
        let mut permanent = HashSet::new();
        // SAFETY: as the caller says.
        unsafe {
            add_symbols(&mut permanent);
            add_boxes(&mut permanent);
            for module in modules {
                for (_, binding) in inspect::own_bindings(*module) {
                    let value = (*binding).value;
                    if !value.is_null() && crate::object::is_type(value) {
                        if let Some(name) = type_name(value) {
                            add_instances(name, &mut permanent);
                        }
                    }
                }
            }
        }
        Objects { sysimage, permanent }
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
        if self.sysimage.data.contains(&address) || self.permanent.contains(&address) {
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

unsafe fn add_symbols(found: &mut HashSet<usize>) {
    // SAFETY: the tree's nodes live for ever; its links are null or nodes.
    unsafe {
        let mut stack: Vec<*mut jl_sym_t> = vec![jl_get_root_symbol()];
        while let Some(symbol) = stack.pop() {
            if !symbol.is_null() && found.insert(symbol as usize) {
                stack.push((*symbol).left);
                stack.push((*symbol).right);
            }
        }
    }
}

/// Small numbers have one box each (datatype.c, `NBOX_C` = 1024, from -512 for signed types). A box that
/// is not cached is a fresh object, which is one as well.
unsafe fn add_boxes(found: &mut HashSet<usize>) {
    // SAFETY: boxing has no preconditions.
    unsafe {
        let mut add = |v: Value| {
            found.insert(v as usize);
        };
        for i in -512i16..512 {
            add(jl_sys::jl_box_int16(i));
            add(jl_sys::jl_box_int32(i32::from(i)));
            add(jl_sys::jl_box_int64(i64::from(i)));
        }
        for u in 0..1024u16 {
            add(jl_sys::jl_box_uint16(u));
            add(jl_sys::jl_box_uint32(u32::from(u)));
            add(jl_sys::jl_box_uint64(u64::from(u)));
        }
        for b in 0..=u8::MAX {
            add(jl_sys::jl_box_uint8(b));
            add(jl_sys::jl_box_int8(b.cast_signed()));
        }
        for c in 0..128u32 {
            // A Char's bits are its UTF-8 bytes from the top.
            add(jl_sys::jl_box_char(c << 24));
        }
    }
}

/// The instances of every known instantiation of a type.
unsafe fn add_instances(name: *mut jl_typename_t, found: &mut HashSet<usize>) {
    // SAFETY: the caches are simple vectors of data types with holes (jltypes.c).
    unsafe {
        let mut add = |ty: Value| {
            if !ty.is_null() && is(ty, jl_sys::jl_datatype_type) {
                let instance = (*ty.cast::<jl_datatype_t>()).instance;
                if !instance.is_null() {
                    found.insert(instance as usize);
                }
            }
        };
        add(crate::object::unwrap_unionall((*name).wrapper));
        for cache in [(*name).cache, (*name).linearcache] {
            if !cache.is_null() {
                svec_items(cache).iter().for_each(|ty| add(*ty));
            }
        }
    }
}
