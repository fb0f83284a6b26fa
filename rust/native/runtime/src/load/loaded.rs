//! Where the packages of a library stand in this session, and what identifies a set of packages.

use std::fmt;

use nativecache_image::{content_hash, Image, PackageId};
use nativecache_julia::handles::Module;
use nativecache_mutation::mutation;

/// A hash of the packages among these root modules, with their build ids.
pub fn hash_of_set(modules: &[Module<'_>]) -> u64 {
    // Core, Base and Main stand in the key already.
    let mut members: Vec<([u8; 16], u64)> = modules
        .iter()
        .map(|module| (module.uuid(), module.build_id()))
        .filter(|(uuid, _)| *uuid != [0; 16])
        .collect();
    members.sort_unstable();
    let mut bytes = Vec::with_capacity(members.len() * 24);
    for (uuid, build_id) in &members {
        bytes.extend(uuid);
        bytes.extend(build_id.to_le_bytes());
    }
    let hash = content_hash(&bytes).0;
    hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Where a package of an image stands in this session.
#[derive(Clone, Debug)]
pub enum Loaded<'j> {
    /// It is loaded, at the build id that the image names.
    Yes(Module<'j>),
    /// It is not loaded.
    Missing,
    /// It is loaded, but was precompiled again.
    OtherBuild(OtherBuild),
}

impl<'j> Loaded<'j> {
    /// The root module of the package, if it is loaded at the build that the image names.
    pub fn module(&self) -> Option<Module<'j>> {
        match self {
            Loaded::Yes(module) => Some(*module),
            Loaded::Missing | Loaded::OtherBuild(_) => None,
        }
    }

    /// Is the package not there?
    pub fn is_missing(&self) -> bool {
        matches!(self, Loaded::Missing)
    }
}

/// A package that was precompiled again since a library was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherBuild {
    /// Its name.
    pub package: String,
    /// The build id that the library knows.
    pub at_build: u64,
    /// The build id of the one that is loaded.
    pub now: u64,
}

impl fmt::Display for OtherBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OtherBuild { package, at_build, now } = self;
        write!(f, "{package}: built with {at_build:x}, this session has {now:x}")
    }
}

/// Where each package of an image stands, in the image's order; `modules` are the session's root modules.
pub fn find_packages<'j>(image: &Image<'_>, modules: &[Module<'j>]) -> Vec<Loaded<'j>> {
    (0..image.package_count())
        .map(|index| {
            let Ok(package) = image.package(PackageId(index)) else { return Loaded::Missing };
            let same =
                |module: &&Module<'j>| module.uuid() == package.uuid && module.as_str() == package.name;
            let Some(module) = modules.iter().find(same) else { return Loaded::Missing };
            let now = module.build_id();
            if mutation!("packages: any build of one will do", now == package.build_id, true) {
                return Loaded::Yes(*module);
            }
            Loaded::OtherBuild(OtherBuild {
                package: package.name.to_owned(),
                at_build: package.build_id,
                now,
            })
        })
        .collect()
}
