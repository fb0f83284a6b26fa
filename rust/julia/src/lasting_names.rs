//! Names that last, for what the parser names.
//!
//! `#3#4` for a closure's type and `#f#5` for the body of a function with keywords are numbered through a module: a line
//! added above changes them all. Here they get names that survive that: the k-th one that a method's definition mentions,
//! `#1 of Tuple{typeof(M.f), Int64}`.

use std::collections::HashMap;
use std::ops::Range;

use nativecache_mutation::mutation;

use crate::handles::{Array, Method, Module, Object, Symbol};
use crate::object_paths::source_mentions;
use crate::packages::is_generated;
use crate::signature::words::{self, pieces, Piece};
use crate::signature::{self, Naming};
use crate::sysimage::Sysimage;

/// The made-up names of one module.
#[derive(Default, Debug)]
struct Names {
    /// Lasting name by made-up one.
    lasting: HashMap<String, String>,
    /// Made-up name by lasting one.
    made_up: HashMap<String, String>,
}

/// The made-up names of the modules that were asked for.
pub struct LastingNames<'j> {
    methods: Vec<Method<'j>>,
    modules: HashMap<Module<'j>, Names>,
    /// Where modules lie whose made-up names are as good as any: they change with Julia only.
    sysimage: Range<usize>,
    /// How many owners deep: closures stand in closures.
    depth: u32,
}

/// Closures nest; a name of more levels than this is not made.
const MAX_DEPTH: u32 = 8;

/// Ends a lasting name of something that no method's definition mentions.
const AT_TOP_LEVEL: &str = " at top level";

impl<'j> Naming<'j> for LastingNames<'j> {
    fn lasts_anyway(&self, module: Module<'j>) -> bool {
        self.sysimage.contains(&module.address())
    }

    fn lasting(&mut self, module: Module<'j>, name: &str) -> Option<String> {
        self.fill(module);
        let lasting = self.modules.get(&module)?.lasting.get(name).cloned();
        mutation!("names: those that Julia makes up are taken as they are", lasting, Some(name.to_owned()))
    }
}

impl<'j> LastingNames<'j> {
    /// `methods` are all that are alive.
    #[must_use]
    pub fn new(methods: Vec<Method<'j>>, sysimage: Option<&Sysimage>) -> Self {
        let sysimage = sysimage.map_or(0..0, |s| s.data.clone());
        LastingNames { methods, modules: HashMap::new(), sysimage, depth: 0 }
    }

    /// The name that this build of the package has for a lasting name.
    pub fn current(&mut self, module: Module<'j>, lasting: &str) -> Option<String> {
        self.fill(module);
        self.modules.get(&module)?.made_up.get(lasting).cloned()
    }

    fn fill(&mut self, module: Module<'j>) {
        if self.modules.contains_key(&module) {
            return;
        }
        // Before the owners' own names are asked for, so that it ends.
        self.modules.insert(module, Names::default());
        let mut names: Vec<(Symbol<'j>, &'j str)> = module
            .own_bindings()
            .into_iter()
            .filter(|(name, binding)| {
                is_generated(name) && binding.value().is_some_and(|value| is_type_called(value, name))
            })
            .map(|(name, binding)| (binding.name(), name))
            .collect();
        names.sort_by_key(|(_, name)| number(name));
        let mut owners = self.owners(module);
        let mut of_owner: HashMap<Method<'j>, Vec<&'j str>> = HashMap::new();
        let mut without: Vec<&'j str> = Vec::new();
        for (symbol, name) in &names {
            // The type of a keyword body `#f#5` is called `##f#5`; definitions mention the function.
            let function = name.starts_with("##").then(|| Symbol::named(&name[1..]));
            let symbol = function.filter(|function| owners.contains_key(function)).unwrap_or(*symbol);
            let found = owners.remove(&symbol).unwrap_or_default();
            match owner(found, symbol, name) {
                Some(method) => of_owner.entry(method).or_default().push(name),
                None => without.push(name),
            }
        }
        for (k, name) in without.iter().enumerate() {
            self.put(module, name, format!("#{}{AT_TOP_LEVEL}", k + 1));
        }
        // Outer ones first: the owner of a closure may be a closure.
        let mut by_owner: Vec<_> = of_owner.into_iter().collect();
        by_owner.sort_by_key(|(method, names)| (nesting(*method), names.first().map(|n| number(n))));
        for (method, names) in by_owner {
            let Some(text) = self.owner_text(method) else { continue };
            for (k, name) in names.iter().enumerate() {
                self.put(module, name, format!("#{} of {text}", k + 1));
            }
        }
    }

