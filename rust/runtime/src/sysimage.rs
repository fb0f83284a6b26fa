//! What the sysimage's shared library says about itself.

use std::ffi::{c_void, CString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

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
        // SAFETY: NOLOAD only looks up what is mapped; the sysimage stays mapped, so the handle's
        // symbols stay valid after the reference is dropped.
        unsafe {
            let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD);
            if handle.is_null() {
                return None;
            }
            let symbol = |name: &std::ffi::CStr| -> Option<*mut c_void> {
                let p = libc::dlsym(handle, name.as_ptr());
                (!p.is_null()).then_some(p)
            };
            let read = || {
                let start = symbol(c"jl_system_image_data")? as usize;
                let size = *symbol(c"jl_system_image_size")?.cast::<usize>();
                let tls_offset = *symbol(c"jl_tls_offset")?.cast::<usize>();
                let span = crate::library::mapping_of(start);
                let known_by_contents = gnu_build_id(&file).is_some();
                Some(Sysimage { data: start..start + size, span, tls_offset, known_by_contents })
            };
            let found = read();
            libc::dlclose(handle);
            found
        }
    }
}
