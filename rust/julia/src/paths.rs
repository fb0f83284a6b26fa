//! Ways by which a later session finds the same object again: constant bindings, fields of
//! immutable constants, and the roots that a method's own source refers to.

use std::collections::HashMap;

use jl_sys::{jl_datatype_t, jl_method_t, jl_module_t};

use crate::inspect;
use crate::julia_1_5::{jl_uncompress_ir, Binding};
use crate::object::{array_items, is, is_type, svec_items, type_of, Value};

/// How to reach one object.
#[derive(Clone, Debug)]
pub enum Path {
    /// The value of a constant binding.
    Constant(*mut jl_module_t, &'static str),
    /// A field of an immutable object that has a path itself.
    Field(Value, u32),
    /// The k-th root of a method, one that the method's definition put there.
    Root(*mut jl_method_t, u32),
}

/// All paths of this process, for objects whose identity matters.
pub struct Paths {
    constants: HashMap<Value, Path>,
    roots: HashMap<Value, Vec<(*mut jl_method_t, u32)>>,
    bindings: HashMap<usize, (*mut jl_module_t, &'static str)>,
}

/// Immutable constants are searched for mutable parts to this depth.
const MAX_DEPTH: u32 = 8;

impl Paths {
    /// Reads all bindings of `modules` and the roots of `methods`.
    ///
    /// # Safety
    /// The modules and methods are live, the garbage collector is off, nothing else runs.
    pub unsafe fn collect(modules: &[*mut jl_module_t], methods: &[*mut jl_method_t]) -> Self {
        let mut paths = Paths { constants: HashMap::new(), roots: HashMap::new(), bindings: HashMap::new() };
        // SAFETY: as the caller says.
        unsafe {
            for module in modules {
                for (name, binding) in inspect::own_bindings(*module) {
                    paths.bindings.insert(binding as usize, (*module, name));
                    paths.add_binding(*module, name, binding);
                }
            }
            for method in methods {
                for (k, root) in array_items((**method).roots).iter().enumerate() {
                    if root.is_null() || !identity_matters(*root) {
                        continue;
                    }
                    let k = u32::try_from(k).unwrap_or(u32::MAX);
                    paths.roots.entry(*root).or_default().push((*method, k));
                }
            }
        }
        paths
    }

    unsafe fn add_binding(&mut self, module: *mut jl_module_t, name: &'static str, b: *mut Binding) {
        // SAFETY: a bound value is a live object.
        unsafe {
            let value = (*b).value;
            if value.is_null() || (*b).constp == 0 || module == jl_sys::jl_main_module {
                return;
            }
            if has_pointers(value) {
                self.constants.entry(value).or_insert(Path::Constant(module, name));
                self.add_fields(value, 0);
            }
        }
    }

    /// Objects inside an immutable constant are as constant as it is.
    unsafe fn add_fields(&mut self, value: Value, depth: u32) {
        // SAFETY: field offsets come from the object's own type.
        unsafe {
            let ty = type_of(value);
            if depth >= MAX_DEPTH || (*ty).mutabl != 0 || !is_plain_struct(value) {
                return;
            }
            for (index, field) in boxed_fields(value) {
                if field.is_null() || !has_pointers(field) || self.constants.contains_key(&field) {
                    continue;
                }
                self.constants.insert(field, Path::Field(value, index));
                self.add_fields(field, depth + 1);
            }
        }
    }

    /// The binding at exactly this address.
    pub fn binding(&self, address: usize) -> Option<(*mut jl_module_t, &'static str)> {
        self.bindings.get(&address).copied()
    }

    /// Is this the address of an object that a constant binding or a method's roots lead to?
    pub fn knows(&self, address: usize) -> bool {
        let value = address as Value;
        self.constants.contains_key(&value) || self.roots.contains_key(&value)
    }

    /// The binding that `address` points into, and how far behind its beginning.
    pub fn binding_around(&self, address: usize) -> Option<(*mut jl_module_t, &'static str, u32)> {
        // Code uses a binding's own address and that of its `value` field.
        let value_field = std::mem::offset_of!(Binding, value);
        [0, value_field].into_iter().find_map(|offset| {
            let (module, name) = self.binding(address.checked_sub(offset)?)?;
            Some((module, name, u32::try_from(offset).ok()?))
        })
    }

