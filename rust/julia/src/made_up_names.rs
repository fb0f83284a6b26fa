//! Names that the parser makes up, `#3#4` for a closure's type and `#f#5` for the body of a function
//! with keywords, are numbered through a module: a line added above changes them all. Here they get
//! names that survive that: the k-th one that a method's definition mentions, `#1 of Tuple{typeof(M.f), Int64}`.

use std::collections::HashMap;
use std::ops::Range;

use jl_sys::{jl_method_t, jl_module_t, jl_sym_t};

use crate::handles::{Module, Object};
use crate::inspect;
use crate::object::{array_items, is, is_type, svec_items, symbol_str, type_name, unwrap_unionall, Value};
use crate::packages::is_generated;
use crate::paths::source_mentions;
use crate::signature::words::{self, pieces, Piece};
use crate::signature::{text as signature_text, Naming};
use crate::sysimage::Sysimage;

/// The generated names of one module.
#[derive(Default, Debug)]
struct Names {
    /// Lasting name by generated one.
    lasting: HashMap<String, String>,
    /// Generated name by lasting one.
    generated: HashMap<String, String>,
}

/// The generated names of the modules that were asked for.
pub struct Generated<'a> {
    methods: &'a [*mut jl_method_t],
    modules: HashMap<*mut jl_module_t, Names>,
    /// Where modules lie whose generated names are as good as any: they change with Julia only.
    sysimage: Range<usize>,
    /// How many owners deep: closures stand in closures.
    depth: u32,
}

/// Closures nest; a name of more levels than this is not made.
const MAX_DEPTH: u32 = 8;

/// Ends a lasting name of something that no method's definition mentions.
const AT_TOP_LEVEL: &str = " at top level";

impl<'j> Naming<'j> for Generated<'_> {
    fn lasts_anyway(&self, module: Module<'j>) -> bool {
        Generated::lasts_anyway(self, module.as_ptr())
    }

    fn lasting(&mut self, module: Module<'j>, name: &str) -> Option<String> {
        // SAFETY: the handle proves that the module is alive, and the collector off.
        unsafe { Generated::lasting(self, module.as_ptr(), name) }
    }
}

impl<'a> Generated<'a> {
    /// `methods` are all that are alive.
    #[must_use]
    pub fn new(methods: &'a [*mut jl_method_t], sysimage: Option<&Sysimage>) -> Self {
        let sysimage = sysimage.map_or(0..0, |s| s.data.clone());
        Generated { methods, modules: HashMap::new(), sysimage, depth: 0 }
    }

    /// The lasting name of `name`, one of `module`'s.
    ///
    /// # Safety
    /// `module` and the methods are alive, the collector is off, nothing else runs.
    pub unsafe fn lasting(&mut self, module: *mut jl_module_t, name: &str) -> Option<String> {
        // SAFETY: as the caller says.
        unsafe { self.fill(module) };
        self.modules.get(&module)?.lasting.get(name).cloned()
    }

    /// The name that this build of the package has for a lasting name.
    ///
    /// # Safety
    /// As [`Generated::lasting`].
    pub unsafe fn current(&mut self, module: *mut jl_module_t, lasting: &str) -> Option<String> {
        // SAFETY: as the caller says.
        unsafe { self.fill(module) };
        self.modules.get(&module)?.generated.get(lasting).cloned()
    }

