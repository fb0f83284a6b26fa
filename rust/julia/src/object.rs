//! Reading Julia objects through their C layout (jl-sys checks the layouts against julia.h).
//!
//! Every function here is `unsafe`: the caller vouches that the pointer is a live Julia object
//! of the kind that the function's name says, and that no other thread mutates it meanwhile.
#![allow(clippy::missing_safety_doc)] // one contract for the whole module, stated above

use std::ffi::CStr;

use jl_sys::{
    jl_array_t, jl_datatype_t, jl_module_t, jl_svec_t, jl_sym_t, jl_taggedvalue_t, jl_typename_t,
    jl_unionall_t, jl_value_t,
};

/// Any Julia object.
pub type Value = *mut jl_value_t;

/// The type tag of `v` (julia.h, `jl_typeof`): the word before the object without its GC bits.
pub unsafe fn type_of(v: Value) -> *mut jl_datatype_t {
    // SAFETY: a live object is preceded by its tag.
    unsafe {
        let tagged = v.cast::<jl_taggedvalue_t>().sub(1);
        ((*tagged.cast::<usize>()) & !15usize) as *mut jl_datatype_t
    }
}

/// Is `v` of exactly the type `ty`?
pub unsafe fn is(v: Value, ty: *mut jl_datatype_t) -> bool {
    // SAFETY: as the module says.
    unsafe { type_of(v) == ty }
}

pub unsafe fn is_type(v: Value) -> bool {
    // SAFETY: the kinds are initialised before any code of ours runs.
    unsafe {
        let t = type_of(v);
        t == jl_sys::jl_datatype_type
            || t == jl_sys::jl_unionall_type
            || t == jl_sys::jl_uniontype_type
            || t == jl_sys::jl_typeofbottom_type
    }
}

/// The elements of a simple vector; null where unassigned.
pub unsafe fn svec_items<'a>(v: *mut jl_svec_t) -> &'a [Value] {
    // SAFETY: the items follow the length word (julia.h, `jl_svec_data`).
    unsafe {
        let n = (*v).length;
        std::slice::from_raw_parts(v.cast::<Value>().add(1), n)
    }
}

/// The elements of a `Vector` of boxed elements; null where unassigned.
pub unsafe fn array_items<'a>(v: *mut jl_array_t) -> &'a [Value] {
    // SAFETY: the caller vouches for boxed elements; `data` is null only when empty.
    unsafe {
        if v.is_null() || (*v).length == 0 {
            return &[];
        }
        std::slice::from_raw_parts((*v).data.cast::<Value>(), (*v).length)
    }
}

/// The bytes of a `Vector{UInt8}` or of any array of bits.
pub unsafe fn array_bytes<'a>(v: *mut jl_array_t) -> &'a [u8] {
    // SAFETY: elements of `elsize` bytes lie one after another.
    unsafe {
        let n = (*v).length * usize::from((*v).elsize);
        if n == 0 {
            return &[];
        }
        std::slice::from_raw_parts((*v).data.cast::<u8>(), n)
    }
}

pub unsafe fn symbol_str<'a>(s: *mut jl_sym_t) -> &'a str {
    // SAFETY: the name follows the struct and is NUL-terminated (julia.h, `jl_symbol_name`).
    unsafe {
        let name = s.cast::<u8>().add(std::mem::size_of::<jl_sym_t>());
        CStr::from_ptr(name.cast()).to_str().unwrap_or("")
    }
}

/// The same as it is; a symbol may be made of any bytes but NUL.
pub unsafe fn symbol_bytes<'a>(s: *mut jl_sym_t) -> &'a [u8] {
    // SAFETY: as `symbol_str`.
    unsafe {
        let name = s.cast::<u8>().add(std::mem::size_of::<jl_sym_t>());
        CStr::from_ptr(name.cast()).to_bytes()
    }
}

pub unsafe fn string_bytes<'a>(s: Value) -> &'a [u8] {
    // SAFETY: a String is a length word followed by its bytes.
    unsafe {
        let n = *s.cast::<usize>();
        std::slice::from_raw_parts(s.cast::<u8>().add(8), n)
    }
}

/// Peels all `where`s off a type.
pub unsafe fn unwrap_unionall(mut t: Value) -> Value {
    // SAFETY: as the module says.
    unsafe {
        while is(t, jl_sys::jl_unionall_type) {
            t = (*t.cast::<jl_unionall_t>()).body;
        }
        t
    }
}

/// The type name behind a type, `None` for unions, type variables and `Union{}`.
pub unsafe fn type_name(t: Value) -> Option<*mut jl_typename_t> {
    // SAFETY: as the module says.
    unsafe {
        let t = unwrap_unionall(t);
        is(t, jl_sys::jl_datatype_type).then(|| (*t.cast::<jl_datatype_t>()).name)
    }
}

pub unsafe fn module_name<'a>(m: *mut jl_module_t) -> &'a str {
    // SAFETY: every module has a name.
    unsafe { symbol_str((*m).name) }
}

/// A dotted path for messages; describes, does not identify.
pub unsafe fn module_path(m: *mut jl_module_t) -> String {
    // SAFETY: parents of live modules are live.
    unsafe {
        let mut names = vec![module_name(m).to_owned()];
        let mut at = m;
        while !is_root_module(at) {
            at = (*at).parent;
            names.push(module_name(at).to_owned());
        }
        names.reverse();
        names.join(".")
    }
}

/// A package's top module, or Core, Base, Main.
pub unsafe fn is_root_module(m: *mut jl_module_t) -> bool {
    // SAFETY: the three modules exist from start-up on.
    unsafe {
        (*m).parent == m
            || (*m).parent.is_null()
            || m == jl_sys::jl_core_module
            || m == jl_sys::jl_base_module
            || m == jl_sys::jl_main_module
    }
}

/// The root module that `m` belongs to.
pub unsafe fn root_module(mut m: *mut jl_module_t) -> *mut jl_module_t {
    // SAFETY: parents of live modules are live, and the chain ends at a root.
    unsafe {
        while !is_root_module(m) {
            m = (*m).parent;
        }
        m
    }
}

pub unsafe fn symbol(name: &str) -> *mut jl_sym_t {
    // SAFETY: jl_symbol_n copies the bytes; names come from validated tables and hold no NUL
    // (it would throw): those are cut there, which finds nothing and is reported as unresolved.
    let name = name.split('\0').next().unwrap_or("");
    unsafe { jl_sys::jl_symbol_n(name.as_ptr().cast(), name.len()) }
}
