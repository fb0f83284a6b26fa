//! The names in code, which inference may have looked up without an edge.
//!
//! A name may be in the source, in the types for which it was compiled (`Val{:x}`), and in a constant that the source names.
//! The answers here may be yes too often, but never too rarely.

use nativecache_mutation::mutation;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use nativecache_julia::handles::{
    CodeInfo, DataType, Expr, GlobalRef, MethodInstance, Module, Object, QuoteNode, Symbol, Text, TypeName,
    TypeVar, Union,
};

use nativecache_julia::stopped::Stopped;
use nativecache_runtime::edges::generator::generated_body;

/// The names in one source.
#[derive(Default)]
pub(crate) struct Names<'j> {
    /// Every name: of a global, quoted, or the head of an `Expr`.
    all: HashSet<&'j str>,
    /// Names that are values, symbols, which code can pass on or look up.
    symbols: HashSet<&'j str>,
    /// Types that are objects in the source, and types of objects.
    types: HashSet<TypeName<'j>>,
    /// Is `Main` itself in it, by name or as a value?
    pub(crate) main: bool,
    /// Globals of `Main`.
    in_main: HashSet<&'j str>,
}

impl<'j> Names<'j> {
    /// The types that are objects in it.
    pub(crate) fn types(&self) -> impl Iterator<Item = TypeName<'j>> + '_ {
        self.types.iter().copied()
    }

    /// Every name in it.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'j str> + '_ {
        self.all.iter().copied()
    }

    /// The globals of `Main` that stand there.
    pub(crate) fn in_main(&self) -> impl Iterator<Item = &'j str> + '_ {
        self.in_main.iter().copied()
    }

    /// Is this name in it, in any role?
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.all.contains(name)
    }

    /// Is this name in it as a value?
    pub(crate) fn has_symbol(&self, name: &str) -> bool {
        self.symbols.contains(name)
    }
}

/// The names in the sources that were examined.
pub(crate) struct MentionedNames<'j> {
    julia: &'j Stopped,
    of: RefCell<HashMap<Object<'j>, Rc<Names<'j>>>>,
}

impl<'j> MentionedNames<'j> {
    /// Creates an empty cache.
    pub(crate) fn new(julia: &'j Stopped) -> Self {
        MentionedNames { julia, of: RefCell::default() }
    }

    /// Does this name mean something in the `Main` of this process, be it something of Base?
    pub(crate) fn means_in_main(&self, name: &str) -> bool {
        Module::main(self.julia).value_of(name).is_some()
    }

    /// The names in the source from which `instance` is compiled.
    pub(crate) fn names(&self, instance: MethodInstance<'j>) -> Rc<Names<'j>> {
        let Some(method) = instance.method() else { return Rc::default() };
        let generated = method.generator().is_some();
        // Generated code differs for each method instance.
        let key = if generated { instance.object() } else { method.object() };
        if let Some(known) = self.of.borrow().get(&key) {
            return Rc::clone(known);
        }
        let source = if generated {
            // SAFETY: in a build process nothing else runs; reads_state.rs checks the state that a generator reads.
            unsafe { generated_body(self.julia, instance) }
        } else {
            method.source()
        };
        let code = source.and_then(|source| CodeInfo::from_kept(method, source));
        let mut names = Names::default();
        for statement in code.and_then(CodeInfo::statements).into_iter().flat_map(|list| list.items()) {
            add_names(statement, 0, &mut names);
        }
        let names = Rc::new(names);
        self.of.borrow_mut().insert(key, Rc::clone(&names));
        names
    }

    /// The first of the `wanted` names that `instance` mentions, optionally only as a symbol.
    pub(crate) fn find<'a>(
        &self,
        instance: MethodInstance<'j>,
        wanted: &'a BTreeMap<String, String>,
        as_symbol: bool,
    ) -> Option<(&'a String, &'a String)> {
        let mut in_types = HashSet::new();
        held_by(instance.types(), &mut |held| {
            if let Some(symbol) = held.as_kind::<Symbol<'j>>() {
                in_types.insert(symbol.as_str());
            } else if let Some(ty) = held.as_kind::<DataType<'j>>() {
                // Inference also knows the names of types: `getfield(M, nameof(T))`.
                in_types.insert(ty.name().as_str().trim_start_matches('#'));
            }
        });
        let source = self.names(instance);
        let names = if as_symbol { &source.symbols } else { &source.all };
        wanted.iter().find(|(name, _)| {
            names.contains(name.as_str())
                || mutation!("init: a name in a type is none", in_types.contains(name.as_str()), false)
        })
    }
}

