//! Functions of the runtime that still take bare pointers, for handles. Each is as sound as what it calls: the handles prove
//! that what is asked about is alive and that the collector is off, and nothing else runs in a build process.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Range;

use nativecache_image::{NodeId, PackageId};
use nativecache_julia::addresses::Objects;
use nativecache_julia::handles::{
    Binding, CodeInfo, CodeInstance, Method, MethodInstance, MethodTable, Module, Object, Symbol, TypeName,
};
use nativecache_julia::made_up_names::Generated;
use nativecache_julia::origin::Origins;
use nativecache_julia::paths::Paths;
use nativecache_julia::raw_packages::Packages;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;
use nativecache_runtime::edges::{constants, generator, record, untouched};
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::load::loaded;
use nativecache_runtime::objects::describe::Describer;
use nativecache_runtime::objects::foreign::ForeignTargets;
use nativecache_runtime::objects::{folded, inferred};
use nativecache_runtime::trace::{self, PackageName};

macro_rules! pointers {
    ($handles:expr) => {
        $handles.iter().map(|handle| handle.as_ptr()).collect::<Vec<_>>()
    };
}

/// The set of loaded packages with their build ids, as a number.
pub(crate) fn module_set(roots: &[Module<'_>]) -> u64 {
    // SAFETY: see the module.
    unsafe { loaded::set(&pointers!(roots)).0 }
}

/// What describes this process's objects; `in_sysimage` are the root modules that every session has.
pub(crate) fn describer(
    julia: &Stopped,
    modules: &[Module<'_>],
    methods: &[Method<'_>],
    in_sysimage: &[Module<'_>],
    sysimage: &Sysimage,
) -> Describer {
    // SAFETY: see the module.
    let paths = unsafe { Paths::collect(&pointers!(modules), &pointers!(methods)) };
    Describer::new(paths, pointers!(in_sysimage), sysimage, julia.world())
}

/// Which addresses are objects.
pub(crate) fn objects(modules: &[Module<'_>], sysimage: &Sysimage) -> Objects {
    // SAFETY: see the module; the collector keeps track since `nativecache_worker_start`.
    unsafe { Objects::collect(sysimage.clone(), &pointers!(modules)) }
}

/// The object at an address that code generation used as one; `None` if nothing vouches for it.
pub(crate) fn object_at<'j>(
    _julia: &'j Stopped,
    describer: &Describer,
    objects: &Objects,
    address: usize,
) -> Option<Object<'j>> {
    // SAFETY: what a path leads to, or the runtime says to be one, is an object.
    unsafe {
        let known = describer.paths().knows(address) || objects.is_object(address);
        known.then(|| Object::at(address))
    }
}

/// The binding that `address` points into: its module, its name, and how far behind its beginning.
pub(crate) fn binding_around<'j>(
    _julia: &'j Stopped,
    describer: &Describer,
    address: usize,
) -> Option<(Module<'j>, &'static str, u32)> {
    let (module, name, offset) = describer.paths().binding_around(address)?;
    // SAFETY: see the module.
    Some((unsafe { Module::from_ptr(module) }?, name, offset))
}

/// Descriptions of handles.
pub(crate) trait Describe {
    /// The node of an object.
    fn node(&mut self, object: Object<'_>) -> Result<NodeId, Undescribable>;
    /// The number of a root module's package.
    fn package_of(&mut self, root: Module<'_>) -> Result<PackageId, Undescribable>;
    /// The node of inferred code in compressed form.
    fn code(&mut self, of: CodeInstance<'_>, compressed: Object<'_>) -> Result<NodeId, Undescribable>;
}

impl Describe for Describer {
    fn node(&mut self, object: Object<'_>) -> Result<NodeId, Undescribable> {
        // SAFETY: see the module.
        unsafe { self.describe(object.as_ptr()) }
    }

    fn package_of(&mut self, root: Module<'_>) -> Result<PackageId, Undescribable> {
        // SAFETY: see the module.
        unsafe { self.package(root.as_ptr()) }
    }

    fn code(&mut self, of: CodeInstance<'_>, compressed: Object<'_>) -> Result<NodeId, Undescribable> {
        // SAFETY: see the module.
        unsafe { self.inferred_code(of.as_ptr(), compressed.as_ptr().cast()) }
    }
}

/// The inferred code of `code` that it keeps, or kept, as `data`.
pub(crate) fn code_info<'j>(code: CodeInstance<'j>, data: Object<'j>) -> Option<CodeInfo<'j>> {
    // SAFETY: see the module.
    unsafe { Object::from_ptr(inferred::code_info(code.as_ptr(), data.as_ptr())?) }?.as_kind()
}

/// Adds the C functions and variables that inferred code names.
pub(crate) fn add_foreign_targets(foreign: &mut ForeignTargets, code: CodeInfo<'_>) {
    // SAFETY: see the module.
    unsafe { foreign.add(code.object().as_ptr()) };
}

/// What inferred code computes with an address, if anything.
pub(crate) fn computes_with_address(code: CodeInfo<'_>) -> Option<String> {
    // SAFETY: see the module.
    unsafe { folded::computes_with_address(code.object().as_ptr()) }
}

/// One thing that code depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Target<'j> {
    /// A call, or an inlined call, of this method instance.
    Instance(MethodInstance<'j>),
    /// The methods that match this signature, perhaps none.
    Signature(Object<'j>),
}

impl<'j> Target<'j> {
    /// The signature that is matched against the method table.
    pub(crate) fn signature(self) -> Object<'j> {
        match self {
            Target::Instance(instance) => instance.types(),
            Target::Signature(signature) => signature,
        }
    }
}

/// What every method instance depends on.
pub(crate) struct Dependencies<'j>(record::Dependencies, PhantomData<&'j Stopped>);

impl<'j> Dependencies<'j> {
    /// Reads all backedges of this process.
    pub(crate) fn collect(methods: &[Method<'j>], tables: &[MethodTable<'j>]) -> Self {
        // SAFETY: see the module.
        let found = unsafe { record::Dependencies::collect(&pointers!(methods), &pointers!(tables)) };
        Self(found, PhantomData)
    }

    /// What `instance` depends on directly.
    pub(crate) fn of(&self, instance: MethodInstance<'j>) -> impl Iterator<Item = Target<'j>> + '_ {
        // SAFETY: see the module.
        self.0.of(instance.as_ptr()).iter().filter_map(|target| unsafe {
            match *target {
                record::Target::Instance(callee) => MethodInstance::from_ptr(callee).map(Target::Instance),
                record::Target::Signature(signature) => Object::from_ptr(signature).map(Target::Signature),
            }
        })
    }
}

/// The methods that match `signature` in `world`; `None` where Julia itself cannot tell.
pub(crate) fn matching_methods(signature: Object<'_>, world: usize) -> Option<Vec<Method<'_>>> {
    // SAFETY: see the module.
    unsafe {
        let found = record::matching_methods(signature.as_ptr(), world)?;
        found.into_iter().map(|method| Method::from_ptr(method)).collect()
    }
}

/// How many methods of the sysimage are live in a table, and a digest of all others.
pub(crate) fn table_digest(table: MethodTable<'_>, sysimage: &Sysimage, origins: &Origins) -> (u32, u64) {
    // SAFETY: see the module.
    unsafe { record::table_digest(table.as_ptr(), sysimage, origins) }
}

/// A type name by which another process finds each method table.
pub(crate) fn table_names<'j>(modules: &[Module<'j>]) -> HashMap<MethodTable<'j>, TypeName<'j>> {
    // SAFETY: see the module.
    unsafe {
        record::table_names(&pointers!(modules))
            .into_iter()
            .filter_map(|(table, name)| Some((MethodTable::from_ptr(table)?, TypeName::from_ptr(name)?)))
            .collect()
    }
}

/// Could this constant be bound anew, so that code would have folded another value?
pub(crate) fn can_change(binding: Binding<'_>) -> bool {
    // SAFETY: see the module.
    unsafe { constants::can_change(binding.address() as *mut _) }
}

/// The digest of the constant that `module` owns under this name.
pub(crate) fn constant_digest(module: Module<'_>, name: Symbol<'_>) -> Option<u64> {
    // SAFETY: see the module.
    unsafe { constants::digest(module.as_ptr(), name.as_ptr()) }
}

/// Does a generator make the code of this method instance, one that another session could run in another world?
pub(crate) fn is_generated(instance: MethodInstance<'_>, sysimage: &Range<usize>) -> bool {
    // SAFETY: see the module.
    unsafe { generator::is_generated(instance.as_ptr(), sysimage) }
}

/// The body that the generator of `instance` gives.
pub(crate) fn generated_body(instance: MethodInstance<'_>) -> Option<Object<'_>> {
    // SAFETY: see the module.
    unsafe { Object::from_ptr(generator::generated_body(instance.as_ptr())?) }
}

/// The body that the generator of `instance` gives, as a digest.
pub(crate) fn body_digest(instance: MethodInstance<'_>) -> Option<u64> {
    // SAFETY: see the module.
    unsafe { generator::body_digest(instance.as_ptr()) }
}

/// The packages that were restored before the one that the method of `instance` belongs to, as a digest.
pub(crate) fn seen_by(
    instance: MethodInstance<'_>,
    origins: &Origins,
    sysimage: &Range<usize>,
    roots: &[Module<'_>],
) -> Option<u64> {
    // SAFETY: see the module.
    unsafe { generator::seen_by(instance.as_ptr(), origins, sysimage, &pointers!(roots), None) }
}

/// The world of the newest method of the sysimage.
pub(crate) fn base_world(tables: &[MethodTable<'_>], sysimage: &Sysimage) -> usize {
    // SAFETY: see the module.
    unsafe { untouched::base_world(&pointers!(tables), sysimage) }
}

/// Does this table hold what the sysimage and packages' images bring, and nothing else?
pub(crate) fn is_original(
    table: MethodTable<'_>,
    sysimage: &Sysimage,
    origins: &Origins,
    base_world: usize,
) -> bool {
    // SAFETY: see the module.
    unsafe { untouched::is_original(table.as_ptr(), sysimage, origins, base_world) }
}

/// Calls `body` with the names of this build for what the parser made up, among these methods.
pub(crate) fn with_made_up_names<T>(
    methods: &[Method<'_>],
    sysimage: Option<&Sysimage>,
    body: impl FnOnce(&mut Generated<'_>) -> T,
) -> T {
    let methods = pointers!(methods);
    body(&mut Generated::new(&methods, sysimage))
}

/// The packages among the root modules.
pub(crate) fn packages(roots: &[Module<'_>], sysimage: Option<&Sysimage>) -> Packages {
    // SAFETY: see the module.
    unsafe { Packages::new(&pointers!(roots), sysimage) }
}

/// A method instance in the words of a profile, if it has such a text, and which of the packages `of` it needs.
pub(crate) fn statement_of(
    instance: MethodInstance<'_>,
    of: &[Module<'_>],
    packages: &mut Packages,
    generated: &mut Generated<'_>,
) -> (Option<String>, Vec<PackageName>) {
    // SAFETY: see the module.
    let (text, owners) =
        unsafe { trace::statement_of(instance.as_ptr(), &pointers!(of), packages, generated) };
    (text.ok(), owners)
}
