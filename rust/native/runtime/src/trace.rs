//! What this session has compiled: every code instance whose machine code is neither the sysimage's
//! nor a library's, and every one of a library that was used.
//!
//! Julia says nowhere which method was compiled when; but code of the JIT lies outside of all shared
//! objects. A function with a constant result has no code: it counts when it was called, which puts its
//! method instance into the method table's cache.
//!
//! A trace has three steps: [`alive`] finds what is compiled, [`callers`] which of it was used and who calls whom, and
//! [`attribution`] to which packages' profiles it goes.

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

/// What is asked of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Options<'j> {
    /// The package whose test suite or workload ran: what it needs goes to it. Else each entry goes
    /// where its types and methods belong.
    pub focus: Option<Module<'j>>,
    /// Where an entry goes that needs no package and that no package needed.
    pub home: Option<Module<'j>>,
    /// Leave out what was compiled before the [`Mark`], unless it belongs to a package.
    pub marked: bool,
    /// While a package is precompiled, `precompile` statements only infer: take what was inferred and that
    /// no other method calls.
    pub inferred: bool,
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

/// The method instances that are compiled so far, by their addresses: they are never freed.
#[derive(Default)]
pub struct Mark(HashSet<usize>);

impl Mark {
    /// Remembers what is compiled now; `loaded` are the modules that are loaded.
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

/// Looks at all code of this process; `loaded` are the modules that are loaded.
pub fn trace<'j>(julia: &'j Stopped, loaded: Array<'j>, options: Options<'j>, mark: Option<&Mark>) -> Trace {
    let roots = walk::root_modules(julia, loaded);
    let sysimage = Sysimage::current();
    let found = Alive::find(julia, &roots, sysimage.as_ref(), options.inferred);
    let packages = Packages::new(julia, &roots, sysimage.as_ref());
    let wanted = Wanted::of(&found, &packages, options);
    let mut out = Trace {
        looked: found.looked,
        compiled: wanted.compiled,
        used: wanted.used,
        loaded: packages.loaded().map(PackageName::of).collect(),
        ..Trace::default()
    };
    let callees = callers::packages_called(&found.methods, &packages);
    let mut names = LastingNames::new(found.methods, sysimage.as_ref());
    let mut attribution = Attribution::new(options.focus, options.home, packages, callees);
    for instance in wanted.instances {
        let before_mark = options.marked && mark.is_some_and(|mark| mark.has(instance));
        add_entry(instance, before_mark, &mut attribution, &mut names, &mut out);
    }
    out.unnamed.sort_unstable();
    out.unnamed.dedup();
    out.loaded.sort_unstable();
    out
}

/// What is to be kept, if it can be written.
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

/// Was this method instance inferred since a statement of `focus` asked for it, and not for a caller?
fn is_asked_of<'j>(instance: MethodInstance<'j>, focus: Module<'j>, packages: &Packages<'j>) -> bool {
    let references = references(types_and_module(instance), packages);
    // What other packages have asked for came with their .ji files.
    let own = references.packages.is_empty() || references.packages.contains(&focus);
    // Inference also looks at signatures for which no call is compiled.
    let is_call = instance.types().as_kind().is_some_and(DataType::is_dispatch_tuple);
    own && is_call && !instance.backedges().any(|caller| caller.is::<MethodInstance<'j>>())
}

/// Adds one method instance to what a trace found, if another session could want it.
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

/// A method instance in the words of a profile, and which of the packages `of` it needs: one that loads
/// all that it refers to, or several that do so together.
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

/// What runs before a library can be linked: each session compiles it.
fn is_start(instance: MethodInstance<'_>) -> bool {
    instance.method().is_some_and(|method| {
        let name = method.name().as_str();
        name == "__init__" && method.argument_count() == 1
            || method.module().as_str() == "NativeCache" && matches!(name, "loaded" | "ended")
    })
}
