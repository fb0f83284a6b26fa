//! Is there an object at this address? Answered from what the runtime itself vouches for, never by
//! looking at memory of unknown contents.

use std::collections::HashSet;

use jl_sys::jl_sym_t;

use crate::handles::{DataType, Module, Object, TypeName};
use crate::julia_1_5::{jl_gc_internal_obj_base_ptr, jl_get_root_symbol};
use crate::stopped::Stopped;
use crate::sysimage::Sysimage;

/// Known ranges and sets of object addresses.
pub struct Objects {
    sysimage: Sysimage,
    /// What the collector does not know, since it lives for ever: symbols, small boxed numbers,
    /// instances of singleton types.
    permanent: HashSet<usize>,
}

impl Objects {
    /// Gathers the permanent objects; `modules` are all modules.
    ///
    /// # Safety
    /// `jl_gc_enable_conservative_gc_support` was called at start.
    pub unsafe fn collect(julia: &Stopped, sysimage: Sysimage, modules: &[Module<'_>]) -> Self {
        let mut permanent = HashSet::new();
        add_symbols(julia, &mut permanent);
        add_boxes(julia, &mut permanent);
        for module in modules {
            for (_, binding) in module.own_bindings() {
                let Some(ty) = binding.value().filter(|value| value.is_type()) else { continue };
                if let Some(name) = ty.type_name() {
                    add_instances(name, &mut permanent);
                }
            }
        }
        Objects { sysimage, permanent }
    }

    /// The live object that begins at `address`, if there is one. For an address inside the sysimage's data the caller
    /// knows that it is one that Julia's code generator used as an object.
    pub fn object_at<'j>(&self, _julia: &'j Stopped, address: usize) -> Option<Object<'j>> {
        if address == 0 || !address.is_multiple_of(8) {
            return None;
        }
        let is_object = self.sysimage.data.contains(&address)
            || self.permanent.contains(&address)
            // SAFETY: the function accepts any address (gc.c): it only consults the collector's page tables.
            // It knows no big objects; those are cacheable only when they have a path.
            || unsafe { jl_gc_internal_obj_base_ptr(address as *mut _) as usize == address };
        // SAFETY: the runtime vouches for it.
        is_object.then(|| unsafe { Object::at(address) })
    }

    /// Where the sysimage lies.
    pub fn sysimage(&self) -> &Sysimage {
        &self.sysimage
    }
}

fn add_symbols(_julia: &Stopped, found: &mut HashSet<usize>) {
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
fn add_boxes(_julia: &Stopped, found: &mut HashSet<usize>) {
    // SAFETY: boxing has no preconditions.
    unsafe {
        let mut add = |v: *mut jl_sys::jl_value_t| {
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
fn add_instances(name: TypeName<'_>, found: &mut HashSet<usize>) {
    let wrapper = name.wrapper().data_type();
    let instances = wrapper.into_iter().chain(name.instantiations()).filter_map(DataType::instance);
    found.extend(instances.map(Object::address));
}
