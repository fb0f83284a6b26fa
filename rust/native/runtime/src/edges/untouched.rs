//! Has anything but the images of packages changed the method tables since the sysimage was loaded?
//!
//! Every definition and deletion of a method takes a world of its own, and the restoring of a package's
//! image takes one as a whole (gf.c, `jl_method_table_insert`; dump.c, `_jl_restore_incremental`). If the
//! worlds since the sysimage are those in which the loaded packages were restored, one each, then there was
//! nothing else. With the packages of the build, and no more at build either, the method tables are those
//! of the build, without a look at any of them.

use jl_sys::jl_module_t;
use nativecache_mutation::mutation;

use crate::edges::tables::Scan;
use crate::load::loaded;
use nativecache_image::Image;
use nativecache_julia::inspect;
use nativecache_julia::origin::Origins;
use nativecache_julia::sysimage::Sysimage;

/// The world of the newest method of the sysimage, counting deleted ones until their end; 0 if there is none.
///
/// # Safety
/// `tables` are all live method tables; nobody changes one meanwhile.
pub unsafe fn base_world(tables: &[*mut jl_sys::jl_methtable_t], sysimage: &Sysimage) -> usize {
    let mut newest = 0;
    for table in tables {
        // SAFETY: as the caller says.
        unsafe {
            inspect::visit_typemap((**table).defs, &mut |entry| {
                if sysimage.data.contains(&(entry as usize)) {
                    newest = newest.max((*entry).min_world);
                }
            });
        }
    }
    newest
}

/// Does this table hold what the sysimage and packages' images bring, and nothing else?
///
/// # Safety
/// As [`Scan::of`]; on a Julia thread, collector off.
pub unsafe fn is_original(
    table: *mut jl_sys::jl_methtable_t,
    sysimage: &Sysimage,
    origins: &Origins,
    base_world: usize,
) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        let scan = Scan::of(table, &sysimage.data);
        scan.last_end <= base_world && scan.others.iter().all(|method| origins.is_restored(*method))
    }
}

/// Are the method tables of this session, in world `now`, those that `image` was built with?
///
/// # Safety
/// On a Julia thread, collector off; `loaded` are the root modules of this session.
pub unsafe fn holds(
    image: &Image<'_>,
    loaded: &[*mut jl_module_t],
    sysimage: &Sysimage,
    origins: &Origins,
    now: usize,
) -> bool {
    let Ok(base) = usize::try_from(image.base_world()) else { return false };
    if base == 0 {
        return false;
    }
    // SAFETY: as the caller says.
    unsafe {
        let set = loaded::set(loaded).0;
        let known = (0..image.module_set_count())
            .any(|index| image.module_set(index).is_ok_and(|recorded| recorded.hash == set));
        if !known {
            return false;
        }
        let mut worlds = Vec::new();
        for module in loaded {
            if sysimage.data.contains(&(*module as usize)) {
                continue;
            }
            let Some(world) = origins.restored_in(*module) else { return false };
            worlds.push(world);
        }
        worlds.sort_unstable();
        mutation!(
            "edges: every session has the tables of the build",
            worlds.into_iter().eq(base + 1..=now),
            true
        )
    }
}
