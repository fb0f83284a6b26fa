//! Field offsets of a data type (julia.h, `jl_datatype_layout_t`).

use jl_sys::jl_datatype_t;

/// Offset of field `index` in bytes and whether the field is a pointer to a boxed object.
///
/// # Safety
/// `ty` is a live data type.
pub unsafe fn field(ty: *mut jl_datatype_t, index: u32) -> Option<(usize, bool)> {
    // SAFETY: as the caller says.
    unsafe { describe(ty, index).map(|(word, offset)| (offset as usize, word & 1 == 1)) }
}

/// Size of field `index` in bytes.
///
/// # Safety
/// As [`field`].
pub unsafe fn field_size(ty: *mut jl_datatype_t, index: u32) -> Option<usize> {
    // SAFETY: as the caller says.
    unsafe { describe(ty, index).map(|(word, _)| (word >> 1) as usize) }
}

/// The two numbers of a field's descriptor: size and whether it is a pointer, in the lowest bit, and offset.
unsafe fn describe(ty: *mut jl_datatype_t, index: u32) -> Option<(u32, u32)> {
    // SAFETY: the descriptors follow the layout header; their width is `fielddesc_type`, in the two
    // bits above `haspadding` of the half-word at offset 14.
    unsafe {
        let layout = (*ty).layout;
        if layout.is_null() || index >= (*layout).nfields {
            return None;
        }
        let base = layout.cast::<u8>();
        let flags = *base.add(14).cast::<u16>();
        let descs = base.add(16);
        let i = index as usize;
        Some(match (flags >> 1) & 3 {
            0 => (u32::from(*descs.add(i * 2)), u32::from(*descs.add(i * 2 + 1))),
            1 => {
                let d = descs.cast::<u16>().add(i * 2);
                (u32::from(*d), u32::from(*d.add(1)))
            }
            2 => {
                let d = descs.cast::<u32>().add(i * 2);
                (*d, *d.add(1))
            }
            _ => return None,
        })
    }
}

/// Are there bytes between fields that nobody writes?
///
/// # Safety
/// `ty` is a live data type with a layout.
pub unsafe fn has_padding(ty: *mut jl_datatype_t) -> bool {
    // SAFETY: see `field`.
    unsafe { *(*ty).layout.cast::<u8>().add(14).cast::<u16>() & 1 == 1 }
}
