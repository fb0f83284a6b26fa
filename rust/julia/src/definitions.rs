//! Which definition made code invalid: Julia notes in a code instance only the last world in which it held.

use std::collections::HashMap;

use jl_sys::{jl_array_t, jl_datatype_t, jl_method_t};

use crate::inspect;
use crate::object::{module_path, svec_items, symbol_str, type_name, unwrap_unionall};
use crate::root_modules;
use crate::types::type_text;

/// The methods of this session by the world in which they came, or went.
pub struct Definitions {
    made: HashMap<usize, Vec<*mut jl_method_t>>,
    deleted: HashMap<usize, Vec<*mut jl_method_t>>,
}

impl Definitions {
    /// Walks over all methods.
    ///
    /// # Safety
    /// On a Julia thread, collector off; `loaded` is a live array of modules.
    pub unsafe fn read(loaded: *mut jl_array_t) -> Self {
        let mut made: HashMap<usize, Vec<*mut jl_method_t>> = HashMap::new();
        let mut deleted: HashMap<usize, Vec<*mut jl_method_t>> = HashMap::new();
        // SAFETY: as the caller says.
        unsafe {
            let modules = inspect::all_modules(&root_modules::roots(loaded));
            for method in inspect::methods(&inspect::method_tables(&modules)) {
                made.entry((*method).primary_world).or_default().push(method);
                if (*method).deleted_world != usize::MAX {
                    deleted.entry((*method).deleted_world).or_default().push(method);
                }
            }
        }
        Definitions { made, deleted }
    }

    /// What happened right after `world`, the last one in which some code held: a method that was
    /// defined (gf.c, `jl_method_table_insert`, invalidates up to the world before its own), or one
    /// that was deleted (`jl_method_table_disable`).
    ///
    /// # Safety
    /// The methods that were read are still alive.
    pub unsafe fn after(&self, world: usize) -> String {
        let (verb, methods) = match self.made.get(&world.wrapping_add(1)) {
            Some(methods) => ("", methods),
            None => match self.deleted.get(&world) {
                Some(methods) => ("deletion of ", methods),
                None => return String::new(),
            },
        };
        // A package brings its methods in one world. Older code cannot depend on its own functions.
        // SAFETY: as the caller says.
        let foreign = methods.iter().filter(|method| unsafe { !is_own(**method) }).collect::<Vec<_>>();
        let told = if foreign.is_empty() { methods.iter().collect() } else { foreign };
        // SAFETY: as the caller says.
        let mut texts: Vec<String> = told.into_iter().map(|method| unsafe { place(*method) }).collect();
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
unsafe fn is_own(method: *mut jl_method_t) -> bool {
    // SAFETY: `method` is live; a signature is a tuple type, the function's own type first.
    unsafe {
        let signature = unwrap_unionall((*method).sig);
        let types = svec_items((*signature.cast::<jl_datatype_t>()).parameters);
        types.first().and_then(|ty| type_name(*ty)).is_some_and(|name| (*name).module == (*method).module)
    }
}

/// `f(::Int64, ::String) in Package at file:line`.
unsafe fn place(method: *mut jl_method_t) -> String {
    // SAFETY: `method` is live; a signature is a tuple type, the function's own first.
    unsafe {
        let signature = unwrap_unionall((*method).sig);
        let types = svec_items((*signature.cast::<jl_datatype_t>()).parameters);
        let arguments: Vec<String> = types.iter().skip(1).map(|t| format!("::{}", type_text(*t))).collect();
        format!(
            "{}({}) in {} at {}:{}",
            symbol_str((*method).name),
            arguments.join(", "),
            module_path((*method).module),
            symbol_str((*method).file),
            (*method).line
        )
    }
}
