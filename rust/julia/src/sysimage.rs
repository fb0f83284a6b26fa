//! What the sysimage's shared library says about itself.

use std::ffi::{CStr, CString, OsStr};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::elf;
use crate::handles::{MethodInstance, Module, Object};
use crate::julia_1_5::jl_options;
use crate::stopped::Stopped;

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
            elf::symbols_of(&path, [c"jl_system_image_data", c"jl_system_image_size", TLS_OFFSET])?;
        if data == 0 || size == 0 || tls_offset == 0 {
            return None;
        }
        // SAFETY: they are variables of this type (staticdata.c), of a library that stays mapped.
        let (size, tls_offset) = unsafe { (*(size as *const usize), *(tls_offset as *const usize)) };
        Some(Sysimage {
            data: data..data + size,
            span: elf::Object::at(data)?.span(),
            tls_offset,
            known_by_contents: gnu_build_id(&file).is_some(),
        })
    }
}

/// The symbol under which the sysimage, and each library of ours, keeps [`Sysimage::tls_offset`].
pub const TLS_OFFSET: &CStr = c"jl_tls_offset";

/// Where the image of Julia's heap lies in the sysimage's library. `None` if that is not loaded as a shared library, or
/// holds no image.
pub fn heap() -> Option<Range<usize>> {
    let path = CString::new(sysimage_path()?.as_os_str().as_bytes()).ok()?;
    // The two symbols are what the runtime itself reads (staticdata.c, `jl_restore_system_image_from_handle`).
    let [heap, size] = elf::symbols_of(&path, [c"jl_system_image_data", c"jl_system_image_size"])?;
    if heap == 0 || size == 0 {
        return None;
    }
    // SAFETY: a variable of this type in a library that is never unloaded.
    let size = unsafe { *(size as *const usize) };
    Some(heap..heap.checked_add(size)?)
}

/// The file that this process's sysimage came from.
pub fn sysimage_path() -> Option<PathBuf> {
    // SAFETY: constant once Julia runs.
    let file = unsafe { jl_options.image_file };
    if file.is_null() {
        return None;
    }
    // SAFETY: NUL-terminated, lives as long as the process.
    let bytes = unsafe { CStr::from_ptr(file) }.to_bytes();
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}

/// The `NT_GNU_BUILD_ID` note of the sysimage's file.
pub fn gnu_build_id(sysimage: &std::path::Path) -> Option<String> {
    // SAFETY: the sysimage is never unloaded.
    elf::Object::named(sysimage).and_then(|object| unsafe { object.build_id() })
}

/// Is it an object of a kind that is described by its place in the sysimage? What the sysimage holds of these kinds is
/// never moved, freed or changed into another object.
fn has_place(object: Object<'_>) -> bool {
    let kind = object.type_of();
    // SAFETY: these types exist from start-up on.
    let kinds = unsafe {
        [
            jl_sys::jl_datatype_type,
            jl_sys::jl_unionall_type,
            jl_sys::jl_uniontype_type,
            jl_sys::jl_typename_type,
            jl_sys::jl_simplevector_type,
            jl_sys::jl_module_type,
            jl_sys::jl_method_type,
        ]
    };
    kinds.contains(&kind.as_ptr())
        || object.as_kind().is_some_and(|instance: MethodInstance<'_>| instance.method().is_some())
}

/// The sysimage's objects as those that are described by their place, if they are: by how far they lie behind the first.
#[derive(Clone, Debug, Default)]
pub struct Places(Range<usize>);

impl Places {
    /// Those of this sysimage: none, if the key does not name it by its contents.
    pub fn of(sysimage: &Sysimage) -> Self {
        Places(if sysimage.known_by_contents { sysimage.data.clone() } else { 0..0 })
    }

    /// Where they lie.
    pub fn range(&self) -> Range<usize> {
        self.0.clone()
    }

    /// The place of an object, if it is described by it. `Main` is not, though the sysimage has it.
    pub fn of_object(&self, object: Object<'_>) -> Option<u32> {
        let is_main = |object: Object<'_>| object.as_kind().is_some_and(Module::is_main);
        if !self.0.contains(&object.address()) || !has_place(object) || is_main(object) {
            return None;
        }
        u32::try_from(object.address() - self.0.start).ok()
    }

    /// The object at this place; `None` if there is none of a kind that is described so.
    pub fn object<'j>(&self, _julia: &'j Stopped, place: u32) -> Option<Object<'j>> {
        let place = place as usize;
        let inside = place.is_multiple_of(8) && (8..self.0.len().saturating_sub(64)).contains(&place);
        // SAFETY: the word before and those behind lie in the sysimage's data, which stays mapped. Where the word before
        // is one of these types, there is such an object.
        let object = inside.then(|| unsafe { Object::at(self.0.start + place) })?;
        has_place(object).then_some(object)
    }
}
