//! What this session has compiled: every code instance whose machine code is neither the sysimage's
//! nor a library's, and every one of a library that was used.
//!
//! Julia says nowhere which method was compiled when; but code of the JIT lies outside of all shared
//! objects. A function with a constant result has no code: it counts when it was called, which puts its
//! method instance into the method table's cache.

use nativecache_julia::root_modules;
use std::collections::{HashMap, HashSet};

use jl_sys::{jl_code_instance_t, jl_method_instance_t, jl_method_t, jl_methtable_t, jl_module_t};

use crate::load::library;
use nativecache_julia::collector::CollectorOff;
use nativecache_julia::elf::SharedObjects;
use nativecache_julia::inspect;
use nativecache_julia::julia_1_5::{jl_fptr_const_return, jl_method_table_for, Binding, HT_NOTFOUND};
use nativecache_julia::made_up_names::Generated;
use nativecache_julia::object::{
    array_items, is, is_type, module_name, svec_items, symbol_str, type_name, type_of, Value,
};
use nativecache_julia::raw_packages::{Packages, References};
use nativecache_julia::signature::{print, Unprintable};
use nativecache_julia::sysimage::Sysimage;

mod attribution;
use attribution::Attribution;

type Instance = *mut jl_method_instance_t;
type Module = *mut jl_module_t;

/// What is asked of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The package whose test suite or workload ran: what it needs goes to it. Else each entry goes
    /// where its types and methods belong.
    pub focus: Option<Module>,
    /// Where an entry goes that needs no package and that no package needed.
    pub home: Option<Module>,
    /// Leave out what was compiled before the [`Mark`], unless it belongs to a package.
    pub marked: bool,
    /// While a package is precompiled, `precompile` statements only infer: take what was inferred and that
    /// no other method calls.
    pub inferred: bool,
}

/// A package by what names it in the store.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PackageName {
    /// Its name.
    pub name: String,
    /// Its uuid; zero without one.
    pub uuid: [u8; 16],
}

/// One method to keep.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its signature.
    pub statement: String,
    /// The profiles it belongs to: each a package, or several that must be loaded together.
    pub profiles: Vec<Vec<PackageName>>,
}

/// What a trace found.
#[derive(Default, Debug)]
pub struct Trace {
    /// Code instances looked at.
    pub looked: usize,
    /// Method instances that were compiled here.
    pub compiled: usize,
    /// Method instances of libraries that were used.
    pub used: usize,
    /// To keep.
    pub entries: Vec<Entry>,
    /// Left out since they refer to things that no other session has.
    pub nowhere: usize,
    /// Left out since they cannot be written so that another session reads them: why.
    pub unnamed: Vec<String>,
    /// Packages outside of the sysimage that are loaded.
    pub loaded: Vec<PackageName>,
}

/// The method instances that are compiled so far.
#[derive(Default)]
pub struct Mark(HashSet<usize>);

/// What is alive, walked once.
struct Alive {
    methods: Vec<*mut jl_method_t>,
    looked: usize,
    /// Compiled by this process.
    jit: Vec<Instance>,
    /// Of a library.
    cached: Vec<Instance>,
    /// Constant results that this process inferred.
    constant: Vec<Instance>,
    /// Inferred and not compiled, outside of the sysimage.
    inferred: Vec<Instance>,
}

