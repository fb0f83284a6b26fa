//! What goes into the slots of a library.

use nativecache_signals::{put_off, put_off_only};

use super::*;

impl Resolver {
    /// The pointer that goes into a slot. C strings are copied into `strings`, which must outlive the
    /// library and must not move its heap blocks.
    ///
    /// # Safety
    /// As [`Resolver::run`].
    pub unsafe fn slot(
        &self,
        image: &Image<'_>,
        id: SlotId,
        strings: &mut Vec<std::ffi::CString>,
    ) -> Result<*mut libc::c_void, Trouble> {
        let slot = image.slot(id).map_err(|e| missing(e.to_string()))?;
        // SAFETY: operands are live; kinds are checked.
        unsafe {
            match slot {
                SlotRef::Object(node) => Ok(self.get(node)?.cast()),
                SlotRef::Binding { module, name, offset } => {
                    let module = self.module(module)?;
                    let binding: *mut Binding = jl_get_binding(module, self.names.symbol(name));
                    if binding.is_null() || (*binding).owner != module {
                        return Err(missing(format!("binding {}.{name}", module_path(module))));
                    }
                    Ok(binding.cast::<u8>().add(offset as usize).cast())
                }
                SlotRef::CSymbol { library, name } => {
                    Ok(crate::load::frames::import(c_symbol(library, name)?))
                }
                SlotRef::CString(bytes) => {
                    let text = std::ffi::CString::new(bytes).map_err(|_| missing("a C string"))?;
                    let pointer = text.as_ptr();
                    strings.push(text);
                    Ok(pointer.cast_mut().cast())
                }
                SlotRef::Invoke(node) => {
                    let ci = self.code_instance(node)?;
                    (*ci).invoke.map(|f| f as *mut libc::c_void).ok_or_else(|| missing("its invoke"))
                }
                SlotRef::Specptr(node) => {
                    let ci = self.code_instance(node)?;
                    let pointer = (*ci).specptr.fptr;
                    if pointer.is_null() {
                        Err(missing("its specptr"))
                    } else {
                        Ok(pointer)
                    }
                }
            }
        }
    }

    fn code_instance(&self, id: NodeId) -> Result<*mut jl_sys::jl_code_instance_t, Trouble> {
        let value = self.get(id)?;
        // SAFETY: resolved values are live.
        if unsafe { is(value, jl_sys::jl_code_instance_type) } {
            Ok(value.cast())
        } else {
            Err(missing("not a code instance"))
        }
    }
}

/// The address of a C symbol as `ccall` finds it (runtime_ccall.cpp, `jl_load_and_lookup`).
///
/// # Safety
/// Called on a Julia thread: opening a library may run its initialisers.
pub unsafe fn c_symbol(library: Option<&str>, name: &str) -> Result<*mut libc::c_void, Trouble> {
    let c_name = std::ffi::CString::new(name).map_err(|_| missing("a C symbol"))?;
    let text = || missing(format!("C symbol {name} of {}", library.unwrap_or("the process")));
    // SAFETY: neither function throws when asked not to.
    unsafe {
        let handle = match library {
            None => libc::RTLD_DEFAULT,
            Some(library) => {
                let c_library = std::ffi::CString::new(library).map_err(|_| text())?;
                // Only what stops this thread: threads that an initialiser starts inherit the mask.
                let handle = put_off_only(libc::SIGUSR2, || {
                    jl_load_dynamic_library(c_library.as_ptr(), JL_RTLD_DEFAULT, 0)
                });
                if handle.is_null() {
                    return Err(text());
                }
                handle
            }
        };
        let mut address = std::ptr::null_mut();
        let found = put_off(|| jl_dlsym(handle, c_name.as_ptr(), &raw mut address, 0));
        if found == 0 || address.is_null() {
            return Err(text());
        }
        Ok(address)
    }
}
