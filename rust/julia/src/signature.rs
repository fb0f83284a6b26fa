//! Signatures as text, in the words of Julia's own `--trace-compile`, written by code of our own: `jl_static_show` takes
//! the inline fields of a struct for pointers, and writes symbols, type variables and small integers so that they cannot
//! be read back.
//!
//! What is written, Julia's parser and src/signature.jl read back to the same type. What cannot be written so is an
//! error that says why. Nothing here calls Julia code, allocates in Julia's heap or follows anything but the layouts that
//! the runtime itself keeps.

use jl_sys::{jl_datatype_t, jl_module_t, jl_tvar_t, jl_typename_t, jl_unionall_t, jl_uniontype_t};
use nativecache_mutation::mutation;
use thiserror::Error;

pub mod words;

use crate::julia_1_5::{jl_get_module_binding, jl_module_exports_p};
use crate::layout;
use crate::made_up_names::Generated;
use crate::object::{
    is, is_root_module, is_type, string_bytes, svec_items, symbol_bytes, symbol_str, type_name, type_of,
    Value,
};
use crate::packages::is_generated;

/// Why a signature has no text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unprintable {
    /// The parser made the name up, and no definition says of what.
    #[error("{0} has no name that lasts")]
    NoLastingName(String),
    /// A type that was replaced, or that never had a name.
    #[error("{0} is not what its module has under that name")]
    NotBound(String),
    /// A name that no literal can hold where it stands.
    #[error("the name {0} cannot be written")]
    Name(String),
    /// An address.
    #[error("a parameter holds an address, which is another one in each session")]
    Address,
    /// A value of a kind that is no type parameter.
    #[error("a value of type {0} cannot be written")]
    Value(String),
    /// A type variable outside of its `where`, or behind another one of its name.
    #[error("the type variable {0} cannot be written")]
    Variable(String),
    /// It stands for types of a tuple and is none itself.
    #[error("`Vararg` outside of a tuple cannot be written")]
    Vararg,
    /// Deeper than anything that is worth a line in a profile.
    #[error("it is nested too deeply")]
    TooDeep,
}

/// Types nest, and this is recursive; each level takes well below a kilobyte of the stack.
const MAX_DEPTH: u32 = 200;

/// A type as text. With `names`, what the parser made up gets names that last.
///
/// # Safety
/// `value` is a live type, parts of it do not change meanwhile. As [`Generated::lasting`] if there are `names`.
pub unsafe fn print<'n, 'm: 'n>(
    value: Value,
    names: Option<&'n mut Generated<'m>>,
) -> Result<String, Unprintable> {
    let mut printer =
        Printer { out: String::new(), names, variables: vec![], heads: vec![], bound: vec![], depth: 0 };
    // SAFETY: as the caller says.
    unsafe { printer.object(value)? };
    // A type variable hides a module or type of its name.
    let hidden = printer.bound.iter().find(|name| printer.heads.contains(name));
    match mutation!("signatures: a variable hides nothing", hidden, None::<&String>) {
        Some(name) => Err(Unprintable::Variable(name.clone())),
        None => Ok(printer.out),
    }
}

struct Printer<'n, 'm> {
    out: String,
    names: Option<&'n mut Generated<'m>>,
    /// Type variables whose `where` is being written, outermost first.
    variables: Vec<*mut jl_tvar_t>,
    /// The names that paths begin with.
    heads: Vec<String>,
    /// The names of type variables.
    bound: Vec<String>,
    depth: u32,
}

type Printed = Result<(), Unprintable>;

