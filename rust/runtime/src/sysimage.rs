//! What the sysimage's shared library says about itself.

use std::ffi::CString;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use crate::elf::{self, Object};
use crate::key::{gnu_build_id, sysimage_path};

/// Values that the running Julia keeps in, or that describe, its sysimage library.
#[derive(Clone, Debug)]
pub struct Sysimage {
    /// Where its objects lie.
    pub data: Range<usize>,
    /// The span of the whole shared object, machine code included.
    pub span: Range<usize>,
    /// Offset of the thread's state from the thread pointer, 0 when that is no constant
    /// (threading.c, `jl_check_tls`: Julia proves it before it writes it here).
    pub tls_offset: usize,
    /// The key names it by a digest of its contents, so that an object in it is known by its place.
    pub known_by_contents: bool,
}

impl Sysimage {
    /// Reads the symbols of the sysimage that this process has mapped.
    pub fn current() -> Option<Self> {
        let file = sysimage_path()?;
        let path = CString::new(file.as_os_str().as_bytes()).ok()?;
        let [data, size, tls_offset] =
            elf::symbols_of(&path, [c"jl_system_image_data", c"jl_system_image_size", c"jl_tls_offset"])?;
        if data == 0 || size == 0 || tls_offset == 0 {
            return None;
        }
        // SAFETY: they are variables of this type (staticdata.c), of a library that stays mapped.
        let (size, tls_offset) = unsafe { (*(size as *const usize), *(tls_offset as *const usize)) };
        Some(Sysimage {
            data: data..data + size,
            span: Object::at(data)?.span(),
            tls_offset,
            known_by_contents: gnu_build_id(&file).is_some(),
        })
    }
}
