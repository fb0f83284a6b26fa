//! Has anything but the images of packages changed the method tables since the sysimage was loaded?
//!
//! Every definition and deletion of a method takes a world of its own, and the restoring of a package's
//! image takes one as a whole (gf.c, `jl_method_table_insert`; dump.c, `_jl_restore_incremental`). If the
//! worlds since the sysimage are those in which the loaded packages were restored, one each, then there was
//! nothing else. With the packages of the build, and no more at build either, the method tables are those
//! of the build, without a look at any of them.

use nativecache_image::Image;
use nativecache_julia::handles::{MethodTable, Module};
use nativecache_julia::origin::Origins;
use nativecache_julia::sysimage::Sysimage;
use nativecache_mutation::mutation;

use crate::edges::tables::Scan;
use crate::load::loaded;

/// The world of the newest method of the sysimage, counting deleted ones until their end; 0 if there is none. `tables` are
/// all method tables.
pub fn base_world(tables: &[MethodTable<'_>], sysimage: &Sysimage) -> usize {
    let mut newest = 0;
    for table in tables {
        table.visit_entries(|entry| {
            if sysimage.data.contains(&entry.address()) {
                newest = newest.max(entry.min_world());
            }
        });
    }
    newest
}

/// Does this table hold what the sysimage and packages' images bring, and nothing else?
pub fn is_original(
    table: MethodTable<'_>,
    sysimage: &Sysimage,
    origins: &Origins,
    base_world: usize,
) -> bool {
    let scan = Scan::of(table, &sysimage.data);
    scan.last_end <= base_world && scan.others.iter().all(|method| origins.came_with_image(*method))
}

/// Are the method tables of this session, in world `now`, those that `image` was built with? `loaded` are its root modules.
pub fn holds(
    image: &Image<'_>,
    loaded: &[Module<'_>],
    sysimage: &Sysimage,
    origins: &Origins,
    now: usize,
) -> bool {
    let Ok(base) = usize::try_from(image.base_world()) else { return false };
    if base == 0 {
        return false;
    }
    let set = loaded::hash_of_set(loaded);
    let known = (0..image.module_set_count())
        .any(|index| image.module_set(index).is_ok_and(|recorded| recorded.hash == set));
    if !known {
        return false;
    }
    let mut worlds = Vec::new();
    for module in loaded {
        if sysimage.data.contains(&module.address()) {
            continue;
        }
        let Some(world) = origins.world_of_image(*module) else { return false };
        worlds.push(world);
    }
    worlds.sort_unstable();
    mutation!("edges: every session has the tables of the build", worlds.into_iter().eq(base + 1..=now), true)
}