    /// The methods of `module` that refer to a made-up name, by that name.
    fn owners(&self, module: Module<'j>) -> HashMap<Symbol<'j>, Vec<Method<'j>>> {
        let mut owners: HashMap<Symbol<'j>, Vec<Method<'j>>> = HashMap::new();
        for method in self.methods.iter().copied().filter(|method| method.module() == module) {
            for symbol in
                method.roots().into_iter().flat_map(Array::items).filter_map(Object::as_kind::<Symbol<'j>>)
            {
                if is_generated(symbol.as_str()) {
                    owners.entry(symbol).or_default().push(method);
                }
            }
        }
        owners
    }

    fn put(&mut self, module: Module<'j>, name: &str, lasting: String) {
        let names = self.modules.entry(module).or_default();
        names.lasting.insert(name.to_owned(), lasting.clone());
        names.made_up.insert(lasting, name.to_owned());
    }

    fn owner_text(&mut self, method: Method<'j>) -> Option<String> {
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let text = signature::text(method.signature(), Some(self)).ok();
        self.depth -= 1;
        text
    }
}

/// Puts this build's names in the place of lasting ones. The error says which is not there.
pub fn replace_lasting<'j>(
    text: &str,
    roots: &[Module<'j>],
    names: &mut LastingNames<'j>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        let (parts, as_it_is) = match piece {
            Piece::Text(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Path(parts, text) => (parts, text),
        };
        let Some((name, path)) = parts.split_last().filter(|(name, _)| is_lasting(name)) else {
            out.push_str(as_it_is);
            continue;
        };
        let module = find_module(path, roots, &names.sysimage);
        let current = module.and_then(|module| names.current(module, name));
        let current = current.ok_or_else(|| format!("{} has no {name} in this build", path.join(".")))?;
        let mut path = path.iter().filter_map(|name| words::name(name.as_bytes()));
        let first = path.next().unwrap_or_default();
        let path = path.fold(first, |path, name| format!("{path}.{name}"));
        out.push_str(&words::member(&path, current.as_bytes()));
    }
    Ok(out)
}

/// `#1 of Tuple{…}` or `#1 at top level`.
fn is_lasting(name: &str) -> bool {
    let Some(rest) = name.strip_prefix('#') else { return false };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && (rest[digits..].starts_with(" of ") || &rest[digits..] == AT_TOP_LEVEL)
}

/// The module at this path. A package may bear the name of a standard library: it goes first, as in worker.jl.
fn find_module<'j>(path: &[String], roots: &[Module<'j>], sysimage: &Range<usize>) -> Option<Module<'j>> {
    let (first, names) = path.split_first()?;
    let root = roots
        .iter()
        .copied()
        .filter(|root| root.as_str() == first.as_str())
        .max_by_key(|root| !sysimage.contains(&root.address()))?;
    names.iter().try_fold(root, |at, name| at.value_of(name)?.as_kind())
}

/// Is it the type of this name?
fn is_type_called(value: Object<'_>, name: &str) -> bool {
    value.is_type() && value.type_name().is_some_and(|found| found.as_str() == name)
}

/// The method whose definition makes this name: among those that refer to it, one that is not the
/// thing itself, whose source mentions it; with keywords the function itself before its sorter.
fn owner<'j>(candidates: Vec<Method<'j>>, symbol: Symbol<'j>, name: &str) -> Option<Method<'j>> {
    let mut fitting: Vec<Method<'j>> =
        candidates.into_iter().filter(|method| !is_method_of(method.signature(), name)).collect();
    if fitting.len() > 1 {
        // Inference adds roots to methods that inline others.
        fitting.retain(|method| source_mentions(*method, symbol.into()));
    }
    fitting.sort_by_key(|method| {
        let function = first_type_name(method.signature());
        (
            function.ends_with("##kw"),
            number(function),
            method.line(),
            method.name().as_str(),
            method.argument_count(),
        )
    });
    fitting.first().copied()
}

/// Is it a method of the function or closure called `name`?
fn is_method_of(signature: Object<'_>, name: &str) -> bool {
    let function = first_type_name(signature);
    function == name || function.strip_prefix('#') == Some(name)
}

/// The name of the type of the function; empty if the signature begins with something else.
fn first_type_name<'j>(signature: Object<'j>) -> &'j str {
    let tuple = signature.data_type();
    let first = tuple.and_then(|tuple| tuple.parameters().get(0)?.type_name());
    first.map_or("", |name| name.as_str())
}

/// Where in the order of names a method of a closure or keyword body comes; 0 for any other. What holds
/// a closure is numbered before it.
fn nesting(method: Method<'_>) -> u64 {
    let function = first_type_name(method.signature());
    if is_generated(function) {
        number(function)
    } else {
        0
    }
}

/// The number at the end of a made-up name.
fn number(name: &str) -> u64 {
    name.rsplit_once('#').and_then(|(_, n)| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_last() {
        assert!(is_lasting(r##"#1 of Tuple{A.var"#2 of Tuple{typeof(A.f), Int64}"}"##));
        assert!(is_lasting("#12 at top level"));
        assert!(!is_lasting("#3#4") && !is_lasting("#f#5") && !is_lasting("#f##kw") && !is_lasting("# of "));
    }

    #[test]
    fn names_are_numbered() {
        assert_eq!(number("#f#12"), 12);
    }
}
