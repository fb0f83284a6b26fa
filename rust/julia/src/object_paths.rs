//! Ways by which a later session finds the same object again: constant bindings, fields of
//! immutable constants, and the roots that a method's own source refers to.

use std::collections::HashMap;

use crate::handles::{
    Array, Binding, CodeInfo, CodeInstance, DataType, Expr, GlobalRef, Kind, Method, MethodInstance,
    MethodTable, Module, Object, QuoteNode, SVec, Symbol, Text, TypeName,
};
use crate::stopped::Stopped;

/// How to reach one object.
#[derive(Clone, Copy, Debug)]
pub enum Path<'j> {
    /// The value of a constant binding.
    Constant(Module<'j>, &'j str),
    /// A field of an immutable object that has a path itself.
    Field(Object<'j>, u32),
    /// The k-th root of a method, one that the method's definition put there.
    Root(Method<'j>, u32),
}

/// All paths of this process, for objects whose identity matters.
pub struct Paths<'j> {
    main: Module<'j>,
    constants: HashMap<usize, Path<'j>>,
    roots: HashMap<usize, Vec<(Method<'j>, u32)>>,
    bindings: HashMap<usize, (Module<'j>, &'j str)>,
}

/// Immutable constants are searched for mutable parts to this depth.
const MAX_DEPTH: u32 = 8;

impl<'j> Paths<'j> {
    /// Reads all bindings of `modules` and the roots of `methods`.
    pub fn collect(julia: &'j Stopped, modules: &[Module<'j>], methods: &[Method<'j>]) -> Self {
        let mut paths = Paths {
            main: Module::main(julia),
            constants: HashMap::new(),
            roots: HashMap::new(),
            bindings: HashMap::new(),
        };
        for module in modules {
            for (name, binding) in module.own_bindings() {
                paths.bindings.insert(binding.address(), (*module, name));
                paths.add_binding(*module, name, binding);
            }
        }
        for method in methods {
            for (k, root) in method.roots().into_iter().flat_map(Array::places).enumerate() {
                let Some(root) = root.filter(|root| identity_matters(*root)) else { continue };
                let Ok(k) = u32::try_from(k) else { break };
                paths.roots.entry(root.address()).or_default().push((*method, k));
            }
        }
        paths
    }

    fn add_binding(&mut self, module: Module<'j>, name: &'j str, binding: Binding<'j>) {
        let Some(value) = binding.constant().filter(|_| module != self.main) else { return };
        if has_identity(value) {
            self.constants.entry(value.address()).or_insert(Path::Constant(module, name));
            self.add_fields(value, 0);
        }
    }

    /// Objects inside an immutable constant are as constant as it is.
    fn add_fields(&mut self, value: Object<'j>, depth: u32) {
        if depth >= MAX_DEPTH || value.type_of().is_mutable() || !is_plain_struct(value) {
            return;
        }
        for (index, field) in references(value) {
            let Some(field) = field.filter(|field| has_identity(*field)) else { continue };
            if self.constants.contains_key(&field.address()) {
                continue;
            }
            self.constants.insert(field.address(), Path::Field(value, index));
            self.add_fields(field, depth + 1);
        }
    }

    /// The binding at exactly this address.
    pub fn binding(&self, address: usize) -> Option<(Module<'j>, &'j str)> {
        self.bindings.get(&address).copied()
    }

    /// Is this the address of an object that a constant binding or a method's roots lead to?
    pub fn knows(&self, address: usize) -> bool {
        self.constants.contains_key(&address) || self.roots.contains_key(&address)
    }

    /// The binding that `address` points into, and how far behind its beginning.
    pub fn binding_around(&self, address: usize) -> Option<(Module<'j>, &'j str, u32)> {
        // Code uses a binding's own address and that of its `value` field.
        [0, Binding::OFFSET_OF_VALUE].into_iter().find_map(|offset| {
            let (module, name) = self.binding(address.checked_sub(offset)?)?;
            Some((module, name, u32::try_from(offset).ok()?))
        })
    }

    /// A path to `value`, if there is one that holds in every session of the same build.
    pub fn find(&self, value: Object<'j>) -> Option<Path<'j>> {
        if let Some(path) = self.constants.get(&value.address()) {
            return Some(*path);
        }
        let candidates = self.roots.get(&value.address())?;
        let mut proved: Vec<_> =
            candidates.iter().filter(|(method, _)| source_mentions(*method, value)).collect();
        // The same object may be a root of several methods (inlining copies roots into callers, but
        // only the defining source mentions it); the first by file and line is as good as any.
        proved.sort_by_key(|(method, k)| {
            (method.file().map_or("", Symbol::as_str), method.line(), method.name().as_str(), *k)
        });
        proved.first().map(|(method, k)| Path::Root(*method, *k))
    }
}

/// Does the definition of `method` itself mention `value`? Roots that inference appended later are
/// numbered differently in every process; those of the definition are part of the `.ji`.
pub fn source_mentions(method: Method<'_>, value: Object<'_>) -> bool {
    let statements = CodeInfo::of_method(method).and_then(CodeInfo::statements);
    statements.into_iter().flat_map(Array::items).any(|statement| mentions(statement, value, 0))
}

fn mentions(node: Object<'_>, value: Object<'_>, depth: u32) -> bool {
    if depth > 64 {
        return false;
    }
    if node.address() == value.address() {
        return true;
    }
    if let Some(expr) = node.as_kind::<Expr<'_>>() {
        return expr.argument_places().flatten().any(|argument| mentions(argument, value, depth + 1));
    }
    if let Some(quoted) = node.as_kind::<QuoteNode<'_>>() {
        return quoted.value().is_some_and(|quoted| mentions(quoted, value, depth + 1));
    }
    if let Some(global) = node.as_kind::<GlobalRef<'_>>() {
        return global.name().is_some_and(|name| name.address() == value.address());
    }
    false
}

