//! Inferred code, carried from one process to another: what callers may inline.
//!
//! The form in which a code instance keeps it (dump.c, `jl_compress_ir`) refers to types, functions and
//! constants by their number among the roots of its method, and every process numbers those that
//! inference added in its own way. So the numbers are found at build, the objects described, and at
//! load the numbers of this session put in their places.

use jl_sys::{jl_array_t, jl_code_instance_t, jl_expr_t, jl_method_t};
use nativecache_image::Reason;

use crate::error::Undescribable;
use nativecache_julia::julia_1_5::{jl_compress_ir, jl_ir_flag_inlineable, jl_uncompress_ir};
use nativecache_julia::object::{array_bytes, array_items, is, is_type, type_of, Value};
use nativecache_julia::paths::holds_pointer;
use nativecache_julia::raw_method_roots::Roots;

/// Inferred code in a form that does not depend on the process.
#[derive(Clone, Debug)]
pub struct Portable {
    /// Compressed, with the number in `roots` at each of `places`.
    pub bytes: Vec<u8>,
    /// What it refers to, in the order of first mention.
    pub roots: Vec<Value>,
    /// Where in `bytes` a half-word holds the number of a root.
    pub places: Vec<u32>,
}

/// The code that `ci` keeps for callers that may inline it.
///
/// # Safety
/// `ci` is live.
pub unsafe fn inlineable(ci: *mut jl_code_instance_t) -> Option<*mut jl_array_t> {
    // SAFETY: `inferred` is null, `nothing`, a CodeInfo or its compressed form.
    unsafe {
        let data = (*ci).inferred;
        let compressed = !data.is_null() && is(data, jl_sys::jl_array_uint8_type.cast());
        (compressed && jl_ir_flag_inlineable(data.cast()) != 0).then(|| data.cast())
    }
}

/// The inferred code that `ci` keeps, as a CodeInfo.
///
/// # Safety
/// `ci` is live and `data` is its inferred code, as it keeps or kept it; the collector is off.
pub unsafe fn code_info(ci: *mut jl_code_instance_t, data: Value) -> Option<Value> {
    // SAFETY: `data` is null, `nothing`, a CodeInfo or its compressed form.
    unsafe {
        let method = (*(*ci).def).def.value;
        if data.is_null() || !is(method, jl_sys::jl_method_type) {
            return None;
        }
        let code = if is(data, jl_sys::jl_array_uint8_type.cast()) {
            jl_uncompress_ir(method.cast(), ci, data.cast())
        } else {
            data
        };
        (!code.is_null() && is(code, jl_sys::jl_code_info_type)).then_some(code)
    }
}

/// Roots below this number are written in one byte (dump.c, `TAG_METHODROOT`); from it on in two.
const SHORT_ROOTS: usize = 256;

impl Portable {
    /// Finds out which bytes of the compressed form are numbers of roots: it is made twice, with
    /// differently many roots before those that it needs, and only these numbers differ.
    ///
    /// # Safety
    /// The collector is off, nothing else runs; `data` is the compressed code of `ci`, a code instance of
    /// a method.
    pub unsafe fn of(ci: *mut jl_code_instance_t, data: *mut jl_array_t) -> Result<Self, Undescribable> {
        let failed = |detail: &str| Undescribable {
            reason: Reason::InferredCode,
            detail: format!("its compressed form is not understood: {detail}"),
        };
        // SAFETY: as the caller says; the method gets its own roots back.
        unsafe {
            let method = (*(*ci).def).def.value.cast::<jl_method_t>();
            let code = jl_uncompress_ir(method, ci, data);
            if let Some(statement) = holds_address(code) {
                let detail = format!("in statement {statement} of its inferred code");
                return Err(Undescribable { reason: Reason::IntegerAddress, detail });
            }
            let own = (*method).roots;
            let (first, roots) = compress(method, code, SHORT_ROOTS);
            let (second, again) = compress(method, code, 2 * SHORT_ROOTS);
            (*method).roots = own;
            if roots != again || first.len() != second.len() {
                return Err(failed("two runs differ"));
            }
            let mut bytes = first.clone();
            let mut places = Vec::new();
            for at in (0..first.len()).filter(|at| first[*at] != second[*at]) {
                // The numbers differ by 256: in the upper byte.
                let place = at.checked_sub(1).ok_or_else(|| failed("a number without its lower byte"))?;
                let number = |b: &[u8]| usize::from(u16::from_le_bytes([b[place], b[at]]));
                let index = number(&first).wrapping_sub(SHORT_ROOTS);
                if number(&second) != number(&first) + SHORT_ROOTS || index >= roots.len() {
                    return Err(failed("a number that is not one of a root"));
                }
                let index = u16::try_from(index).map_err(|_| failed("too many roots"))?;
                bytes[place..=at].copy_from_slice(&index.to_le_bytes());
                places.push(u32::try_from(place).map_err(|_| failed("it is too long"))?);
            }
            Ok(Portable { bytes, roots, places })
        }
    }
}

