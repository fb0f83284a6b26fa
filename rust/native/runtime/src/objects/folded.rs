//! Does code compute with an address that code generation knows?
//!
//! `cglobal` of a constant symbol becomes the address itself, as an integer constant (ccall.cpp, `emit_cglobal`), and so
//! does a `Ptr` that stands in the code. What is computed of it, LLVM's builder folds: `UInt(cglobal(:x)) >> 1` is one
//! number in the module, which lies in no mapping and which nothing tells from data. So the inferred code has to say
//! where such an address goes: it may be loaded from, stored, passed on and returned, where it stays as it is and is
//! found; anything else is computing.

use std::ffi::CStr;

use jl_sys::{jl_datatype_t, jl_expr_t};

use crate::objects::foreign::is_cglobal;
use nativecache_julia::julia_1_5::{jl_get_binding, jl_intrinsic_name};
use nativecache_julia::object::{array_items, is, is_type, symbol_str, type_of, Value};
use nativecache_julia::paths::holds_pointer;

/// What becomes of a statement that uses an address.
enum Effect {
    /// Its value is not the address, nor does it hold it.
    Harmless,
    /// Its value is the address again, or holds it.
    PassesOn,
    /// Its value may be folded, with the address in it.
    Computes(String),
}

/// What the code computes with an address that code generation would fold, if anything: the name of the operation.
///
/// # Safety
/// `code` is a live CodeInfo, optimised; the collector is off.
pub unsafe fn computes_with_address(code: Value) -> Option<String> {
    // SAFETY: CodeInfo's first field is `code`, a Vector{Any}.
    let statements = unsafe { array_items((*code.cast::<Value>()).cast()) };
    let mut addresses = vec![false; statements.len()];
    loop {
        let mut changed = false;
        for (at, statement) in statements.iter().enumerate() {
            // SAFETY: statements are live trees.
            match unsafe { effect(*statement, &addresses) } {
                Effect::Harmless => {}
                Effect::Computes(what) => return Some(what),
                Effect::PassesOn => changed |= !std::mem::replace(&mut addresses[at], true),
            }
        }
        if !changed {
            return None;
        }
    }
}

unsafe fn effect(statement: Value, addresses: &[bool]) -> Effect {
    if statement.is_null() {
        return Effect::Harmless;
    }
    // SAFETY: kinds are checked before casts. The first field of a PiNode and an UpsilonNode is their value, that of a
    // PhiNode is `edges` and the second `values`, that of a PhiCNode is `values`.
    unsafe {
        let first = || *statement.cast::<Value>();
        let holds = |v: Value| is_address(v, addresses);
        let any = |array: Value| array_items(array.cast()).iter().any(|v| holds(*v));
        let passes = |yes: bool| if yes { Effect::PassesOn } else { Effect::Harmless };
        if is(statement, jl_sys::jl_expr_type) {
            return expression(statement.cast(), addresses);
        }
        if is(statement, jl_sys::jl_pinode_type) || is(statement, jl_sys::jl_upsilonnode_type) {
            return passes(holds(first()));
        }
        if is(statement, jl_sys::jl_phinode_type) {
            return passes(any(*statement.cast::<Value>().add(1)));
        }
        if is(statement, jl_sys::jl_phicnode_type) {
            return passes(any(first()));
        }
        passes(holds(statement))
    }
}

unsafe fn expression(e: *const jl_expr_t, addresses: &[bool]) -> Effect {
    // SAFETY: `e` is a live Expr.
    unsafe {
        let head = symbol_str((*e).head);
        let args = array_items((*e).args);
        if let ("call", [function, ..]) = (head, args) {
            if is_cglobal(*function) {
                return Effect::PassesOn;
            }
        }
        // What `ccall` names may itself be an expression, a tuple; elsewhere optimised code has none inside of others.
        let operands = if head == "foreigncall" { args.get(1..).unwrap_or(&[]) } else { args };
        if operands.iter().any(|arg| is_inside(*arg, addresses, 0)) {
            return Effect::Computes(format!("an expression inside of `{head}`"));
        }
        let uses: Vec<usize> = (0..args.len()).filter(|i| is_address(args[*i], addresses)).collect();
        if uses.is_empty() {
            return Effect::Harmless;
        }
        match head {
            "return" | "invoke" | "gc_preserve_begin" | "gc_preserve_end" | "meta" | "cfunction" => {
                Effect::Harmless
            }
            "new" | "splatnew" => Effect::PassesOn,
            // For some of libjulia's functions there is no call: they give back what they are given (ccall.cpp).
            "foreigncall" if args.len() > 1 && is_of_runtime(args[0]) && is_bits(args[1]) => Effect::PassesOn,
            "foreigncall" => Effect::Harmless,
            "call" => called(args, &uses),
            _ => Effect::Computes(format!("`{head}`")),
        }
    }
}