/// Objects that cannot be described by their contents: mutable ones, and immutable ones that
/// reach mutable ones. Types, symbols, modules and methods have names and are left out.
fn identity_matters(object: Object<'_>) -> bool {
    has_identity(object) && !has_name(object)
}

fn has_name(object: Object<'_>) -> bool {
    object.is_type()
        || object.is::<Symbol<'_>>()
        || object.is::<Module<'_>>()
        || object.is::<Method<'_>>()
        || object.is::<MethodInstance<'_>>()
        || object.is::<CodeInstance<'_>>()
        || object.is::<TypeName<'_>>()
        || object.is::<MethodTable<'_>>()
        || object.is::<Text<'_>>()
        || object.is::<SVec<'_>>()
        || object.is::<Expr<'_>>()
        || object.is::<GlobalRef<'_>>()
        || object.is::<QuoteNode<'_>>()
        || object.is_line_number()
        || object.is_line_info()
        || object.is::<CodeInfo<'_>>()
}

/// Mutable, or an immutable struct with at least one reference, or a value that holds a `Ptr`.
fn has_identity(object: Object<'_>) -> bool {
    if has_name(object) && !object.is::<MethodTable<'_>>() {
        return false;
    }
    let ty = object.type_of();
    ty.is_mutable() || object.is_intrinsic() || ty.has_layout() && (ty.has_references() || ty.holds_address())
}

/// A struct, tuple or closure; not an array, string, svec or another kind with hidden contents.
fn is_plain_struct(object: Object<'_>) -> bool {
    object.type_of().has_layout()
        && Array::of(object).is_none()
        && !object.is::<SVec<'_>>()
        && !object.is::<Text<'_>>()
        && !object.is::<Module<'_>>()
        && !object.is::<Symbol<'_>>()
}

/// The fields of a struct that are references, with their indices; inline fields are left out.
pub fn references<'j>(object: Object<'j>) -> impl Iterator<Item = (u32, Option<Object<'j>>)> {
    let ty: DataType<'j> = object.type_of();
    let count = ty.field_count().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    (0..count)
        .filter(move |index| ty.field(*index).is_some_and(|field| field.is_reference))
        .map(move |index| (index, object.reference(index)))
}