/// # Safety
/// On a Julia thread with the collector off; `loaded` is a live array of modules.
unsafe fn alive(roots: &[Module], sysimage: Option<&Sysimage>, inferred: bool) -> Alive {
    let objects = SharedObjects::current();
    let data = sysimage.map_or(0..0, |s| s.data.clone());
    let text = sysimage.map_or(0..0, |s| s.span.clone());
    let constant_return = jl_fptr_const_return as *const () as usize;
    // SAFETY: as the caller says.
    unsafe {
        let methods = methods(roots);
        let mut found = Alive {
            methods: Vec::new(),
            looked: 0,
            jit: vec![],
            cached: vec![],
            constant: vec![],
            inferred: vec![],
        };
        for method in &methods {
            let instances = (**method).specializations;
            if instances.is_null() {
                continue;
            }
            for instance in svec_items(instances) {
                if instance.is_null() || !is(*instance, jl_sys::jl_method_instance_type) {
                    continue;
                }
                let mi: Instance = instance.cast();
                let mut at = (*mi).cache;
                while !at.is_null() {
                    found.looked += 1;
                    if (*at).invoke.is_none() {
                        if inferred && !data.contains(&(at as usize)) && !(*at).inferred.is_null() {
                            found.inferred.push(mi);
                        }
                    } else if let Some((kind, address)) = code_of(at, constant_return) {
                        let list = match kind {
                            // Most of all are the sysimage's: these go first.
                            Code::Native if text.contains(&address) => None,
                            Code::Native if library::owned(address) => Some(&mut found.cached),
                            Code::Native if objects.contain(address) => None,
                            Code::Native => Some(&mut found.jit),
                            Code::Constant if data.contains(&(at as usize)) => None,
                            Code::Constant => Some(&mut found.constant),
                        };
                        if let Some(list) = list {
                            list.push(mi);
                        }
                    }
                    at = (*at).next;
                }
            }
        }
        found.methods = methods;
        for list in [&mut found.jit, &mut found.cached, &mut found.constant, &mut found.inferred] {
            list.dedup();
        }
        found
    }
}

/// Every method that is alive. As [`inspect::methods`] of [`inspect::method_tables`], but in no order, which
/// takes a fifth of the time: a session waits for this when it ends.
unsafe fn methods(roots: &[Module]) -> Vec<*mut jl_method_t> {
    let mut modules: HashSet<Module> = HashSet::new();
    let mut tables: HashSet<*mut jl_methtable_t> = HashSet::new();
    let mut stack = roots.to_vec();
    // SAFETY: as `alive`; the shapes are those that `inspect` reads.
    unsafe {
        while let Some(module) = stack.pop() {
            if !modules.insert(module) {
                continue;
            }
            let bindings = &(*module).bindings;
            for pair in std::slice::from_raw_parts(bindings.table, bindings.size).chunks_exact(2) {
                if pair[1] == HT_NOTFOUND {
                    continue;
                }
                let binding = pair[1].cast::<Binding>();
                let value = (*binding).value;
                if (*binding).owner != module || value.is_null() || (*binding).constp == 0 {
                    continue;
                }
                if is(value, jl_sys::jl_module_type) {
                    let child = value.cast::<jl_module_t>();
                    if (*child).parent == module && (*child).name == (*binding).name {
                        stack.push(child);
                    }
                }
                let ty = if is_type(value) { value } else { type_of(value).cast() };
                let Some(name) = type_name(ty) else { continue };
                add_table((*name).mt, &mut tables);
            }
        }
        add_table((*jl_sys::jl_type_typename).mt, &mut tables);
        let mut out = Vec::with_capacity(1 << 15);
        for table in tables {
            // A method stands in the table of its own function only.
            inspect::visit_typemap((*table).defs, &mut |entry| {
                let method = (*entry).func.value;
                if is(method, jl_sys::jl_method_type) {
                    out.push(method.cast::<jl_method_t>());
                }
            });
        }
        out
    }
}

unsafe fn add_table(table: *mut jl_methtable_t, tables: &mut HashSet<*mut jl_methtable_t>) {
    // SAFETY: a typename's `mt` is null, `nothing` or a method table.
    unsafe {
        if table.is_null()
            || table.cast::<jl_sys::jl_value_t>() == jl_sys::jl_nothing
            || !tables.insert(table)
        {
            return;
        }
        let kwsorter = (*table).kwsorter;
        if !kwsorter.is_null() && kwsorter != jl_sys::jl_nothing {
            add_table((*(*type_of(kwsorter)).name).mt, tables);
        }
    }
}

enum Code {
    Native,
    Constant,
}

unsafe fn code_of(ci: *mut jl_code_instance_t, constant_return: usize) -> Option<(Code, usize)> {
    // SAFETY: a live code instance.
    unsafe {
        let invoke = (*ci).invoke? as usize;
        if invoke == constant_return {
            return Some((Code::Constant, invoke));
        }
        let specptr = (*ci).specptr.fptr as usize;
        Some((Code::Native, if specptr == 0 { invoke } else { specptr }))
    }
}

