//! Finds what this session has compiled: every code instance whose machine code is not in the sysimage or a library, and
//! every one of a library that was used.
//!
//! Julia does not record which methods it compiles, but code of the JIT is outside of all shared objects. A function with a
//! constant result has no code. It counts if it was called, since a call puts its method instance into the method table's
//! cache.
//!
//! A trace has three steps: [`alive`] finds compiled code, [`callers`] finds which of it was used and by which callers, and
//! [`attribution`] finds the packages to whose profiles it belongs.

use std::collections::HashSet;

use nativecache_julia::handles::{Array, DataType, MethodInstance, Module};
use nativecache_julia::lasting_names::LastingNames;
use nativecache_julia::packages::Packages;
use nativecache_julia::signature::{self, Naming, Unprintable};
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;
use nativecache_julia::walk;

mod alive;
mod attribution;
mod callers;
mod package_name;
mod references;

use alive::Alive;
use attribution::{owners, Attribution};
pub use package_name::PackageName;
use references::{references, types_and_module};

/// The options of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Options<'j> {
    /// The package whose test suite or workload ran: entries that it needs belong to it. Otherwise each entry belongs to the
    /// packages of its types and methods.
    pub focus: Option<Module<'j>>,
    /// The package for an entry that needs no package and that no package needed.
    pub home: Option<Module<'j>>,
    /// Leave out what was compiled before the [`Mark`], unless it belongs to a package.
    pub marked: bool,
    /// The script that this session runs: what `Main` defines is its.
    pub script: Option<&'j PackageName>,
    /// While a package is precompiled, `precompile` statements only infer. Then this includes methods that were inferred and
    /// that no other method calls.
    pub inferred: bool,
}

/// One method to keep.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its signature.
    pub statement: String,
    /// The profiles to which it belongs: each for a package, or for several that must be loaded together.
    pub profiles: Vec<Vec<PackageName>>,
}

/// The result of a trace.
#[derive(Default, Debug)]
pub struct Trace {
    /// The number of code instances that were examined.
    pub looked: usize,
    /// The number of method instances that this session compiled.
    pub compiled: usize,
    /// The number of method instances of libraries that were used.
    pub used: usize,
    /// The methods to keep.
    pub entries: Vec<Entry>,
    /// How many were left out because they refer to something that no other session has.
    pub nowhere: usize,
    /// Why others were left out: they cannot be written in a form that another session can read.
    pub unnamed: Vec<String>,
    /// The loaded packages outside of the sysimage.
    pub loaded: Vec<PackageName>,
}

/// The method instances that were compiled so far, by address. They are never freed.
#[derive(Default)]
pub struct Mark(HashSet<usize>);

impl Mark {
    /// Records what is compiled now; `loaded` are the loaded modules.
    pub fn now(julia: &Stopped, loaded: Array<'_>) -> Self {
        let roots = walk::root_modules(julia, loaded);
        let found = Alive::find(julia, &roots, Sysimage::current().as_ref(), true);
        let compiled = found.jit.iter().chain(&found.constant).chain(&found.inferred);
        Mark(compiled.map(|instance| instance.address()).collect())
    }

    fn has(&self, instance: MethodInstance<'_>) -> bool {
        self.0.contains(&instance.address())
    }
}

/// Walks all code of this process; `loaded` are the loaded modules.
pub fn trace<'j>(julia: &'j Stopped, loaded: Array<'j>, options: Options<'j>, mark: Option<&Mark>) -> Trace {
    let roots = walk::root_modules(julia, loaded);
    let sysimage = Sysimage::current();
    let found = Alive::find(julia, &roots, sysimage.as_ref(), options.inferred);
    let packages = Packages::new(julia, &roots, sysimage.as_ref());
    let packages = if options.script.is_some() { packages.of_script() } else { packages };
    let wanted = Wanted::of(&found, &packages, options);
    let mut out =
        Trace { looked: found.looked, compiled: wanted.compiled, used: wanted.used, ..Trace::default() };
    let callees = callers::packages_called(&found.methods, &packages);
    let mut names = LastingNames::new(found.methods, sysimage.as_ref());
    let mut attribution =
        Attribution::new(options.focus, options.home, packages, options.script.cloned(), callees);
    out.loaded = attribution.loaded();
    for instance in wanted.instances {
        let before_mark = options.marked && mark.is_some_and(|mark| mark.has(instance));
        add_entry(instance, before_mark, &mut attribution, &mut names, &mut out);
    }
    out.unnamed.sort_unstable();
    out.unnamed.dedup();
    out.loaded.sort_unstable();
    out
}