    /// A path to `value`, if there is one that holds in every session of the same build.
    ///
    /// # Safety
    /// As [`Paths::collect`].
    pub unsafe fn find(&self, value: Value) -> Option<Path> {
        if let Some(path) = self.constants.get(&value) {
            return Some(path.clone());
        }
        let candidates = self.roots.get(&value)?;
        // SAFETY: methods stay alive while the collector is off.
        let mut proved: Vec<_> =
            unsafe { candidates.iter().filter(|(method, _)| source_mentions(*method, value)).collect() };
        // The same object may be a root of several methods (inlining copies roots into callers, but
        // only the defining source mentions it); the first by file and line is as good as any.
        proved.sort_by_key(|(method, k)| unsafe {
            // SAFETY: as above.
            (
                crate::object::symbol_str((**method).file),
                (**method).line,
                crate::object::symbol_str((**method).name),
                *k,
            )
        });
        proved.first().map(|(method, k)| Path::Root(*method, *k))
    }
}

/// Does the definition of `method` itself mention `value`? Roots that inference appended later are
/// numbered differently in every process; those of the definition are part of the `.ji`.
///
/// # Safety
/// As [`Paths::collect`].
pub unsafe fn source_mentions(method: *mut jl_method_t, value: Value) -> bool {
    // SAFETY: `source` is null, a CodeInfo or its compressed form (an Array{UInt8}).
    unsafe {
        let mut source = (*method).source;
        if source.is_null() {
            return false;
        }
        if is(source, jl_sys::jl_array_uint8_type.cast()) {
            source = jl_uncompress_ir(method, std::ptr::null_mut(), source.cast());
        }
        if source.is_null() || !is(source, jl_sys::jl_code_info_type) {
            return false;
        }
        // CodeInfo's first field is `code`, a Vector{Any}.
        let code = *source.cast::<Value>();
        array_items(code.cast()).iter().any(|stmt| mentions(*stmt, value, 0))
    }
}

unsafe fn mentions(node: Value, value: Value, depth: u32) -> bool {
    if node.is_null() || depth > 64 {
        return false;
    }
    if node == value {
        return true;
    }
    // SAFETY: expression trees consist of live objects.
    unsafe {
        if is(node, jl_sys::jl_expr_type) {
            let args = (*node.cast::<jl_sys::jl_expr_t>()).args;
            return array_items(args).iter().any(|a| mentions(*a, value, depth + 1));
        }
        if is(node, jl_sys::jl_quotenode_type) {
            return mentions(*node.cast::<Value>(), value, depth + 1);
        }
        if is(node, jl_sys::jl_globalref_type) {
            // Module and name.
            return *node.cast::<Value>().add(1) == value;
        }
        false
    }
}

/// Objects that cannot be described by their contents: mutable ones, and immutable ones that
/// reach mutable ones. Types, symbols, modules and methods have names and are left out.
unsafe fn identity_matters(v: Value) -> bool {
    // SAFETY: `v` is a live object.
    unsafe { has_pointers(v) && !is_named_kind(v) }
}

unsafe fn is_named_kind(v: Value) -> bool {
    // SAFETY: `v` is a live object.
    unsafe {
        is_type(v)
            || [
                jl_sys::jl_symbol_type,
                jl_sys::jl_module_type,
                jl_sys::jl_method_type,
                jl_sys::jl_method_instance_type,
                jl_sys::jl_code_instance_type,
                jl_sys::jl_typename_type,
                jl_sys::jl_methtable_type,
                jl_sys::jl_string_type,
                jl_sys::jl_simplevector_type,
                jl_sys::jl_expr_type,
                jl_sys::jl_globalref_type,
                jl_sys::jl_quotenode_type,
                jl_sys::jl_linenumbernode_type,
                jl_sys::jl_lineinfonode_type,
                jl_sys::jl_code_info_type,
            ]
            .contains(&type_of(v))
    }
}

/// Mutable, or an immutable struct with at least one boxed field, or a value that holds a `Ptr`.
unsafe fn has_pointers(v: Value) -> bool {
    // SAFETY: `v` is a live object.
    unsafe {
        let ty = type_of(v);
        if is_named_kind(v) && !is(v, jl_sys::jl_methtable_type) {
            return false;
        }
        if (*ty).mutabl != 0 || ty == jl_sys::jl_intrinsic_type {
            return true;
        }
        let layout = (*ty).layout;
        !layout.is_null() && ((*layout).npointers > 0 || holds_pointer(ty))
    }
}

/// Does a bits type hold a `Ptr` somewhere?
///
/// # Safety
/// `ty` is a live, concrete data type.
pub unsafe fn holds_pointer(ty: *mut jl_datatype_t) -> bool {
    // SAFETY: as the caller says; field types of concrete types are computed.
    unsafe {
        if (*ty).name == jl_sys::jl_pointer_typename {
            return true;
        }
        if (*ty).types.is_null() {
            return false;
        }
        svec_items((*ty).types).iter().any(|f| {
            is(*f, jl_sys::jl_datatype_type)
                && (*f.cast::<jl_datatype_t>()).isbitstype != 0
                && holds_pointer(f.cast())
        })
    }
}

/// A struct, tuple or closure; not an array, string, svec or another kind with hidden contents.
unsafe fn is_plain_struct(v: Value) -> bool {
    // SAFETY: `v` is a live object.
    unsafe {
        let ty = type_of(v);
        !(*ty).layout.is_null()
            && (*ty).name != jl_sys::jl_array_typename
            && !is(v, jl_sys::jl_simplevector_type)
            && !is(v, jl_sys::jl_string_type)
            && !is(v, jl_sys::jl_module_type)
            && !is(v, jl_sys::jl_symbol_type)
    }
}

/// The boxed fields of a struct with their indices; inline fields are left out.
///
/// # Safety
/// `v` is a live object of a struct type with a layout.
pub unsafe fn boxed_fields(v: Value) -> Vec<(u32, Value)> {
    // SAFETY: nfields is the type's own; jl_get_nth_field_noalloc is only asked for boxed fields,
    // which `jl_islayout_inline`-typed ones are not.
    unsafe {
        let ty = type_of(v);
        let n = if (*ty).layout.is_null() { 0 } else { (*(*ty).layout).nfields };
        (0..n)
            .filter_map(|i| {
                let (offset, boxed) = crate::layout::field(ty, i)?;
                boxed.then(|| (i, *v.cast::<u8>().add(offset).cast::<Value>()))
            })
            .collect()
    }
}
