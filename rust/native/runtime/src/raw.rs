//! Edges for bare pointers, until the worker has handles.
#![allow(clippy::missing_safety_doc)] // on a Julia thread, collector off, all is live

use std::collections::HashMap;
use std::ops::Range;

use jl_sys::{
    jl_method_instance_t, jl_method_t, jl_methtable_t, jl_module_t, jl_sym_t, jl_typename_t, jl_value_t,
};
use nativecache_julia::handles::{Binding, Method, MethodInstance, MethodTable, Module, Object, Symbol};
use nativecache_julia::origin::Origins;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;

use crate::edges::{constants, generator, record, untouched};

type Instance = *mut jl_method_instance_t;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    Instance(Instance),
    Signature(*mut jl_value_t),
}

impl Target {
    pub unsafe fn signature(self) -> *mut jl_value_t {
        match self {
            // SAFETY: see the module.
            Target::Instance(instance) => unsafe { (*instance).specTypes },
            Target::Signature(signature) => signature,
        }
    }
}

#[derive(Default)]
pub struct Dependencies(HashMap<Instance, Vec<Target>>);

unsafe fn list<T, H>(pointers: &[*mut T], handle: impl Fn(*mut T) -> Option<H>) -> Vec<H> {
    pointers.iter().filter_map(|pointer| handle(*pointer)).collect()
}

impl Dependencies {
    pub unsafe fn collect(methods: &[*mut jl_method_t], tables: &[*mut jl_methtable_t]) -> Self {
        // SAFETY: see the module.
        let (methods, tables) =
            unsafe { (list(methods, |m| Method::from_ptr(m)), list(tables, |t| MethodTable::from_ptr(t))) };
        let found = record::Dependencies::collect(&methods, &tables);
        let target = |target: &record::Target<'_>| match target {
            record::Target::Instance(instance) => Target::Instance(instance.as_ptr()),
            record::Target::Signature(signature) => Target::Signature(signature.as_ptr()),
        };
        Dependencies(found.all().map(|(of, on)| (of.as_ptr(), on.iter().map(target).collect())).collect())
    }

    pub fn of(&self, instance: Instance) -> &[Target] {
        self.0.get(&instance).map_or(&[], Vec::as_slice)
    }
}

pub unsafe fn matching_methods(signature: *mut jl_value_t, world: usize) -> Option<Vec<*mut jl_method_t>> {
    // SAFETY: see the module.
    let found = Method::matching(unsafe { Object::from_ptr(signature) }?, world)?;
    Some(found.into_iter().map(Method::as_ptr).collect())
}

pub unsafe fn table_digest(table: *mut jl_methtable_t, sysimage: &Sysimage, origins: &Origins) -> (u32, u64) {
    // SAFETY: see the module.
    unsafe { MethodTable::from_ptr(table) }
        .map_or((0, 0), |table| record::table_digest(table, sysimage, origins))
}

pub unsafe fn table_names(modules: &[*mut jl_module_t]) -> HashMap<*mut jl_methtable_t, *mut jl_typename_t> {
    // SAFETY: see the module.
    let modules = unsafe { list(modules, |m| Module::from_ptr(m)) };
    record::table_names(&modules).into_iter().map(|(table, name)| (table.as_ptr(), name.as_ptr())).collect()
}

pub unsafe fn can_change(binding: *mut nativecache_julia::julia_1_5::Binding) -> bool {
    // SAFETY: see the module.
    unsafe { Binding::from_ptr(binding) }.is_some_and(constants::can_change)
}

pub unsafe fn digest(module: *mut jl_module_t, name: *mut jl_sym_t) -> Option<u64> {
    // SAFETY: see the module.
    unsafe { constants::digest(Module::from_ptr(module)?, Symbol::from_ptr(name)?) }
}

pub unsafe fn is_generated(instance: Instance, sysimage: &Range<usize>) -> bool {
    // SAFETY: see the module.
    unsafe { MethodInstance::from_ptr(instance) }
        .is_some_and(|instance| generator::is_generated(instance, sysimage))
}

