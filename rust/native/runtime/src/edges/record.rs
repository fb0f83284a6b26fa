//! What compiled code depends on, collected in the build process.
//!
//! Julia 1.5 keeps no list of edges with a code instance. They stand only the other way round: a
//! method instance lists those that depend on it (`backedges`), and a method table those that depend
//! on which methods match a signature. Walking all of them backwards gives every method instance what
//! it depends on, inlined callees included, as dump.c does for precompile files.

use std::collections::HashMap;

use jl_sys::{jl_array_t, jl_method_instance_t, jl_method_t, jl_methtable_t, jl_module_t, jl_typename_t};

use crate::edges::tables::Scan;
use nativecache_julia::code_digest::Mix;
use nativecache_julia::inspect;
use nativecache_julia::julia_1_5::{jl_matching_methods, jl_module_build_id};
use nativecache_julia::object::{
    array_items, is, is_type, root_module, svec_items, symbol_str, type_name, unwrap_unionall, Value,
};
use nativecache_julia::origin::Origins;
use nativecache_julia::sysimage::Sysimage;

/// One thing that code depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// A call, or an inlined call, of this method instance.
    Instance(*mut jl_method_instance_t),
    /// The methods that match this signature, perhaps none.
    Signature(Value),
}

impl Target {
    /// The signature that is matched against the method table.
    ///
    /// # Safety
    /// The target is live.
    pub unsafe fn signature(self) -> Value {
        match self {
            // SAFETY: as the caller says.
            Target::Instance(mi) => unsafe { (*mi).specTypes },
            Target::Signature(signature) => signature,
        }
    }
}

/// The edges of every method instance.
#[derive(Default)]
pub struct Dependencies {
    of: HashMap<*mut jl_method_instance_t, Vec<Target>>,
}

impl Dependencies {
    /// Reads all backedges of this process.
    ///
    /// # Safety
    /// The collector is off, nothing else runs; `methods` and `tables` are all that are alive.
    pub unsafe fn collect(methods: &[*mut jl_method_t], tables: &[*mut jl_methtable_t]) -> Self {
        let mut found = Dependencies::default();
        // SAFETY: as the caller says; `backedges` is null or a vector (gf.c).
        unsafe {
            for method in methods {
                for callee in inspect::specializations(*method) {
                    for caller in array_items((*callee).backedges) {
                        found.add(*caller, Target::Instance(callee));
                    }
                }
            }
            for table in tables {
                // Pairs of signature and caller.
                for pair in array_items((**table).backedges).chunks_exact(2) {
                    if !pair[0].is_null() {
                        found.add(pair[1], Target::Signature(pair[0]));
                    }
                }
            }
        }
        found
    }

    unsafe fn add(&mut self, caller: Value, target: Target) {
        // SAFETY: backedges hold method instances.
        unsafe {
            if !caller.is_null() && is(caller, jl_sys::jl_method_instance_type) {
                self.of.entry(caller.cast()).or_default().push(target);
            }
        }
    }

    /// What `mi` depends on directly.
    pub fn of(&self, mi: *mut jl_method_instance_t) -> &[Target] {
        self.of.get(&mi).map_or(&[], Vec::as_slice)
    }
}

/// The methods that match `signature` in `world`; `None` where Julia itself cannot tell.
///
/// # Safety
/// `signature` is a live tuple type; on a Julia thread with the collector off.
pub unsafe fn matching_methods(signature: Value, world: usize) -> Option<Vec<*mut jl_method_t>> {
    // SAFETY: as the caller says. The result is `false` or a vector of svec(type, sparams, method, …).
    unsafe {
        if !is_type(signature) || !is(unwrap_unionall(signature), jl_sys::jl_datatype_type) {
            return None;
        }
        let (mut min, mut max) = (0usize, usize::MAX);
        let found = jl_matching_methods(signature.cast(), -1, 0, world, &raw mut min, &raw mut max);
        if found.is_null() || found == jl_sys::jl_false {
            return None;
        }
        array_items(found.cast::<jl_array_t>())
            .iter()
            .map(|entry| {
                let method = svec_items(entry.cast()).get(2).copied()?;
                is(method, jl_sys::jl_method_type).then(|| method.cast())
            })
            .collect()
    }
}

/// A number that changes when a method is added to a table, deleted or replaced: how many methods of
/// the sysimage are live, and a sum over the identity of all others and of the dead.
///
/// # Safety
/// `table` is a live method table that nobody changes meanwhile; on a Julia thread, collector off.
pub unsafe fn table_digest(table: *mut jl_methtable_t, sysimage: &Sysimage, origins: &Origins) -> (u32, u64) {
    // SAFETY: as the caller says.
    unsafe {
        let scan = Scan::of(table, &sysimage.data);
        (scan.live, scan.digest(origins))
    }
}

/// Where a method was defined, and what it is called.
///
/// # Safety
/// As [`Origins::of`].
pub unsafe fn method_identity(method: *mut jl_method_t, origins: &Origins) -> u64 {
    // SAFETY: `method` is live.
    unsafe {
        let root = root_module((*method).module);
        let signature = unwrap_unionall((*method).sig);
        let hash = if is(signature, jl_sys::jl_datatype_type) {
            (*signature.cast::<jl_sys::jl_datatype_t>()).hash
        } else {
            0
        };
        let mut mix = Mix::new(jl_module_build_id(root));
        mix.add((*root).uuid.hi);
        mix.add((*root).uuid.lo);
        mix.add(u64::from((*method).line.cast_unsigned()));
        mix.add(u64::from((*method).nargs.cast_unsigned()));
        mix.add(u64::from(hash));
        mix.add_bytes(symbol_str((*method).name).as_bytes());
        mix.add_bytes(symbol_str((*method).file).as_bytes());
        if !origins.is_restored(method) {
            // Defined at run time, and another session may have another definition at the same place.
            mix.add(origins.of(method).unwrap_or_else(|| origins.unproved()));
        }
        mix.finish()
    }
}

/// A type name by which another process finds each method table: the first by module and name.
///
/// # Safety
/// `modules` are live modules, in a fixed order.
pub unsafe fn table_names(modules: &[*mut jl_module_t]) -> HashMap<*mut jl_methtable_t, *mut jl_typename_t> {
    let mut names = HashMap::new();
    // SAFETY: bound values are live.
    unsafe {
        let mut add = |ty: Value| {
            if let Some(name) = type_name(ty) {
                let table = (*name).mt;
                if !table.is_null() && table.cast() != jl_sys::jl_nothing {
                    names.entry(table).or_insert(name);
                }
            }
        };
        for module in modules {
            for (_, binding) in inspect::own_bindings(*module) {
                let value = (*binding).value;
                if value.is_null() || (*binding).constp == 0 {
                    continue;
                }
                if is_type(value) {
                    add(value);
                }
            }
        }
    }
    names
}