fn add_names<'j>(node: Object<'j>, depth: u32, names: &mut Names<'j>) {
    if depth > 200 {
        return;
    }
    if let Some(global) = node.as_kind::<GlobalRef<'j>>() {
        let name = global.name().map_or("", Symbol::as_str);
        names.all.insert(name);
        names.main |= name == "Main";
        if global.module().is_some_and(Module::is_main) {
            names.in_main.insert(name);
        }
    } else if let Some(quoted) = node.as_kind::<QuoteNode<'j>>() {
        quoted.value().into_iter().for_each(|value| add_names(value, depth + 1, names));
    } else if let Some(expr) = node.as_kind::<Expr<'j>>() {
        let head = expr.head().as_str();
        names.all.insert(head);
        for argument in expr.argument_places().flatten() {
            add_names(argument, depth + 1, names);
            if let Some(global) = argument.as_kind::<GlobalRef<'j>>().filter(|_| head == "isdefined") {
                names.symbols.insert(global.name().map_or("", Symbol::as_str));
            }
        }
    } else {
        // The object itself, or the contents of a tuple that was put into the code.
        held_by(node, &mut |held| {
            if let Some(symbol) = held.as_kind::<Symbol<'j>>() {
                names.all.insert(symbol.as_str());
                names.symbols.insert(symbol.as_str());
            } else if let Some(ty) = held.as_kind::<DataType<'j>>() {
                names.all.insert(ty.name().as_str().trim_start_matches('#'));
                names.types.insert(ty.name());
            } else {
                names.main |= held.as_kind::<Module<'j>>().is_some_and(Module::is_main);
            }
        });
    }
}

/// Calls `f` with a constant `value` and everything that inference can take from it: fields that cannot change, and
/// parameters of types.
pub(crate) fn held_by<'j>(value: Object<'j>, f: &mut dyn FnMut(Object<'j>)) {
    held(value, 0, f);
}

fn held<'j>(value: Object<'j>, depth: u32, f: &mut dyn FnMut(Object<'j>)) {
    if depth > 12 {
        return;
    }
    if value.is_type() {
        let body = value.without_wheres();
        f(body);
        if let Some(ty) = body.as_kind::<DataType<'j>>() {
            ty.parameters().items().for_each(|parameter| held(parameter, depth + 1, f));
        } else if let Some(union) = body.as_kind::<Union<'j>>() {
            let [first, rest] = union.members();
            held(first, depth + 1, f);
            held(rest, depth, f);
        }
        return;
    }
    f(value);
    let ty = value.type_of();
    let leaf = value.is::<Symbol<'j>>()
        || value.is::<Text<'j>>()
        || value.is::<Module<'j>>()
        || value.is::<TypeVar<'j>>();
    if leaf || ty.is_mutable() || !ty.has_layout() {
        return;
    }
    held(ty.into(), depth + 1, f);
    value.references().for_each(|field| held(field, depth + 1, f));
}

/// The constants that these modules own, with their names.
pub(crate) fn constants<'j>(modules: &[Module<'j>]) -> Vec<(&'j str, Object<'j>)> {
    let bindings = modules.iter().flat_map(|module| module.own_bindings());
    bindings.filter_map(|(name, binding)| Some((name, binding.constant()?))).collect()
}