pub unsafe fn seen_by(
    instance: Instance,
    origins: &Origins,
    sysimage: &Range<usize>,
    roots: &[*mut jl_module_t],
    first: Option<usize>,
) -> Option<u64> {
    // SAFETY: see the module.
    let (instance, roots) =
        unsafe { (MethodInstance::from_ptr(instance)?, list(roots, |m| Module::from_ptr(m))) };
    generator::seen_by(instance, origins, sysimage, &roots, first)
}

pub unsafe fn generated_body(instance: Instance) -> Option<*mut jl_value_t> {
    // SAFETY: see the module.
    unsafe {
        let julia = Stopped::new();
        Some(generator::generated_body(&julia, MethodInstance::from_ptr(instance)?)?.as_ptr())
    }
}

pub unsafe fn body_digest(instance: Instance) -> Option<u64> {
    // SAFETY: see the module.
    unsafe {
        let julia = Stopped::new();
        generator::body_digest(&julia, MethodInstance::from_ptr(instance)?)
    }
}

pub unsafe fn base_world(tables: &[*mut jl_methtable_t], sysimage: &Sysimage) -> usize {
    // SAFETY: see the module.
    untouched::base_world(&unsafe { list(tables, |t| MethodTable::from_ptr(t)) }, sysimage)
}

pub unsafe fn is_original(
    table: *mut jl_methtable_t,
    sysimage: &Sysimage,
    origins: &Origins,
    base_world: usize,
) -> bool {
    // SAFETY: see the module.
    unsafe { MethodTable::from_ptr(table) }
        .is_some_and(|table| untouched::is_original(table, sysimage, origins, base_world))
}

pub unsafe fn module_set(roots: &[*mut jl_module_t]) -> u64 {
    // SAFETY: see the module.
    crate::load::loaded::hash_of_set(&unsafe { list(roots, |m| Module::from_ptr(m)) })
}

pub mod trace {
    //! Attribution for bare pointers.

    use jl_sys::{jl_method_instance_t, jl_module_t};
    use nativecache_julia::made_up_names::Generated;
    use nativecache_julia::object::module_name;
    use nativecache_julia::raw_packages::{Packages, References};
    use nativecache_julia::root_modules;
    use nativecache_julia::signature::{print, Unprintable};

    use crate::trace::PackageName;

    type Instance = *mut jl_method_instance_t;
    type Module = *mut jl_module_t;

    unsafe fn package_name(module: Module) -> PackageName {
        // SAFETY: a live root module.
        unsafe { PackageName { name: module_name(module).to_owned(), uuid: root_modules::uuid(module) } }
    }

    pub unsafe fn statement_of(
        mi: Instance,
        of: &[Module],
        packages: &mut Packages,
        generated: &mut Generated<'_>,
    ) -> (Result<String, Unprintable>, Vec<PackageName>) {
        // SAFETY: as the caller says.
        unsafe {
            let mut references = References::default();
            packages.add((*mi).specTypes, &mut references);
            let method = (*mi).def.method;
            packages.add((*method).module.cast(), &mut references);
            let owners = owners(of, &references.packages, packages);
            (print((*mi).specTypes, Some(generated)), owners.into_iter().map(|m| package_name(m)).collect())
        }
    }

    unsafe fn owners(of: &[Module], needed: &[Module], packages: &mut Packages) -> Vec<Module> {
        // SAFETY: as `statement_of`.
        unsafe {
            let last = packages.last(needed);
            let mut loading: Vec<Module> = Vec::new();
            for package in of {
                let has = packages.closure(*package);
                if needed.iter().all(|m| has.contains(m)) {
                    loading.push(*package);
                }
            }
            if let Some(own) = loading.iter().find(|package| last.contains(package)).or(loading.first()) {
                return vec![*own];
            }
            // No one package loads it all: those that it names, or else those that bring a part of it.
            if last.iter().all(|m| of.contains(m)) {
                return last;
            }
            let mut together: Vec<Module> = Vec::new();
            for package in of {
                let has = packages.closure(*package);
                if last.iter().any(|m| has.contains(m)) {
                    together.push(*package);
                }
            }
            if together.is_empty() {
                of.to_vec()
            } else {
                together
            }
        }
    }
}