/// Compresses `code` as if its method had `before` other roots; returns those that it needs, too.
unsafe fn compress(method: *mut jl_method_t, code: Value, before: usize) -> (Vec<u8>, Vec<Value>) {
    // SAFETY: as `Portable::of`. A fresh vector is equal to nothing that code refers to.
    unsafe {
        let any = jl_sys::jl_array_any_type.cast();
        let roots = jl_sys::jl_alloc_array_1d(any, before);
        for i in 0..before {
            *(*roots).data.cast::<Value>().add(i) = jl_sys::jl_alloc_array_1d(any, 0).cast();
        }
        (*method).roots = roots;
        let bytes = array_bytes(jl_compress_ir(method, code).cast()).to_vec();
        (bytes, array_items((*method).roots)[before..].to_vec())
    }
}

/// The first statement in which an address stands as plain bits: a `Ptr`, or a tuple that holds one.
/// What is a root of its own is looked at when it is described.
unsafe fn holds_address(code: Value) -> Option<usize> {
    // SAFETY: CodeInfo's first field is `code`, a Vector{Any}.
    unsafe {
        let statements = array_items((*code.cast::<Value>()).cast());
        statements.iter().position(|statement| bits_with_pointer(*statement, 0))
    }
}

unsafe fn bits_with_pointer(node: Value, depth: u32) -> bool {
    if node.is_null() || depth > 64 {
        return !node.is_null();
    }
    // SAFETY: statements are trees of live objects.
    unsafe {
        if is(node, jl_sys::jl_expr_type) {
            let args = array_items((*node.cast::<jl_expr_t>()).args);
            return args.iter().any(|arg| bits_with_pointer(*arg, depth + 1));
        }
        if is(node, jl_sys::jl_quotenode_type) {
            return bits_with_pointer(*node.cast::<Value>(), depth + 1);
        }
        let ty = type_of(node);
        if is_type(node) || (*ty).isbitstype == 0 || !holds_pointer(ty) {
            return false;
        }
        let bytes = std::slice::from_raw_parts(node.cast::<u8>(), (*ty).size.max(0) as usize);
        bytes.iter().any(|byte| *byte != 0)
    }
}

/// The compressed form for this session: adds the roots to the method, as `jl_compress_ir` does, and
/// writes their numbers.
///
/// # Safety
/// On a Julia thread with the collector off; `method` and `roots` are live; each of `places` is that of a
/// half-word in `bytes` which holds an index into `roots`.
pub unsafe fn unpack(
    known: &mut Roots,
    method: *mut jl_method_t,
    bytes: &[u8],
    roots: &[Value],
    places: impl Iterator<Item = u32>,
) -> Option<*mut jl_array_t> {
    // SAFETY: as the caller says.
    unsafe {
        let numbers = known.add(method, roots)?;
        let array = jl_sys::jl_alloc_array_1d(jl_sys::jl_array_uint8_type.cast(), bytes.len());
        let data = std::slice::from_raw_parts_mut((*array).data.cast::<u8>(), bytes.len());
        data.copy_from_slice(bytes);
        for place in places {
            let place = place as usize;
            let two = data.get_mut(place..place + 2)?;
            let number = numbers.get(usize::from(u16::from_le_bytes([two[0], two[1]])))?;
            two.copy_from_slice(&number.to_le_bytes());
        }
        Some(array)
    }
}
