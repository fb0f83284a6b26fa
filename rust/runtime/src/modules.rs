//! Root modules of this session and what identifies a set of them.

use jl_sys::{jl_array_t, jl_module_t};
use nativecache_image::{content_hash, Image, PackageId, Reason};

use crate::error::Rejected;
use crate::julia::jl_module_build_id;
use crate::value::{array_items, is, is_root_module, module_name};

/// A root module's uuid as `Package.uuid` has it.
///
/// # Safety
/// `module` is a live module.
pub unsafe fn uuid(module: *mut jl_module_t) -> [u8; 16] {
    let mut bytes = [0; 16];
    // SAFETY: as the caller says.
    unsafe {
        bytes[..8].copy_from_slice(&(*module).uuid.hi.to_be_bytes());
        bytes[8..].copy_from_slice(&(*module).uuid.lo.to_be_bytes());
    }
    bytes
}

/// The root modules in a Julia array of modules, and Core, Base and Main.
///
/// # Safety
/// `array` is a live array of boxed elements.
pub unsafe fn roots(array: *mut jl_array_t) -> Vec<*mut jl_module_t> {
    // SAFETY: as the caller says; items are checked to be modules.
    unsafe {
        let mut out = vec![jl_sys::jl_core_module, jl_sys::jl_base_module, jl_sys::jl_main_module];
        for item in array_items(array) {
            if item.is_null() || !is(*item, jl_sys::jl_module_type) {
                continue;
            }
            let module = item.cast::<jl_module_t>();
            if is_root_module(module) && !out.contains(&module) {
                out.push(module);
            }
        }
        out
    }
}

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

/// The module of each package of an image, `None` where it is not loaded.
///
/// # Safety
/// `modules` are live root modules.
pub unsafe fn find_packages(
    image: &Image<'_>,
    modules: &[*mut jl_module_t],
) -> Result<Vec<Option<*mut jl_module_t>>, Rejected> {
    let mut out = Vec::new();
    for index in 0..image.package_count() {
        let package =
            image.package(PackageId(index)).map_err(|e| Rejected::new(Reason::Malformed, e.to_string()))?;
        // SAFETY: as the caller says.
        let found = unsafe {
            modules.iter().copied().find(|m| uuid(*m) == package.uuid && module_name(*m) == package.name)
        };
        if let Some(module) = found {
            // SAFETY: live.
            let now = unsafe { jl_module_build_id(module) };
            // Main is made anew in every process; nothing of it is ever described.
            if now != package.build_id {
                return Err(Rejected::new(
                    Reason::PackageBuild,
                    format!("{}: built with {:x}, this session has {now:x}", package.name, package.build_id),
                ));
            }
        }
        out.push(found);
    }
    Ok(out)
}