impl Mark {
    /// Remembers what is compiled now.
    ///
    /// # Safety
    /// On a Julia thread; `loaded` is a live array of modules.
    pub unsafe fn now(loaded: *mut jl_sys::jl_array_t) -> Self {
        // SAFETY: as the caller says.
        unsafe {
            let _off = CollectorOff::new();
            let roots = root_modules::roots(loaded);
            let found = alive(&roots, Sysimage::current().as_ref(), true);
            Mark(
                found
                    .jit
                    .iter()
                    .chain(&found.constant)
                    .chain(&found.inferred)
                    .map(|mi| *mi as usize)
                    .collect(),
            )
        }
    }
}

/// Looks at all code of this process.
///
/// # Safety
/// On a Julia thread; `loaded` is a live array of modules, nothing else compiles meanwhile.
pub unsafe fn trace(loaded: *mut jl_sys::jl_array_t, options: Options, mark: Option<&Mark>) -> Trace {
    // SAFETY: as the caller says; nothing moves or goes away while the collector is off.
    unsafe {
        let _off = CollectorOff::new();
        let roots = root_modules::roots(loaded);
        let sysimage = Sysimage::current();
        let found = alive(&roots, sysimage.as_ref(), options.inferred);
        let mut packages = Packages::new(&roots, sysimage.as_ref());
        let called = called(found.constant.iter().chain(&found.cached).copied());
        let jit: HashSet<Instance> = found.jit.iter().copied().collect();
        let used = used(&found.cached, &jit, &called);
        let mut wanted = found.jit.clone();
        wanted.extend(found.constant.iter().copied().filter(|mi| called.contains(mi) && !jit.contains(mi)));
        if let Some(focus) = options.focus.filter(|_| options.inferred) {
            for mi in &found.inferred {
                let mut references = References::default();
                packages.add((**mi).specTypes, &mut references);
                packages.add((*(**mi).def.method).module.cast(), &mut references);
                // What other packages have asked for came with their .ji files.
                let own = references.packages.is_empty() || references.packages.contains(&focus);
                // Inference also looks at signatures for which no call is compiled.
                let types = (**mi).specTypes.cast::<jl_sys::jl_datatype_t>();
                if !is(types.cast(), jl_sys::jl_datatype_type) || (*types).isdispatchtuple == 0 {
                    continue;
                }
                let called = array_items((**mi).backedges).iter().any(|caller| is_method_instance(*caller));
                if own && !called {
                    wanted.push(*mi);
                }
            }
        }
        let compiled = wanted.len();
        wanted.extend(used.iter().copied().filter(|mi| !jit.contains(mi)));

        let mut out = Trace { looked: found.looked, compiled, used: used.len(), ..Trace::default() };
        let mut attribution = Attribution {
            asked_for: packages.asked_for().into_iter().filter(|m| Some(*m) != options.home).collect(),
            options,
            references: HashMap::new(),
            callees: callees(&found.methods, &packages),
        };
        let mut generated = Generated::new(&found.methods, sysimage.as_ref());
        for mi in wanted {
            let before_mark = options.marked && mark.is_some_and(|mark| mark.0.contains(&(mi as usize)));
            if (*mi).def.value.is_null() || !is((*mi).def.value, jl_sys::jl_method_type) || is_start(mi) {
                continue;
            }
            let references = attribution.references(mi, &packages);
            if references.nowhere {
                out.nowhere += 1;
                continue;
            }
            let profiles = attribution.profiles(mi, &mut packages, before_mark);
            if profiles.is_empty() {
                continue;
            }
            match print((*mi).specTypes, Some(&mut generated)) {
                Ok(statement) => out.entries.push(Entry { statement, profiles }),
                Err(why) => out.unnamed.push(why.to_string()),
            }
        }
        out.unnamed.sort_unstable();
        out.unnamed.dedup();
        out.loaded = packages.loaded().map(|m| package_name(m)).collect();
        out.loaded.sort_unstable();
        out
    }
}

/// A method instance in the words of a profile, and which of the packages `of` it needs: one that loads
/// all that it refers to, or several that do so together.
///
/// # Safety
/// On a Julia thread with the collector off; all is live.
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

/// What runs before a library can be linked: each session compiles it.
unsafe fn is_start(mi: Instance) -> bool {
    // SAFETY: `def` is a live method.
    unsafe {
        let method = (*mi).def.method;
        let name = symbol_str((*method).name);
        name == "__init__" && (*method).nargs == 1
            || module_name((*method).module) == "NativeCache" && matches!(name, "loaded" | "ended")
    }
}

