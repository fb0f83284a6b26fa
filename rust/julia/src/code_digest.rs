//! A digest of lowered code that two processes share if the code says the same.
//!
//! What has an identity of its own (a mutable object, a method) has none; names that `gensym` makes are
//! numbered differently in every process and count as equal.

use jl_sys::{jl_datatype_t, jl_expr_t, jl_method_t, jl_module_t, jl_tvar_t, jl_unionall_t, jl_uniontype_t};

use crate::julia_1_5::{jl_module_build_id, jl_uncompress_ir};
use crate::layout;
use crate::object::{
    array_items, is, is_type, module_path, root_module, string_bytes, svec_items, symbol_str, type_of, Value,
};
use crate::paths::holds_pointer;

/// FNV-1a over words: fast on few words, and the same in every process.
pub struct Mix(u64);

impl Mix {
    pub fn new(seed: u64) -> Self {
        Mix(seed)
    }

    pub fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    pub fn add_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
        self.add(bytes.len() as u64);
    }

    pub fn finish(&self) -> u64 {
        self.0
    }
}

/// Adds a method's signature and lowered code; `None` if it has none, or refers to what has no digest.
///
/// # Safety
/// `method` is live; on a Julia thread, collector off.
pub unsafe fn digest_source(method: *mut jl_method_t, mix: &mut Mix) -> Option<()> {
    // SAFETY: `source` is null, a CodeInfo or its compressed form (an Array{UInt8}).
    unsafe {
        let mut source = (*method).source;
        if source.is_null() {
            return None;
        }
        if is(source, jl_sys::jl_array_uint8_type.cast()) {
            source = jl_uncompress_ir(method, std::ptr::null_mut(), source.cast());
        }
        digest((*method).sig, mix, 0)?;
        for number in [(*method).nargs, (*method).nospecialize, (*method).nkw] {
            mix.add(u64::from(number.cast_unsigned()));
        }
        mix.add(u64::from((*method).isva) << 1 | u64::from((*method).pure_));
        digest_code(source, mix)
    }
}

/// Adds the statements of a `CodeInfo`.
///
/// # Safety
/// `code` is live; collector off.
pub unsafe fn digest_code(code: Value, mix: &mut Mix) -> Option<()> {
    // SAFETY: CodeInfo's first field is `code`, a Vector{Any}.
    unsafe {
        if code.is_null() || !is(code, jl_sys::jl_code_info_type) {
            return None;
        }
        let statements = array_items(*code.cast::<Value>().cast());
        mix.add(statements.len() as u64);
        statements.iter().try_for_each(|statement| digest(*statement, mix, 0))
    }
}

/// Adds a symbol, string, module or type; false if it is none of them.
///
/// # Safety
/// `value` is live.
pub unsafe fn add_named(value: Value, mix: &mut Mix) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        let named = is_type(value)
            || is(value, jl_sys::jl_symbol_type)
            || is(value, jl_sys::jl_string_type)
            || is(value, jl_sys::jl_module_type);
        if named && digest(value, mix, 0).is_none() {
            // Types with parameters that have no digest: the same process-independent word for all.
            mix.add(1);
        }
        named
    }
}

pub fn add_code(code: crate::handles::CodeInfo<'_>, mix: &mut Mix) -> Option<()> {
    // SAFETY: a handle is alive.
    unsafe { digest_code(code.object().as_ptr(), mix) }
}

pub fn add_name(object: crate::handles::Object<'_>, mix: &mut Mix) -> bool {
    // SAFETY: a handle is alive.
    unsafe { add_named(object.as_ptr(), mix) }
}

/// Expression trees are no deeper than this.
const MAX_DEPTH: u32 = 200;

unsafe fn digest(value: Value, mix: &mut Mix, depth: u32) -> Option<()> {
    if value.is_null() || depth > MAX_DEPTH {
        return None;
    }
    // SAFETY: `value` is live; each kind is read as its layout in julia.h says.
    unsafe {
        let ty = type_of(value);
        if ty == jl_sys::jl_symbol_type {
            let name = symbol_str(value.cast());
            mix.add_bytes(if name.starts_with("##") { b"##" } else { name.as_bytes() });
        } else if is_type(value) {
            return digest_type(value, mix, depth);
        } else if ty == jl_sys::jl_tvar_type {
            let var = value.cast::<jl_tvar_t>();
            mix.add_bytes(symbol_str((*var).name).as_bytes());
            // A bound may mention the variable itself; its depth ends that.
            digest((*var).lb, mix, depth + 1)?;
            return digest((*var).ub, mix, depth + 1);
        } else if ty == jl_sys::jl_simplevector_type {
            let items = svec_items(value.cast());
            mix.add(items.len() as u64);
            return items.iter().try_for_each(|item| digest(*item, mix, depth + 1));
        } else if ty == jl_sys::jl_string_type {
            mix.add_bytes(string_bytes(value));
        } else if ty == jl_sys::jl_module_type {
            let module = value.cast::<jl_module_t>();
            mix.add_bytes(module_path(module).as_bytes());
            mix.add(jl_module_build_id(root_module(module)));
        } else if ty == jl_sys::jl_expr_type {
            let expr = value.cast::<jl_expr_t>();
            mix.add_bytes(symbol_str((*expr).head).as_bytes());
            let args = array_items((*expr).args);
            mix.add(args.len() as u64);
            return args.iter().try_for_each(|arg| digest(*arg, mix, depth + 1));
        } else if ty == jl_sys::jl_linenumbernode_type {
            mix.add(0);
        } else if ty == jl_sys::jl_globalref_type || ty == jl_sys::jl_quotenode_type || (*ty).mutabl == 0 {
            digest_type(ty.cast(), mix, depth)?;
            if (*ty).layout.is_null() {
                return None;
            }
            if (*(*ty).layout).npointers == 0 {
                // Padding is not part of the value, and an address is another one in each process.
                if layout::has_padding(ty) || holds_pointer(ty) {
                    return None;
                }
                let size = usize::try_from((*ty).size).ok()?;
                mix.add_bytes(std::slice::from_raw_parts(value.cast::<u8>(), size));
            } else {
                for index in 0..(*(*ty).layout).nfields {
                    let (offset, boxed) = layout::field(ty, index)?;
                    if !boxed {
                        return None;
                    }
                    digest(*value.cast::<u8>().add(offset).cast::<Value>(), mix, depth + 1)?;
                }
            }
        } else {
            return None;
        }
        Some(())
    }
}

unsafe fn digest_type(ty: Value, mix: &mut Mix, depth: u32) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    // SAFETY: `ty` is a live type.
    unsafe {
        if is(ty, jl_sys::jl_uniontype_type) {
            let union = ty.cast::<jl_uniontype_t>();
            mix.add_bytes(b"Union");
            digest((*union).a, mix, depth + 1)?;
            return digest((*union).b, mix, depth + 1);
        }
        if is(ty, jl_sys::jl_unionall_type) {
            let all = ty.cast::<jl_unionall_t>();
            mix.add_bytes(b"where");
            digest((*all).var.cast(), mix, depth + 1)?;
            return digest((*all).body, mix, depth + 1);
        }
        if !is(ty, jl_sys::jl_datatype_type) {
            mix.add_bytes(b"Union{}");
            return Some(());
        }
        let ty = ty.cast::<jl_datatype_t>();
        mix.add_bytes(symbol_str((*(*ty).name).name).as_bytes());
        mix.add_bytes(module_path((*(*ty).name).module).as_bytes());
        svec_items((*ty).parameters).iter().try_for_each(|parameter| digest(*parameter, mix, depth + 1))
    }
}