impl Printer<'_, '_> {
    /// A type, or a value as a type parameter.
    unsafe fn object(&mut self, v: Value) -> Printed {
        if v.is_null() {
            return Err(Unprintable::Value("nothing at all".into()));
        }
        if self.depth > mutation!("signatures: types nest without end", MAX_DEPTH, u32::MAX) {
            return Err(Unprintable::TooDeep);
        }
        self.depth += 1;
        // SAFETY: each object is of the kind that its tag says; parts of live objects are alive.
        let printed = unsafe {
            if v == jl_sys::jl_bottom_type {
                self.out.push_str("Union{}");
                Ok(())
            } else if is(v, jl_sys::jl_datatype_type) {
                self.datatype(v.cast())
            } else if is(v, jl_sys::jl_unionall_type) {
                self.unionall(v.cast())
            } else if is(v, jl_sys::jl_uniontype_type) {
                self.out.push_str("Union{");
                let printed = self.union(v);
                self.out.push('}');
                printed
            } else if is(v, jl_sys::jl_tvar_type) {
                self.variable(v.cast())
            } else if is(v, jl_sys::jl_symbol_type) {
                self.out.push_str(&words::symbol(symbol_bytes(v.cast())));
                Ok(())
            } else if is(v, jl_sys::jl_module_type) {
                let path = self.module(v.cast())?;
                self.out.push_str(&path);
                Ok(())
            } else if is(v, jl_sys::jl_string_type) {
                self.out.push_str(&words::string(string_bytes(v)));
                Ok(())
            } else {
                self.data(v.cast(), type_of(v))
            }
        };
        self.depth -= 1;
        printed
    }

    unsafe fn list(&mut self, items: &[Value]) -> Printed {
        for (k, item) in items.iter().enumerate() {
            if k > 0 {
                self.out.push_str(", ");
            }
            // SAFETY: as `object`.
            unsafe { self.object(*item)? };
        }
        Ok(())
    }

    unsafe fn datatype(&mut self, ty: *mut jl_datatype_t) -> Printed {
        // SAFETY: as `object`; a data type has a name and parameters.
        unsafe {
            let name = (*ty).name;
            if let Some(function) = global_function(ty) {
                let path = self.member((*name).module, function)?;
                self.out.push_str("typeof(");
                self.out.push_str(&path);
                self.out.push(')');
                return Ok(());
            }
            let path = self.type_path(name)?;
            self.out.push_str(&path);
            let parameters = svec_items((*ty).parameters);
            let is_tuple = name == jl_sys::jl_tuple_typename;
            if ty.cast() == (*name).wrapper || parameters.is_empty() && !is_tuple {
                return Ok(());
            }
            // The runtime makes `Type{Vararg{Int}}`, which nobody else can ask for.
            let is_vararg = |p: &&Value| is_type(**p) && type_name(**p) == Some(jl_sys::jl_vararg_typename);
            if !is_tuple && parameters.iter().any(|p| is_vararg(&p)) {
                return Err(Unprintable::Vararg);
            }
            self.out.push('{');
            self.list(parameters)?;
            self.out.push('}');
            Ok(())
        }
    }

    /// Whatever is under this name must be this type: a profile says no more of it than the name.
    unsafe fn type_path(&mut self, name: *mut jl_typename_t) -> Result<String, Unprintable> {
        // SAFETY: as `object`; a bound value is alive.
        unsafe {
            let (module, symbol) = ((*name).module, (*name).name);
            let binding = jl_get_module_binding(module, symbol);
            if binding.is_null() || (*binding).value != (*name).wrapper {
                let path = self.member(module, symbol_bytes(symbol))?;
                return Err(Unprintable::NotBound(path));
            }
            let text = symbol_str(symbol);
            if !is_generated(text) {
                return self.member(module, symbol_bytes(symbol));
            }
            let Some(names) = self.names.as_deref_mut().filter(|names| !names.lasts_anyway(module)) else {
                return self.member(module, symbol_bytes(symbol));
            };
            let lasting = names.lasting(module, text);
            let path = self.module(module)?;
            match lasting {
                // A lasting name is put away by the path before it, which must be one of plain names.
                Some(lasting) if !path.starts_with("getfield(") => {
                    Ok(format!("{path}.var\"{}\"", words::quote_lasting(&lasting)))
                }
                _ => Err(Unprintable::NoLastingName(words::member(&path, symbol_bytes(symbol)))),
            }
        }
    }