    unsafe fn fill(&mut self, module: *mut jl_module_t) {
        if self.modules.contains_key(&module) {
            return;
        }
        // Before the owners' own names are asked for, so that it ends.
        self.modules.insert(module, Names::default());
        // SAFETY: as `lasting`.
        unsafe {
            let mut names: Vec<(*mut jl_sym_t, &'static str)> = inspect::own_bindings(module)
                .into_iter()
                .filter(|(name, binding)| is_generated(name) && is_type_called((**binding).value, name))
                .map(|(name, binding)| ((*binding).name, name))
                .collect();
            names.sort_by_key(|(_, name)| number(name));
            let mut owners: HashMap<*mut jl_sym_t, Vec<*mut jl_method_t>> = HashMap::new();
            for method in self.methods.iter().copied().filter(|m| (**m).module == module) {
                for root in array_items((*method).roots) {
                    if !root.is_null()
                        && is(*root, jl_sys::jl_symbol_type)
                        && is_generated(symbol_str(root.cast()))
                    {
                        owners.entry(root.cast()).or_default().push(method);
                    }
                }
            }
            let mut of_owner: HashMap<*mut jl_method_t, Vec<&'static str>> = HashMap::new();
            let mut without: Vec<&'static str> = Vec::new();
            for (symbol, name) in &names {
                // The type of a keyword body `#f#5` is called `##f#5`; definitions mention the function.
                let function = name.starts_with("##").then(|| crate::object::symbol(&name[1..]));
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
    }

    fn put(&mut self, module: *mut jl_module_t, name: &str, lasting: String) {
        let names = self.modules.entry(module).or_default();
        names.lasting.insert(name.to_owned(), lasting.clone());
        names.generated.insert(lasting, name.to_owned());
    }

    /// Names of such a module are as good as any: they change with Julia only.
    #[must_use]
    pub fn lasts_anyway(&self, module: *mut jl_module_t) -> bool {
        self.sysimage.contains(&(module as usize))
    }

    unsafe fn owner_text(&mut self, method: *mut jl_method_t) -> Option<String> {
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        // SAFETY: as `lasting`.
        let text =
            unsafe { Object::from_ptr((*method).sig) }.and_then(|sig| signature_text(sig, Some(self)).ok());
        self.depth -= 1;
        text
    }
}

/// Puts this build's names in the place of lasting ones. The error says which is not there.
///
/// # Safety
/// As [`Generated::lasting`]; `roots` are live root modules.
pub unsafe fn replace_lasting(
    text: &str,
    roots: &[*mut jl_module_t],
    generated: &mut Generated<'_>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        let (names, as_it_is) = match piece {
            Piece::Text(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Path(names, text) => (names, text),
        };
        let Some((name, path)) = names.split_last().filter(|(name, _)| is_lasting(name)) else {
            out.push_str(as_it_is);
            continue;
        };
        // SAFETY: as the caller says.
        let current = unsafe {
            let module = find_module(path, roots, &generated.sysimage);
            module.and_then(|module| generated.current(module, name))
        };
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

/// # Safety
/// `roots` are live modules.
unsafe fn find_module(
    path: &[String],
    roots: &[*mut jl_module_t],
    sysimage: &Range<usize>,
) -> Option<*mut jl_module_t> {
    let (first, names) = path.split_first()?;
    // SAFETY: as the caller says. A package may bear the name of a standard library: it goes first, as in
    // worker.jl.
    unsafe {
        let mut at = roots
            .iter()
            .copied()
            .filter(|root| crate::object::module_name(*root) == first.as_str())
            .max_by_key(|root| !sysimage.contains(&(*root as usize)))?;
        for name in names {
            let value = jl_sys::jl_get_global(at, crate::object::symbol(name));
            if value.is_null() || !is(value, jl_sys::jl_module_type) {
                return None;
            }
            at = value.cast();
        }
        Some(at)
    }
}

/// Is it the type of this name?
unsafe fn is_type_called(value: Value, name: &str) -> bool {
    // SAFETY: a bound value is alive.
    unsafe {
        !value.is_null() && is_type(value) && type_name(value).is_some_and(|n| symbol_str((*n).name) == name)
    }
}

/// The method whose definition makes this name: among those that refer to it, one that is not the
/// thing itself, whose source mentions it; with keywords the function itself before its sorter.
unsafe fn owner(
    candidates: Vec<*mut jl_method_t>,
    symbol: *mut jl_sym_t,
    name: &str,
) -> Option<*mut jl_method_t> {
    // SAFETY: methods are alive.
    unsafe {
        let mut fitting: Vec<*mut jl_method_t> =
            candidates.into_iter().filter(|method| !is_method_of((**method).sig, name)).collect();
        if fitting.len() > 1 {
            // Inference adds roots to methods that inline others.
            fitting.retain(|method| source_mentions(*method, symbol.cast()));
        }
        fitting.sort_by_key(|method| {
            let function = first_type_name((**method).sig);
            (
                function.ends_with("##kw"),
                number(function),
                (**method).line,
                symbol_str((**method).name),
                (**method).nargs,
            )
        });
        fitting.first().copied()
    }
}

/// Is it a method of the function or closure called `name`?
unsafe fn is_method_of(sig: Value, name: &str) -> bool {
    // SAFETY: as `owner`.
    let function = unsafe { first_type_name(sig) };
    function == name || function.strip_prefix('#') == Some(name)
}

unsafe fn first_type_name(sig: Value) -> &'static str {
    // SAFETY: a method's signature is a tuple type, perhaps under `where`.
    unsafe {
        let tuple = unwrap_unionall(sig);
        if !is(tuple, jl_sys::jl_datatype_type) {
            return "";
        }
        let first = svec_items((*tuple.cast::<jl_sys::jl_datatype_t>()).parameters).first().copied();
        first.and_then(|t| type_name(t)).map_or("", |n| symbol_str((*n).name))
    }
}

/// Where in the order of names a method of a closure or keyword body comes; 0 for any other. What holds
/// a closure is numbered before it.
unsafe fn nesting(method: *mut jl_method_t) -> u64 {
    // SAFETY: as `owner`.
    let function = unsafe { first_type_name((*method).sig) };
    if is_generated(function) {
        number(function)
    } else {
        0
    }
}

/// The number at the end of a generated name.
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
