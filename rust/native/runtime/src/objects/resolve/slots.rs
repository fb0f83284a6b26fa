//! What goes into the slots of a library.

use std::ffi::{c_void, CStr, CString};
use std::ptr::NonNull;

use nativecache_image::{Image, NodeId, SlotId, SlotRef};
use nativecache_julia::c_symbols;
use nativecache_julia::handles::{CodeInstance, Invoke};
use nativecache_julia::stopped::Stopped;

use super::{Missing, Resolver, Surroundings, Trouble};
use crate::load::frames;

impl Resolver {
    /// The pointer that goes into a slot. C strings are copied into `strings`, which must outlive the
    /// library and must not move its heap blocks.
    ///
    /// # Errors
    /// If this session has nothing for the slot.
    pub fn slot(
        &self,
        image: &Image<'_>,
        around: &Surroundings<'_, '_>,
        id: SlotId,
        strings: &mut Vec<CString>,
    ) -> Result<*mut c_void, Trouble> {
        let julia = around.julia;
        match image.slot(id).map_err(|error| Missing::Malformed(error.to_string()))? {
            SlotRef::Object(node) => Ok(self.object(julia, node)?.address() as *mut c_void),
            SlotRef::Binding { module, name, offset } => self.binding(around, module, name, offset),
            SlotRef::CSymbol { library, name } => {
                Ok(frames::import(c_symbol(julia, library, name)?.as_ptr()))
            }
            SlotRef::CString(bytes) => {
                let text = CString::new(bytes).map_err(|_| Missing::CString)?;
                let pointer = text.as_ptr();
                strings.push(text);
                Ok(pointer.cast_mut().cast())
            }
            SlotRef::Invoke(node) => {
                let invoke = self.code_instance(julia, node)?.invoke().map(Invoke::address);
                Ok(invoke.ok_or(Missing::Invoke)? as *mut c_void)
            }
            SlotRef::Specptr(node) => {
                let code = self.code_instance(julia, node)?.specptr();
                if code == 0 {
                    return Err(Missing::Specptr.into());
                }
                Ok(code as *mut c_void)
            }
        }
    }

    /// The address of a binding of the module's own, or of what lies `offset` behind its beginning.
    fn binding(
        &self,
        around: &Surroundings<'_, '_>,
        module: NodeId,
        name: &str,
        offset: u32,
    ) -> Result<*mut c_void, Trouble> {
        let module = self.module(around.julia, module)?;
        let binding = module.binding(around.symbols.get(around.julia, name));
        let Some(own) = binding.filter(|binding| binding.owner() == Some(module)) else {
            return Err(Missing::Binding { module: module.path(), name: name.to_owned() }.into());
        };
        Ok((own.address() + offset as usize) as *mut c_void)
    }

    fn code_instance<'j>(&self, julia: &'j Stopped, id: NodeId) -> Result<CodeInstance<'j>, Trouble> {
        self.kind(julia, id, "code instance")
    }
}

/// The address of a C symbol as `ccall` finds it. A library is loaded if it is not yet.
///
/// # Errors
/// If there is no such library or symbol.
pub fn c_symbol(julia: &Stopped, library: Option<&str>, name: &str) -> Result<NonNull<c_void>, Missing> {
    let symbol = CString::new(name).map_err(|_| Missing::CSymbolName)?;
    let found = match library {
        None => c_symbols::in_process(&symbol),
        Some(library) => CString::new(library).ok().and_then(|library| in_library(julia, &library, &symbol)),
    };
    found.ok_or_else(|| Missing::CSymbol { library: library.map(str::to_owned), name: name.to_owned() })
}

fn in_library(julia: &Stopped, library: &CStr, symbol: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: code of the packages calls what is in this library, for which Julia opens it by this name.
    unsafe { c_symbols::in_library(julia, library, symbol) }
}