    /// What a module has under a name. What Core exports goes without its module, as in `--trace-compile`.
    unsafe fn member(&mut self, module: *mut jl_module_t, name: &[u8]) -> Result<String, Unprintable> {
        // SAFETY: as `object`.
        unsafe {
            // `Main`, where signatures are read, has an `eval` of its own.
            let is_core = module == jl_sys::jl_core_module && name != b"eval";
            if let Some(text) = std::str::from_utf8(name).ok().filter(|_| is_core && words::is_plain(name)) {
                if jl_module_exports_p(module, crate::object::symbol(text)) != 0 {
                    self.heads.push(text.to_owned());
                    return Ok(text.to_owned());
                }
            }
            Ok(words::member(&self.module(module)?, name))
        }
    }

    unsafe fn module(&mut self, module: *mut jl_module_t) -> Result<String, Unprintable> {
        // SAFETY: parents of live modules are live, and the chain ends at a root.
        unsafe {
            let name = symbol_bytes((*module).name);
            if is_root_module(module) {
                let text = words::name(name);
                let text = text.ok_or_else(|| Unprintable::Name(words::string(name)))?;
                self.heads.push(text.clone());
                return Ok(text);
            }
            let binding = jl_get_module_binding((*module).parent, (*module).name);
            let path = words::member(&self.module((*module).parent)?, name);
            // Base and Core are roots to us, though Main is their parent.
            if binding.is_null()
                || mutation!("signatures: a name is trusted", (*binding).value != module.cast(), false)
            {
                return Err(Unprintable::NotBound(path));
            }
            Ok(path)
        }
    }

    unsafe fn union(&mut self, v: Value) -> Printed {
        // SAFETY: as `object`.
        unsafe {
            if !is(v, jl_sys::jl_uniontype_type) {
                return self.object(v);
            }
            let union = v.cast::<jl_uniontype_t>();
            self.union((*union).a)?;
            self.out.push_str(", ");
            self.union((*union).b)
        }
    }

    unsafe fn unionall(&mut self, all: *mut jl_unionall_t) -> Printed {
        // SAFETY: as `object`.
        unsafe {
            // `Tuple{Type}` and `Tuple{Type{T} where T}` are two types to Julia; of no other name is that so.
            if mutation!("signatures: Type is like any other", all == jl_sys::jl_type_type, false) {
                self.heads.push("Type".to_owned());
                self.out.push_str("Type");
                return Ok(());
            }
            let var = (*all).var;
            self.variables.push(var);
            let body = self.object((*all).body);
            self.variables.pop();
            body?;
            let name = variable_name(var)?;
            self.bound.push(name.clone());
            self.out.push_str(" where ");
            let (lower, upper) = ((*var).lb, (*var).ub);
            if lower != jl_sys::jl_bottom_type {
                self.bound_of_variable(lower)?;
                self.out.push_str("<:");
            }
            self.out.push_str(&name);
            if upper != jl_sys::jl_any_type.cast() || lower != jl_sys::jl_bottom_type {
                self.out.push_str("<:");
                self.bound_of_variable(upper)?;
            }
            Ok(())
        }
    }

    unsafe fn bound_of_variable(&mut self, bound: Value) -> Printed {
        // SAFETY: as `object`.
        unsafe {
            if !is(bound, jl_sys::jl_unionall_type) {
                return self.object(bound);
            }
            self.out.push('(');
            self.object(bound)?;
            self.out.push(')');
            Ok(())
        }
    }

    unsafe fn variable(&mut self, var: *mut jl_tvar_t) -> Printed {
        // SAFETY: as `object`.
        unsafe {
            let name = variable_name(var)?;
            let meant = self.variables.iter().rev().find(|other| (***other).name == (*var).name);
            if mutation!("signatures: a variable of the same name is the same", meant != Some(&var), false) {
                return Err(Unprintable::Variable(name));
            }
            self.out.push_str(&name);
            Ok(())
        }
    }