unsafe fn package_name(module: Module) -> PackageName {
    // SAFETY: a live root module.
    unsafe { PackageName { name: module_name(module).to_owned(), uuid: root_modules::uuid(module) } }
}

/// Of these method instances, those that dispatch has met.
unsafe fn called(instances: impl Iterator<Item = Instance>) -> HashSet<Instance> {
    let candidates: HashSet<Instance> = instances.collect();
    let mut tables: HashSet<*mut jl_methtable_t> = HashSet::new();
    let mut found = HashSet::new();
    // SAFETY: method instances are alive; the cache is a typemap of them (gf.c).
    unsafe {
        for mi in &candidates {
            let table = jl_method_table_for((**mi).specTypes);
            if !table.is_null() && table != jl_sys::jl_nothing {
                tables.insert(table.cast());
            }
        }
        for table in tables {
            inspect::visit_typemap((*table).cache, &mut |entry| {
                let instance = (*entry).func.value;
                if !instance.is_null() && candidates.contains(&instance.cast()) {
                    found.insert(instance.cast());
                }
            });
        }
    }
    found
}

/// Of the method instances of libraries, those that something in this session has called: dispatch, or
/// code that was compiled here, or another one that was used.
unsafe fn used(cached: &[Instance], jit: &HashSet<Instance>, called: &HashSet<Instance>) -> Vec<Instance> {
    let ours: HashSet<Instance> = cached.iter().copied().collect();
    let mut callees: HashMap<Instance, Vec<Instance>> = HashMap::new();
    let mut seen: HashSet<Instance> = ours.clone();
    let mut up: Vec<Instance> = cached.to_vec();
    let mut down: Vec<Instance> = ours.iter().copied().filter(|mi| called.contains(mi)).collect();
    // SAFETY: backedges are null or a vector of method instances (gf.c).
    unsafe {
        while let Some(mi) = up.pop() {
            for caller in array_items((*mi).backedges) {
                if caller.is_null() || !is(*caller, jl_sys::jl_method_instance_type) {
                    continue;
                }
                let caller: Instance = caller.cast();
                callees.entry(caller).or_default().push(mi);
                if jit.contains(&caller) {
                    down.push(caller);
                } else if seen.insert(caller) {
                    up.push(caller);
                }
            }
        }
    }
    let mut reached = HashSet::new();
    while let Some(mi) = down.pop() {
        if reached.insert(mi) {
            down.extend(callees.get(&mi).into_iter().flatten());
        }
    }
    cached.iter().copied().filter(|mi| reached.contains(mi)).collect()
}

/// The packages whose methods the code of a method instance calls or has inlined, itself or through others, and
/// which its own method is not of: their objects are in its slots, and without them it would be other code.
unsafe fn callees(methods: &[*mut jl_method_t], packages: &Packages) -> HashMap<Instance, Vec<Module>> {
    let mut found: HashMap<Instance, Vec<Module>> = HashMap::new();
    let mut stack: Vec<(Instance, Module)> = Vec::new();
    // SAFETY: as `trace`; backedges are null or a vector of method instances (gf.c).
    unsafe {
        for method in methods {
            let Some(package) = packages.package_of((**method).module) else { continue };
            stack.extend(inspect::specializations(*method).into_iter().map(|mi| (mi, package)));
            while let Some((at, package)) = stack.pop() {
                for caller in array_items((*at).backedges) {
                    if !is_method_instance(*caller) {
                        continue;
                    }
                    let caller: Instance = caller.cast();
                    let method = (*caller).def.value;
                    // The package's own methods are looked at for themselves.
                    if !is(method, jl_sys::jl_method_type)
                        || packages.package_of((*method.cast::<jl_method_t>()).module) == Some(package)
                    {
                        continue;
                    }
                    let known = found.entry(caller).or_default();
                    if !known.contains(&package) {
                        known.push(package);
                        stack.push((caller, package));
                    }
                }
            }
        }
    }
    found
}

unsafe fn is_method_instance(value: Value) -> bool {
    // SAFETY: null or a live object.
    unsafe { !value.is_null() && is(value, jl_sys::jl_method_instance_type) }
}

unsafe fn names(modules: &[Module]) -> Vec<PackageName> {
    // SAFETY: live root modules.
    modules.iter().map(|m| unsafe { package_name(*m) }).collect()
}
