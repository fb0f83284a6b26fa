//! C functions and variables that inferred code names: what `ccall` and `cglobal` will look up.

use std::collections::HashMap;

use jl_sys::jl_expr_t;

use crate::objects::resolve::c_symbol;
use nativecache_julia::elf;
use nativecache_julia::inspect::constant;
use nativecache_julia::object::{array_items, is, string_bytes, symbol_str, type_of, Value};

/// A symbol as `(library, name)`; no library means the process.
pub type Target = (Option<String>, String);

/// Addresses of this process that inferred code names.
#[derive(Default)]
pub struct ForeignTargets {
    by_address: HashMap<usize, Target>,
}

impl ForeignTargets {
    /// What the inferred code at this address named.
    pub fn get(&self, address: usize) -> Option<&Target> {
        self.by_address.get(&address)
    }

    /// Adds the targets in inferred code.
    ///
    /// # Safety
    /// `code` is a live CodeInfo; the garbage collector is off.
    pub unsafe fn add(&mut self, code: Value) {
        // SAFETY: CodeInfo's first field is `code`, a Vector{Any}.
        unsafe {
            for statement in array_items((*code.cast::<Value>()).cast()) {
                self.visit(*statement, 0);
            }
        }
    }

    unsafe fn visit(&mut self, node: Value, depth: u32) {
        if node.is_null() || depth > 64 {
            return;
        }
        // SAFETY: statements are trees of live objects.
        unsafe {
            if !is(node, jl_sys::jl_expr_type) {
                return;
            }
            let e = node.cast::<jl_expr_t>();
            let args = array_items((*e).args);
            let target = match (symbol_str((*e).head), args) {
                ("foreigncall", [target, ..]) => Some(*target),
                ("call", [function, target, ..]) if is_cglobal(*function) => Some(*target),
                _ => None,
            };
            if let Some((library, name)) = target.and_then(|t| static_target(t)) {
                if let Ok(address) = c_symbol(library.as_deref(), &name) {
                    self.by_address.entry(address as usize).or_insert((library, name));
                }
            }
            for arg in args {
                self.visit(*arg, depth + 1);
            }
        }
    }
}

pub(crate) unsafe fn is_cglobal(function: Value) -> bool {
    // SAFETY: Core.Intrinsics is there from start-up on; a GlobalRef is (module, name, …).
    unsafe {
        if function.is_null() {
            return false;
        }
        if is(function, jl_sys::jl_globalref_type) {
            return symbol_str((*function.cast::<Value>().add(1)).cast()) == "cglobal";
        }
        if !is(function, jl_sys::jl_intrinsic_type) {
            return false;
        }
        let intrinsics = constant(jl_sys::jl_core_module, nativecache_julia::object::symbol("Intrinsics"));
        let cglobal = intrinsics
            .and_then(|m| constant(m.cast(), nativecache_julia::object::symbol("cglobal")))
            .map(|c| *c.cast::<i32>());
        cglobal == Some(*function.cast::<i32>())
    }
}

/// The target as ccall.cpp's `interpret_symbol_arg` reads it, for the forms that are constants.
unsafe fn static_target(arg: Value) -> Option<Target> {
    // SAFETY: kinds are checked before casts.
    unsafe {
        if let Some(name) = text(arg) {
            return Some((None, name));
        }
        if is(arg, jl_sys::jl_quotenode_type) {
            return static_target(*arg.cast::<Value>());
        }
        if is(arg, jl_sys::jl_expr_type) {
            let e = arg.cast::<jl_expr_t>();
            return match (symbol_str((*e).head), array_items((*e).args)) {
                ("call", [_, name]) => Some((None, text(*name)?)),
                ("call", [_, name, library]) => Some((Some(text(*library)?), text(*name)?)),
                _ => None,
            };
        }
        let ty = type_of(arg);
        if (*ty).name == jl_sys::jl_tuple_typename {
            let n = (*(*ty).layout).nfields;
            let field = |i: u32| {
                let (offset, boxed) = nativecache_julia::layout::field(ty, i)?;
                boxed.then(|| *arg.cast::<u8>().add(offset).cast::<Value>())
            };
            return match n {
                1 => Some((None, text(field(0)?)?)),
                2 => Some((Some(text(field(1)?)?), text(field(0)?)?)),
                _ => None,
            };
        }
        None
    }
}

/// A symbol or string, as itself, quoted, or as a constant's name.
unsafe fn text(v: Value) -> Option<String> {
    // SAFETY: kinds are checked before casts; a GlobalRef is (module, name, …).
    unsafe {
        if v.is_null() {
            return None;
        }
        if is(v, jl_sys::jl_symbol_type) {
            return Some(symbol_str(v.cast()).to_owned());
        }
        if is(v, jl_sys::jl_string_type) {
            return String::from_utf8(string_bytes(v).to_vec()).ok();
        }
        if is(v, jl_sys::jl_quotenode_type) {
            return text(*v.cast::<Value>());
        }
        if is(v, jl_sys::jl_globalref_type) {
            let (owner, name) = (*v.cast::<Value>(), *v.cast::<Value>().add(1));
            let binding = nativecache_julia::julia_1_5::jl_get_binding(owner.cast(), name.cast());
            if binding.is_null() || (*binding).constp == 0 || (*binding).value.is_null() {
                return None;
            }
            return text((*binding).value);
        }
        None
    }
}

/// Symbols that every process with this Julia has: those of libjulia and of what it needs.
pub struct JuliasOwn(*mut libc::c_void);

impl JuliasOwn {
    /// `None` if the system does not say which file libjulia is.
    pub fn find() -> Option<Self> {
        // SAFETY: dladdr accepts any address; its path lives as long as libjulia is mapped, which is as long as the
        // process. NOLOAD only finds what is mapped.
        unsafe {
            let mut info: libc::Dl_info = std::mem::zeroed();
            let inside = nativecache_julia::julia_1_5::jl_get_world_counter as *const libc::c_void;
            if libc::dladdr(inside, &raw mut info) == 0 || info.dli_fname.is_null() {
                return None;
            }
            let handle = libc::dlopen(info.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD);
            (!handle.is_null()).then_some(Self(handle))
        }
    }

    /// Is there a function or variable of this name?
    pub fn has(&self, name: &str) -> bool {
        let Ok(name) = std::ffi::CString::new(name) else { return false };
        // SAFETY: `find` opened the handle, and nobody closes it.
        unsafe { !libc::dlsym(self.0, name.as_ptr()).is_null() }
    }
}

/// The exported symbol that begins at exactly this address, as the dynamic linker names it.
pub fn exported_symbol(address: usize) -> Option<Target> {
    let (name, start) = elf::symbol_before(address)?;
    if start != address {
        return None;
    }
    let name = name.to_str().ok()?.to_owned();
    // SAFETY: on a Julia thread, as all that asks for symbols. What the process's own scope finds needs no library.
    let found = unsafe { c_symbol(None, &name) }.ok()? as usize;
    (found == address).then_some((None, name))
}