    /// A value whose contents lie at `at`.
    unsafe fn data(&mut self, at: *const u8, ty: *mut jl_datatype_t) -> Printed {
        // SAFETY: the caller has a live object of this type, or one inside of another; its layout says where fields lie.
        unsafe {
            if ty == jl_sys::jl_nothing_type {
                self.out.push_str("nothing");
                return Ok(());
            }
            if (*ty).mutabl != 0 || (*ty).layout.is_null() || (*ty).abstract_ != 0 {
                return Err(Unprintable::Value(self.text_of(ty)));
            }
            let size = usize::try_from((*ty).size).unwrap_or(0);
            let fields = (*(*ty).layout).nfields;
            if fields == 0 && size > 0 {
                return self.bits(std::slice::from_raw_parts(at, size), ty);
            }
            let is_tuple = (*ty).name == jl_sys::jl_tuple_typename;
            if !is_tuple {
                self.object(ty.cast())?;
            }
            self.out.push('(');
            let names = if is_tuple { &[] } else { field_names(ty) };
            for k in 0..fields {
                if k > 0 {
                    self.out.push_str(", ");
                }
                if !is_tuple {
                    let name = names.get(k as usize).filter(|name| is(**name, jl_sys::jl_symbol_type));
                    let name = name.map_or(&[][..], |name| symbol_bytes(name.cast()));
                    let text = words::name(name).ok_or_else(|| Unprintable::Name(words::string(name)))?;
                    self.out.push_str(&text);
                    self.out.push('=');
                }
                self.field(at, ty, k)?;
            }
            if is_tuple && fields == 1 {
                self.out.push(',');
            }
            self.out.push(')');
            Ok(())
        }
    }

    unsafe fn field(&mut self, at: *const u8, ty: *mut jl_datatype_t, k: u32) -> Printed {
        let unknown = || Unprintable::Value("an unknown layout".into());
        // SAFETY: as `data`.
        unsafe {
            let (offset, boxed) = layout::field(ty, k).ok_or_else(unknown)?;
            let place = at.add(offset);
            if boxed {
                return self.object(place.cast::<Value>().read());
            }
            let types = (*ty).types;
            let declared = if types.is_null() { None } else { svec_items(types).get(k as usize).copied() };
            let mut declared = declared.ok_or_else(unknown)?;
            if is(declared, jl_sys::jl_uniontype_type) {
                // Behind what lies inline stands which of the union's types it is.
                let size = layout::field_size(ty, k).ok_or_else(unknown)?;
                let selector = place.add(size.saturating_sub(1)).read();
                let mut which =
                    u32::from(mutation!("signatures: inline unions are what comes first", selector, 0));
                declared = component(declared, &mut which).ok_or_else(unknown)?;
            }
            if !is(declared, jl_sys::jl_datatype_type) {
                return Err(unknown());
            }
            if self.depth > MAX_DEPTH {
                return Err(Unprintable::TooDeep);
            }
            self.depth += 1;
            let printed = self.data(place, declared.cast());
            self.depth -= 1;
            printed
        }
    }

