//! Which method instances kill the compiler? Tried in forked children, halving what dies.

use std::collections::HashMap;

use nativecache_image::content_hash;
use nativecache_julia::compiler::GeneratedCode;
use nativecache_store::fields::line;

use crate::assemble::assemble;
use crate::emission::{emit, Group};
use crate::error::BuildError;
use crate::instance_text::instance_text;
use crate::journal::Journal;
use crate::lifetime::{end_with_parent, wait, End};
use crate::request::Request;
use crate::status::{exclude, wanted, Status};
use crate::world::World;

/// Finds out which method instances kill the compiler, and writes the exclude file with them and those that it had.
pub(crate) fn isolate_culprits<'j>(
    world: &World<'j>,
    mut statuses: Vec<Status<'j>>,
    request: &Request,
    journal: &mut Journal,
) -> Result<(), BuildError> {
    exclude(world, &mut statuses, &request.excluded);
    journal.note("isolate");
    // SAFETY: a build process has one Julia thread; the children only run the code generator and leave.
    let dead = unsafe {
        culprits(&wanted(&statuses), &mut |part| {
            GeneratedCode::of(world.julia, part);
        })
    };
    let mut texts: Vec<String> = dead.into_iter().map(instance_text).collect();
    if texts.is_empty() {
        texts = killers_of_llvm(world, &mut statuses, request)?;
    }
    texts.sort();
    texts.dedup();
    let text: String = request.excluded.iter().chain(&texts).map(|text| line([text])).collect();
    std::fs::write(&request.exclude, text).map_err(BuildError::at(&request.exclude))
}

/// Those whose code LLVM cannot take.
fn killers_of_llvm<'j>(
    world: &World<'j>,
    statuses: &mut [Status<'j>],
    request: &Request,
) -> Result<Vec<String>, BuildError> {
    let emission = emit(world, statuses)?;
    let groups = emission.groups();
    let (mut module, tables) = assemble(emission, world, statuses, request)?;
    let finished = module.finish(&tables.exported, tables.slots, content_hash(&tables.bytes).0)?;
    let target = request.target()?;
    let after: HashMap<&str, &str> =
        finished.functions.iter().map(|f| (f.before.as_str(), f.after.as_str())).collect();
    let scratch = request.workdir.join("isolated.o");
    let mut attempt = |part: &[&Group<'j>]| {
        let keep: Vec<&str> = part
            .iter()
            .flat_map(|group| &group.functions)
            .filter_map(|name| after.get(name.as_str()).copied())
            .collect();
        let tried = module
            .isolate(&keep)
            .and_then(|()| module.optimise(&target))
            .and_then(|()| module.emit_object(&target, &scratch));
        // An error that is returned will be returned to the build as well.
        drop(tried);
    };
    // SAFETY: a build process has one Julia thread; the children only run LLVM and leave.
    let dead = unsafe { culprits(&groups.iter().collect::<Vec<_>>(), &mut attempt) };
    Ok(dead.into_iter().map(|group| instance_text(group.method_instance)).collect())
}

/// The items on which `attempt` does not come back. `attempt` runs in a forked child.
///
/// # Safety
/// The process has one thread that matters, and `attempt` needs no other.
unsafe fn culprits<T: Copy>(items: &[T], attempt: &mut dyn FnMut(&[T])) -> Vec<T> {
    // SAFETY: as the caller says.
    if items.is_empty() || unsafe { survives(|| attempt(items)) } {
        return Vec::new();
    }
    if items.len() == 1 {
        return items.to_vec();
    }
    let (left, right) = items.split_at(items.len() / 2);
    // SAFETY: as the caller says.
    let (mut found, more) = unsafe { (culprits(left, attempt), culprits(right, attempt)) };
    found.extend(more);
    // Only together do they kill: none of them can be kept.
    if found.is_empty() {
        items.to_vec()
    } else {
        found
    }
}

/// Runs `attempt` in a forked child; true if the child ended by itself.
///
/// # Safety
/// As [`culprits`].
unsafe fn survives(attempt: impl FnOnce()) -> bool {
    // SAFETY: the child runs `attempt` on the one thread that fork keeps and leaves without exit hooks;
    // the parent only waits.
    unsafe {
        match libc::fork() {
            0 => {
                end_with_parent();
                attempt();
                libc::_exit(0)
            }
            -1 => true,
            child => {
                // Of one that cannot be waited for nothing is known.
                wait(child).is_none_or(|end| end == End::Code(0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_culprit_and_nothing_else() {
        let items: Vec<u32> = (0..37).collect();
        // SAFETY: the children only compare and abort.
        let found = unsafe {
            culprits(&items, &mut |part| {
                if part.iter().any(|i| [3, 20, 36].contains(i)) {
                    // SAFETY: ends the child as an aborting compiler does.
                    libc::abort();
                }
            })
        };
        assert_eq!(found, [3, 20, 36]);
    }

    #[test]
    fn what_kills_only_together_goes_together() {
        // SAFETY: as above.
        let found = unsafe {
            culprits(&[1, 2, 3, 4], &mut |part: &[i32]| {
                if part.contains(&2) && part.contains(&3) {
                    // SAFETY: as above.
                    libc::abort();
                }
            })
        };
        assert_eq!(found, [1, 2, 3, 4]);
    }

    #[test]
    fn nobody_dies_of_nothing() {
        // SAFETY: the children do nothing.
        assert!(unsafe { culprits(&[1, 2, 3], &mut |_: &[i32]| ()) }.is_empty());
    }
}