/// A call, of which the arguments with the numbers `uses` hold an address.
unsafe fn called(args: &[Value], uses: &[usize]) -> Effect {
    let within = |places: &[usize]| uses.iter().all(|i| places.contains(i));
    // SAFETY: the arguments are live, and there are some.
    unsafe {
        // Dispatched at run time: the arguments are objects.
        let Some(name) = builtin_name(args[0]) else { return Effect::Harmless };
        match name.as_str() {
            // The pointer, not an index or an alignment, which are computed with.
            "pointerref" if within(&[1]) => Effect::Harmless,
            "pointerset" if within(&[1, 2]) => Effect::PassesOn,
            "bitcast" if within(&[2]) && stays_integer(args[1]) => Effect::PassesOn,
            "tuple" | "svec" | "typeassert" | "getfield" | "setfield!" | "arrayset" | "ifelse"
            | "select_value" => Effect::PassesOn,
            "isa" | "typeof" | "nfields" | "isdefined" | "throw" | "_apply" | "_apply_iterate" | "invoke" => {
                Effect::Harmless
            }
            _ => Effect::Computes(format!("`{name}`")),
        }
    }
}

/// The name of a builtin or an intrinsic, under whatever name it is called.
unsafe fn builtin_name(function: Value) -> Option<String> {
    // SAFETY: kinds are checked before casts; an intrinsic is its number, and every function's type has a method table.
    unsafe {
        let function = constant_of(function)?;
        if is(function, jl_sys::jl_intrinsic_type) {
            let name = CStr::from_ptr(jl_intrinsic_name(*function.cast::<i32>()));
            return Some(name.to_string_lossy().into_owned());
        }
        let ty = type_of(function);
        if (*ty).super_ != jl_sys::jl_builtin_type {
            return None;
        }
        let table = (*(*ty).name).mt;
        // Without a name it counts as one that computes.
        Some(if table.is_null() { String::new() } else { symbol_str((*table).name).to_owned() })
    }
}

/// The value of a constant global or a quoted value, and anything else as it is.
unsafe fn constant_of(v: Value) -> Option<Value> {
    // SAFETY: a GlobalRef is (module, name, …), a QuoteNode holds its value.
    unsafe {
        if v.is_null() {
            return None;
        }
        if is(v, jl_sys::jl_quotenode_type) {
            return Some(*v.cast::<Value>());
        }
        if is(v, jl_sys::jl_globalref_type) {
            let (module, name) = (*v.cast::<Value>(), *v.cast::<Value>().add(1));
            let binding = jl_get_binding(module.cast(), name.cast());
            let constant = !binding.is_null() && (*binding).constp != 0 && !(*binding).value.is_null();
            return constant.then(|| (*binding).value);
        }
        Some(v)
    }
}

/// Does a bitcast to this type leave an integer constant one? The bits of a float would be overlooked.
unsafe fn stays_integer(ty: Value) -> bool {
    // SAFETY: kinds are checked before casts.
    unsafe {
        let Some(ty) = constant_of(ty).filter(|ty| is(*ty, jl_sys::jl_datatype_type)) else { return false };
        let name = (*ty.cast::<jl_datatype_t>()).name;
        name == jl_sys::jl_pointer_typename
            || ty == jl_sys::jl_int64_type.cast()
            || ty == jl_sys::jl_uint64_type.cast()
    }
}

/// Does a foreigncall name a function of libjulia, as a symbol?
unsafe fn is_of_runtime(target: Value) -> bool {
    // SAFETY: kinds are checked before casts.
    unsafe {
        constant_of(target)
            .is_some_and(|t| is(t, jl_sys::jl_symbol_type) && symbol_str(t.cast()).starts_with("jl_"))
    }
}

/// Is this a type whose values are no objects?
unsafe fn is_bits(ty: Value) -> bool {
    // SAFETY: kinds are checked before casts.
    unsafe {
        constant_of(ty).is_none_or(|ty| {
            !is_type(ty)
                || (is(ty, jl_sys::jl_datatype_type) && (*ty.cast::<jl_datatype_t>()).isbitstype != 0)
        })
    }
}

/// Is this operand an address, or does it hold one?
unsafe fn is_address(v: Value, addresses: &[bool]) -> bool {
    // SAFETY: kinds are checked before casts; an SSAValue is the number of its statement, from 1.
    unsafe {
        if v.is_null() {
            return false;
        }
        if is(v, jl_sys::jl_ssavalue_type) {
            let statement = (*v.cast::<isize>()).wrapping_sub(1).cast_unsigned();
            return addresses.get(statement).copied().unwrap_or(true);
        }
        let Some(v) = constant_of(v) else { return false };
        let ty = type_of(v);
        if is_type(v) || (*ty).isbitstype == 0 || !holds_pointer(ty) {
            return false;
        }
        let bytes = std::slice::from_raw_parts(v.cast::<u8>(), (*ty).size.max(0) as usize);
        bytes.iter().any(|byte| *byte != 0)
    }
}

/// Is there an address, or a call that gives one, inside of this expression?
unsafe fn is_inside(v: Value, addresses: &[bool], depth: u32) -> bool {
    // SAFETY: kinds are checked before casts.
    unsafe {
        if v.is_null() || !is(v, jl_sys::jl_expr_type) {
            return depth > 0 && is_address(v, addresses);
        }
        let args = array_items((*v.cast::<jl_expr_t>()).args);
        let gives = symbol_str((*v.cast::<jl_expr_t>()).head) == "call"
            && args.first().is_some_and(|function| is_cglobal(*function));
        gives || depth > 64 || args.iter().any(|arg| is_inside(*arg, addresses, depth + 1))
    }
}