    /// A value of a primitive type: what has a literal of exactly its type as that, the rest as what its bits are.
    unsafe fn bits(&mut self, bytes: &[u8], ty: *mut jl_datatype_t) -> Printed {
        let hex = |bytes: &[u8]| -> String {
            "0x".chars()
                .chain(bytes.iter().rev().flat_map(|b| format!("{b:02x}").chars().collect::<Vec<_>>()))
                .collect()
        };
        // SAFETY: as `data`; the types exist from start-up on.
        let literal = unsafe {
            let is_address = (*ty).name == jl_sys::jl_pointer_typename && bytes.iter().any(|b| *b != 0);
            if mutation!("signatures: an address is a number", is_address, false) {
                return Err(Unprintable::Address);
            }
            if ty == jl_sys::jl_bool_type {
                match bytes {
                    [0] => Some("false".to_owned()),
                    [1] => Some("true".to_owned()),
                    _ => None,
                }
            } else if mutation!(
                "signatures: integers are all alike",
                ty == jl_sys::jl_int64_type,
                bytes.len() == 8
            ) {
                bytes.try_into().ok().map(|b| i64::from_ne_bytes(b).to_string())
            } else if ty == jl_sys::jl_float64_type {
                bytes.try_into().ok().and_then(|b| words::float64(f64::from_ne_bytes(b)))
            } else if ty == jl_sys::jl_float32_type {
                bytes.try_into().ok().and_then(|b| words::float32(f32::from_ne_bytes(b)))
            } else if ty == jl_sys::jl_uint8_type
                || ty == jl_sys::jl_uint16_type
                || ty == jl_sys::jl_uint32_type
                || ty == jl_sys::jl_uint64_type
            {
                Some(hex(bytes))
            } else {
                None
            }
        };
        if let Some(literal) = literal {
            self.out.push_str(&literal);
            return Ok(());
        }
        // SAFETY: as `data`.
        unsafe { self.object(ty.cast())? };
        // Longer literals are macro calls to the parser: words of eight bytes, the lowest first.
        let words: Vec<String> = bytes.chunks(8).map(hex).collect();
        self.out.push('(');
        self.out.push_str(&words.join(", "));
        self.out.push(')');
        Ok(())
    }

    /// For a message.
    unsafe fn text_of(&mut self, ty: *mut jl_datatype_t) -> String {
        // SAFETY: as `object`.
        unsafe { String::from_utf8_lossy(symbol_bytes((*(*ty).name).name)).into_owned() }
    }
}

unsafe fn variable_name(var: *mut jl_tvar_t) -> Result<String, Unprintable> {
    // SAFETY: a live type variable has a name.
    let name = unsafe { symbol_bytes((*var).name) };
    words::name(name).ok_or_else(|| Unprintable::Name(words::string(name)))
}

/// The name by which `typeof(M.f)` finds the type of a function again.
unsafe fn global_function<'a>(ty: *mut jl_datatype_t) -> Option<&'a [u8]> {
    // SAFETY: a live type; its method table is null, `nothing` or one with a name.
    unsafe {
        let table = (*(*ty).name).mt;
        let instance = (*ty).instance;
        if table.is_null() || table.cast() == jl_sys::jl_nothing || instance.is_null() {
            return None;
        }
        let symbol = (*table).name;
        let name = symbol_bytes(symbol);
        // These are named by their types, `M.var"#f##kw"`.
        if name.iter().any(|b| matches!(b, b'#' | b'@')) {
            return None;
        }
        let binding = jl_get_module_binding((*(*ty).name).module, symbol);
        let bound = !binding.is_null() && (*binding).constp != 0 && (*binding).value == instance;
        bound.then_some(name)
    }
}

/// The names of a struct's fields.
unsafe fn field_names<'a>(ty: *mut jl_datatype_t) -> &'a [Value] {
    // SAFETY: a live type; those of a named tuple are its first parameter, a tuple of symbols, which are boxed.
    unsafe {
        if (*ty).name == jl_sys::jl_namedtuple_typename {
            let names = svec_items((*ty).parameters).first().copied();
            let Some(names) = names
                .filter(|names| !is_type(*names) && (*type_of(*names)).name == jl_sys::jl_tuple_typename)
            else {
                return &[];
            };
            let count = (*(*type_of(names)).layout).nfields as usize;
            return std::slice::from_raw_parts(names.cast::<Value>(), count);
        }
        let names = (*(*ty).name).names;
        if names.is_null() {
            &[]
        } else {
            svec_items(names)
        }
    }
}

/// The type with this number in a union, as the runtime counts them (datatype.c, `jl_nth_union_component`).
unsafe fn component(v: Value, which: &mut u32) -> Option<Value> {
    // SAFETY: a live type.
    unsafe {
        if is(v, jl_sys::jl_uniontype_type) {
            let union = v.cast::<jl_uniontype_t>();
            return component((*union).a, which).or_else(|| component((*union).b, which));
        }
        if *which == 0 {
            return Some(v);
        }
        *which -= 1;
        None
    }
}
