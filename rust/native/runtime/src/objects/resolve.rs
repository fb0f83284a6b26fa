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
use nativecache_julia::symbols::Symbols;
use nativecache_julia::sysimage::{Places, Sysimage};

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
    origins: Origins,
    specialisations: RefCell<Specialisations>,
    roots: RefCell<Roots>,
    /// Where the sysimage's objects lie.
    sysimage: Range<usize>,
    /// Those that are known by their place.
    places: Places,
}

/// What nodes and slots are resolved against: the session, in one stretch of work.
pub struct Surroundings<'a, 'j> {
    julia: &'j Stopped,
    /// Where the packages of the image stand.
    packages: &'a [Loaded<'j>],
    /// The newest world.
    world: usize,
    /// The method tables in that world.
    tables: &'a MethodTables<'j>,
    /// The symbols of the packages.
    symbols: Symbols<'j>,
    apply: Apply<'j>,
}

type Resolved<'j> = Result<Object<'j>, Trouble>;

impl Resolver {
    /// Nothing resolved yet.
    pub fn new(image: &Image<'_>, sysimage: Option<&Sysimage>) -> Self {
        let places = sysimage.map_or_else(Places::default, Places::of);
        let sysimage = sysimage.map_or(0..0, |sysimage| sysimage.data.clone());
        Resolver {
            values: vec![None; image.node_count() as usize],
            troubles: HashMap::new(),
            origins: Origins::at_load(sysimage.clone()),
            specialisations: RefCell::new(Specialisations::new(places.range())),
            roots: RefCell::default(),
            sysimage,
            places,
        }
    }

    /// The session as it is now. `packages[p]` says where package `p` of the image stands; `tables` are
    /// the method tables in `world`.
    ///
    /// # Errors
    /// If Julia has no builtin that gives types their parameters.
    pub fn surroundings<'a, 'j>(
        &self,
        julia: &'j Stopped,
        packages: &'a [Loaded<'j>],
        world: usize,
        tables: &'a MethodTables<'j>,
    ) -> Result<Surroundings<'a, 'j>, Missing> {
        let apply = Apply::new(julia).ok_or(Missing::ApplyType)?;
        let modules = packages.iter().filter_map(Loaded::module);
        let outside = modules.filter(|module| !self.sysimage.contains(&module.address()));
        // To walk over more names than there are nodes is not worth it.
        let symbols = Symbols::of(outside, self.values.len());
        Ok(Surroundings { julia, packages, world, tables, symbols, apply })
    }

    /// Resolves every node that has no value yet.
    ///
    /// # Safety
    /// Before the collector runs again, what [`Resolver::rooted`] gives can be reached from a root, and then for as long as
    /// this is used.
    pub unsafe fn run(&mut self, image: &Image<'_>, around: &Surroundings<'_, '_>) {
        self.troubles.clear();
        for index in 0..self.values.len() {
            if self.values[index].is_some() {
                continue;
            }
            let id = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
            let resolved = match image.node(id) {
                Ok(node) => nodes::Stage { resolver: self, around }.resolve(&node),
                Err(error) => Err(Missing::Malformed(error.to_string()).into()),
            };
            match resolved {
                // SAFETY: as the caller says.
                Ok(object) => self.values[index] = Some(unsafe { Kept::new(object) }),
                Err(trouble) => drop(self.troubles.insert(index, trouble)),
            }
        }
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

    /// An array of all values, to be rooted by Julia.
    pub fn rooted<'j>(&self, julia: &'j Stopped) -> Array<'j> {
        let found: Vec<Option<Object<'j>>> =
            self.values.iter().flatten().map(|kept| Some(kept.get(julia))).collect();
        Array::of_any(julia, found.into_iter())
    }
}
