//! Which definition made code invalid: Julia notes in a code instance only the last world in which it held.

use std::collections::HashMap;

use crate::handles::{Array, Method, Symbol};
use crate::stopped::Stopped;
use crate::walk;

/// The methods of this session by the world in which they came, or went.
pub struct Definitions<'j> {
    made: HashMap<usize, Vec<Method<'j>>>,
    deleted: HashMap<usize, Vec<Method<'j>>>,
}

impl<'j> Definitions<'j> {
    /// Walks over all methods; `loaded` are the modules that are loaded.
    pub fn read(julia: &'j Stopped, loaded: Array<'j>) -> Self {
        let mut made: HashMap<usize, Vec<Method<'j>>> = HashMap::new();
        let mut deleted: HashMap<usize, Vec<Method<'j>>> = HashMap::new();
        let modules = walk::modules(&walk::root_modules(julia, loaded));
        for method in walk::methods(&walk::method_tables(julia, &modules)) {
            made.entry(method.primary_world()).or_default().push(method);
            if method.deleted_world() != usize::MAX {
                deleted.entry(method.deleted_world()).or_default().push(method);
            }
        }
        Definitions { made, deleted }
    }

    /// What happened right after `world`, the last one in which some code held: a method that was
    /// defined (gf.c, `jl_method_table_insert`, invalidates up to the world before its own), or one
    /// that was deleted (`jl_method_table_disable`).
    pub fn after(&self, world: usize) -> String {
        let (verb, methods) = match self.made.get(&world.wrapping_add(1)) {
            Some(methods) => ("", methods),
            None => match self.deleted.get(&world) {
                Some(methods) => ("deletion of ", methods),
                None => return String::new(),
            },
        };
        // A package brings its methods in one world. Older code cannot depend on its own functions.
        let foreign = methods.iter().filter(|method| !is_own(**method)).collect::<Vec<_>>();
        let told = if foreign.is_empty() { methods.iter().collect() } else { foreign };
        let mut texts: Vec<String> = told.into_iter().map(|method| place(*method)).collect();
        texts.sort_unstable();
        texts.dedup();
        let more = texts.len().saturating_sub(SHOWN);
        texts.truncate(SHOWN);
        let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("{verb}{}{rest}", texts.join(", "))
    }
}

/// A package that is loaded may bring several methods in one world.
const SHOWN: usize = 3;

/// Is the method one of a function of its own module?
fn is_own(method: Method<'_>) -> bool {
    let first = method.signature().data_type().and_then(|types| types.parameters().get(0)?.type_name());
    first.is_some_and(|name| name.module() == method.module())
}

/// `f(::Int64, ::String) in Package at file:line`.
fn place(method: Method<'_>) -> String {
    let types = method.signature().data_type().into_iter().flat_map(|types| types.parameters().items());
    let arguments: Vec<String> = types.skip(1).map(|ty| format!("::{}", ty.type_text())).collect();
    format!(
        "{}({}) in {} at {}:{}",
        method.name().as_str(),
        arguments.join(", "),
        method.module().path(),
        method.file().map_or("", Symbol::as_str),
        method.line()
    )
}