/// The method instances to keep, if they can be written.
struct Wanted<'j> {
    instances: Vec<MethodInstance<'j>>,
    /// How many of these were compiled, or inferred, here.
    compiled: usize,
    /// How many method instances of libraries were used.
    used: usize,
}

impl<'j> Wanted<'j> {
    fn of(found: &Alive<'j>, packages: &Packages<'j>, options: Options<'j>) -> Self {
        let called = callers::dispatched(found.constant.iter().chain(&found.cached).copied());
        let jit: HashSet<MethodInstance<'j>> = found.jit.iter().copied().collect();
        let used = callers::used(&found.cached, &jit, &called);
        let mut instances = found.jit.clone();
        let is_new = |instance: &MethodInstance<'j>| !jit.contains(instance);
        instances.extend(found.constant.iter().copied().filter(|i| called.contains(i) && is_new(i)));
        if let Some(focus) = options.focus.filter(|_| options.inferred) {
            let is_own = |instance: &MethodInstance<'j>| is_asked_of(*instance, focus, packages);
            instances.extend(found.inferred.iter().copied().filter(is_own));
        }
        let compiled = instances.len();
        instances.extend(used.iter().copied().filter(is_new));
        Wanted { instances, compiled, used: used.len() }
    }
}

/// Was this method instance inferred because a statement of `focus` asked for it, and not for a caller?
fn is_asked_of<'j>(instance: MethodInstance<'j>, focus: Module<'j>, packages: &Packages<'j>) -> bool {
    let references = references(types_and_module(instance), packages);
    // Methods for which other packages have asked came with their .ji files.
    let own = references.packages.is_empty() || references.packages.contains(&focus);
    // Inference also looks at signatures that are not compiled for calls.
    let is_call = instance.types().as_kind().is_some_and(DataType::is_dispatch_tuple);
    own && is_call && !instance.backedges().any(|caller| caller.is::<MethodInstance<'j>>())
}

/// Adds one method instance to a trace, if another session could use it.
fn add_entry<'j>(
    instance: MethodInstance<'j>,
    before_mark: bool,
    attribution: &mut Attribution<'j>,
    names: &mut LastingNames<'j>,
    out: &mut Trace,
) {
    if instance.method().is_none() || is_start(instance) {
        return;
    }
    if attribution.references(instance).nowhere {
        out.nowhere += 1;
        return;
    }
    let profiles = attribution.profiles(instance, before_mark);
    if profiles.is_empty() {
        return;
    }
    match signature::text(instance.types(), Some(names)) {
        Ok(statement) => out.entries.push(Entry { statement, profiles }),
        Err(why) => out.unnamed.push(why.to_string()),
    }
}

/// The statement of a method instance for a profile, and those of the packages `of` that it needs: one that loads all
/// packages to which it refers, or several that do so together.
pub fn statement_of<'j>(
    instance: MethodInstance<'j>,
    of: &[Module<'j>],
    packages: &mut Packages<'j>,
    names: &mut dyn Naming<'j>,
) -> (Result<String, Unprintable>, Vec<PackageName>) {
    let needed = references(types_and_module(instance), packages).packages;
    let owners = owners(of, &needed, packages);
    (signature::text(instance.types(), Some(names)), owners.into_iter().map(PackageName::of).collect())
}

/// Does it run before a library can be linked? Then each session compiles it.
fn is_start(instance: MethodInstance<'_>) -> bool {
    instance.method().is_some_and(|method| {
        let name = method.name().as_str();
        name == "__init__" && method.argument_count() == 1
            || method.module().as_str() == "NativeCache" && matches!(name, "loaded" | "ended")
    })
}
