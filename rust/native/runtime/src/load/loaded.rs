//! Where the packages of a library stand in this session, and what identifies a set of packages.

use jl_sys::jl_module_t;
use nativecache_image::{content_hash, Image, PackageId};
use nativecache_julia::root_modules::uuid;
use nativecache_mutation::mutation;

use nativecache_julia::julia_1_5::jl_module_build_id;
use nativecache_julia::object::module_name;

/// The set of packages with their build ids: a hash, and the names in words.
///
/// # Safety
/// `modules` are live root modules.
pub unsafe fn set(modules: &[*mut jl_module_t]) -> (u64, String) {
    // SAFETY: as the caller says. Core, Base and Main stand in the key already.
    let mut members: Vec<([u8; 16], u64, &str)> = unsafe {
        modules
            .iter()
            .filter(|m| (***m).uuid.hi != 0 || (***m).uuid.lo != 0)
            .map(|m| (uuid(*m), jl_module_build_id(*m), module_name(*m)))
            .collect()
    };
    members.sort_unstable();
    let mut bytes = Vec::with_capacity(members.len() * 24);
    for (uuid, build_id, _) in &members {
        bytes.extend(uuid);
        bytes.extend(build_id.to_le_bytes());
    }
    let hash = content_hash(&bytes).0;
    let [a, b, c, d, e, f, g, h, ..] = hash;
    let names: Vec<&str> = members.iter().map(|(_, _, name)| *name).collect();
    (u64::from_le_bytes([a, b, c, d, e, f, g, h]), names.join(" "))
}

/// Where a package of an image stands in this session.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// It is loaded, at the build id that the image names.
    Yes(*mut jl_module_t),
    /// It is not loaded.
    Missing,
    /// It is loaded, but was precompiled again; in words.
    OtherBuild(String),
}

/// Where each package of an image stands.
///
/// # Safety
/// `modules` are live root modules.
pub unsafe fn find_packages(image: &Image<'_>, modules: &[*mut jl_module_t]) -> Vec<Loaded> {
    (0..image.package_count())
        .map(|index| {
            let Ok(package) = image.package(PackageId(index)) else { return Loaded::Missing };
            // SAFETY: as the caller says.
            unsafe {
                let same =
                    |m: &&*mut jl_module_t| uuid(**m) == package.uuid && module_name(**m) == package.name;
                let Some(module) = modules.iter().find(same) else { return Loaded::Missing };
                let now = jl_module_build_id(*module);
                if mutation!("packages: any build of one will do", now == package.build_id, true) {
                    return Loaded::Yes(*module);
                }
                Loaded::OtherBuild(format!(
                    "{}: built with {:x}, this session has {now:x}",
                    package.name, package.build_id
                ))
            }
        })
        .collect()
}
