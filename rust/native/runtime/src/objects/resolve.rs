//! Description -> object, in a session. The counterpart of [`crate::objects::describe`].
//!
//! Nodes are resolved once, in order, so that the operands of each are at hand. Nothing here may
//! throw a Julia exception through Rust frames: what can throw in Julia goes through `jl_call`,
//! which catches; for the rest the conditions of the C functions are checked first.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use nativecache_image::{Image, NodeId};
use nativecache_julia::handles::make::Apply;
use nativecache_julia::handles::{Array, Kind, MethodInstance, Module, Object};
use nativecache_julia::kept::Kept;
use nativecache_julia::method_roots::Roots;
use nativecache_julia::origin::Origins;
use nativecache_julia::specialisations::Specialisations;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::symbols::Names;
use nativecache_julia::sysimage::{Places, Sysimage};
use smallvec::SmallVec;

use crate::edges::tables::MethodTables;
use crate::load::loaded::Loaded;

mod nodes;
mod slots;
mod trouble;

pub use slots::c_symbol;
pub use trouble::{Missing, Trouble};

/// The nodes of one image as objects of this session.
pub struct Resolver {
    /// `None` where there is trouble.
    values: Vec<Option<Kept>>,
    troubles: HashMap<usize, Trouble>,
    world: usize,
    origins: Origins,
    tables: MethodTables,
    specialisations: RefCell<Specialisations>,
    roots: RefCell<Roots>,
    names: Names,
    /// Where the sysimage's objects lie.
    sysimage: Range<usize>,
    /// Those that are known by their place.
    places: Places,
}

type Resolved<'j> = Result<Object<'j>, Trouble>;

/// Few objects, as parameters and fields are.
type Objects<'j> = SmallVec<[Object<'j>; 8]>;

impl Resolver {
    /// Nothing resolved yet.
    pub fn new(image: &Image<'_>, sysimage: Option<&Sysimage>, world: usize) -> Self {
        let places = sysimage.map_or_else(Places::default, Places::of);
        let sysimage = sysimage.map_or(0..0, |sysimage| sysimage.data.clone());
        Resolver {
            values: vec![None; image.node_count() as usize],
            troubles: HashMap::new(),
            world,
            origins: Origins::at_load(sysimage.clone()),
            tables: MethodTables::new(sysimage.clone(), world),
            specialisations: RefCell::new(Specialisations::new(places.range())),
            roots: RefCell::default(),
            names: Names::default(),
            sysimage,
            places,
        }
    }

    /// Resolves every node that has no value yet. `packages[p]` says where package `p` stands; `pristine`,
    /// that all method tables are as they were at build.
    ///
    /// # Errors
    /// If Julia has no builtin for types with parameters. What single nodes miss, [`Resolver::object`] says.
    ///
    /// # Safety
    /// Before the collector runs again, what [`Resolver::rooted`] gives can be reached from a root, and then for as long as
    /// this is used.
    pub unsafe fn run(
        &mut self,
        julia: &Stopped,
        image: &Image<'_>,
        packages: &[Loaded],
        world: usize,
        pristine: bool,
    ) -> Result<(), Trouble> {
        let apply = Apply::new(julia).ok_or(Missing::ApplyType)?;
        self.world = world;
        self.tables.enter(world);
        self.tables.set_pristine(pristine);
        self.troubles.clear();
        self.names = Names::of(self.packages_outside(julia, packages), image.node_count() as usize);
        for index in 0..self.values.len() {
            if self.values[index].is_some() {
                continue;
            }
            let id = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
            let resolved = match image.node(id) {
                Ok(node) => nodes::Stage { resolver: self, julia, packages, apply }.resolve(&node),
                Err(error) => Err(Missing::Malformed(error.to_string()).into()),
            };
            match resolved {
                // SAFETY: as the caller says.
                Ok(object) => self.values[index] = Some(unsafe { Kept::new(object) }),
                Err(trouble) => drop(self.troubles.insert(index, trouble)),
            }
        }
        Ok(())
    }

    /// The root modules of loaded packages outside of the sysimage.
    fn packages_outside<'j, 'a>(
        &self,
        julia: &'j Stopped,
        packages: &'a [Loaded],
    ) -> impl Iterator<Item = Module<'j>> + use<'j, 'a> {
        let sysimage = self.sysimage.clone();
        let modules = packages.iter().filter_map(move |package| nodes::module_of(julia, package));
        modules.filter(move |module| !sysimage.contains(&module.address()))
    }

    /// The object of a node, or why there is none.
    ///
    /// # Errors
    /// If the session has no such object.
    pub fn object<'j>(&self, julia: &'j Stopped, id: NodeId) -> Resolved<'j> {
        Ok(self.kept(id)?.get(julia))
    }

    /// The object of a node, for use without a look at it.
    ///
    /// # Errors
    /// If the session has no such object.
    pub fn kept(&self, id: NodeId) -> Result<Kept, Trouble> {
        match self.values.get(id.index()) {
            Some(Some(kept)) => Ok(*kept),
            Some(None) => Err(self.trouble(id)),
            None => Err(Missing::Node.into()),
        }
    }

    #[cold]
    fn trouble(&self, id: NodeId) -> Trouble {
        self.troubles.get(&id.index()).cloned().unwrap_or(Trouble::Missing(Missing::NotResolved))
    }

    /// The object of a node, if it is of the kind that `name` names.
    fn kind<'j, K: Kind<'j>>(
        &self,
        julia: &'j Stopped,
        id: NodeId,
        name: &'static str,
    ) -> Result<K, Trouble> {
        self.object(julia, id)?.as_kind().ok_or(Trouble::Missing(Missing::Kind(name)))
    }

    fn module<'j>(&self, julia: &'j Stopped, id: NodeId) -> Result<Module<'j>, Trouble> {
        self.kind(julia, id, "module")
    }

    /// The method instance of a node.
    ///
    /// # Errors
    /// If the session has no such object, or it is something else.
    pub fn instance<'j>(&self, julia: &'j Stopped, id: NodeId) -> Result<MethodInstance<'j>, Trouble> {
        self.kind(julia, id, "method instance")
    }

    /// Where methods came from.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The method tables as they are now.
    pub fn tables(&self) -> &MethodTables {
        &self.tables
    }

    /// An array of all values, to be rooted by Julia.
    pub fn rooted<'j>(&self, julia: &'j Stopped) -> Array<'j> {
        let found: Vec<Option<Object<'j>>> =
            self.values.iter().flatten().map(|kept| Some(kept.get(julia))).collect();
        Array::of_any(julia, found.into_iter())
    }
}
