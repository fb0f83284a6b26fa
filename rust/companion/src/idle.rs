//! Companions that the sessions of a project load and never run.
//!
//! A companion holds what the sessions of all projects have needed of its packages, and loading it takes time. So each
//! project has a record in the store, `projects/<hash of its path>`: how many of its sessions in a row have loaded each
//! companion and run none of its code. src/companion/session.jl loads none for which these were too many, until a session of the
//! project has compiled what it holds.
//!
//! Whether code was run, the kernel tells: Julia 1.10 and the loader of libraries read nothing of it, so a page of it that is
//! mapped was jumped to. On 1.12 loading an image touches its code; there nothing is written down (`TELLS_WHAT_RUNS` of julia_1_12.jl).

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nativecache_store::fields::{escape, fields, lines};
use nativecache_store::profile::update;
use nativecache_store::{file, ProfileError};

/// A companion that the session has loaded.
pub(crate) struct Used {
    /// The name of its `.companion` file.
    pub(crate) name: String,
    pub(crate) image: PathBuf,
}

/// A companion that the session has not loaded, since others of its project did not run it.
pub(crate) struct Skipped {
    pub(crate) name: String,
    /// What is in it.
    pub(crate) held: HashSet<String>,
    /// What it was to hold and does not.
    pub(crate) left_out: HashSet<String>,
    /// Its packages, sorted.
    pub(crate) folders: Vec<String>,
}

impl Skipped {
    /// Is one of these statements, which belong to the packages `place` and which the session had to compile, in it, or will be
    /// when it is built again?
    pub(crate) fn is_missed(&self, place: &[&str], statements: &[&str]) -> bool {
        let same = self.folders.iter().map(String::as_str).eq(place.iter().copied());
        statements.iter().any(|one| self.held.contains(*one) || (same && !self.left_out.contains(*one)))
    }
}

/// How many sessions in a row have not run a companion, by its name.
type Counts = BTreeMap<String, u32>;

/// More companions than any project has packages. What a rebuilt package leaves behind goes then.
const MOST: usize = 1000;

/// Writes down what this session has run of the companions that it has loaded, and which of the others it has `missed`.
///
/// # Errors
/// If the record cannot be written.
pub(crate) fn note(
    record: &Path,
    project: &Path,
    used: &[Used],
    missed: &[&str],
) -> Result<(), Box<dyn std::error::Error>> {
    // The kernel gives a page of text at a time; `fs::read` reads on.
    let maps = fs::read("/proc/self/maps")?;
    let maps = String::from_utf8_lossy(&maps);
    let pages = File::open("/proc/self/pagemap")?;
    let before = read(record);
    let mut counts = before.clone().unwrap_or_default();
    for missed in missed {
        counts.remove(*missed);
    }
    for one in used {
        if has_run(&one.image, &maps, &pages) {
            counts.remove(&one.name);
        } else {
            *counts.entry(one.name.clone()).or_default() += 1;
        }
    }
    if counts.len() > MOST {
        counts.retain(|name, _| used.iter().any(|one| one.name == *name));
    }
    match before {
        Some(before) if before == counts => return Ok(()),
        None if counts.is_empty() => return Ok(()),
        None => {
            let folder = record.parent().ok_or("a record without a folder")?;
            file::create_folder(folder).map_err(ProfileError::at(folder))?;
            forget_what_is_gone(folder);
        }
        Some(_) => {}
    }
    let mut text = format!("project\t{}\n", escape(&project.to_string_lossy()));
    for (name, count) in counts {
        text.push_str(&format!("idle\t{count}\t{}\n", escape(&name)));
    }
    update::write(record, text.as_bytes())?;
    Ok(())
}

/// What a record says; `None` if there is none.
fn read(record: &Path) -> Option<Counts> {
    let bytes = file::read(record).ok()?;
    let mut counts = Counts::new();
    for line in lines(&String::from_utf8_lossy(&bytes)) {
        if let [kind, count, name] = &fields(line)[..] {
            if let ("idle", Ok(count)) = (kind.as_str(), count.parse()) {
                counts.insert(name.clone(), count);
            }
        }
    }
    Some(counts)
}

/// Removes the records of projects that are not there any more: of tests and of packages' tests, say.
fn forget_what_is_gone(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(bytes) = file::read(&entry.path()) else { continue };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let first = lines(&text).next().map(fields).unwrap_or_default();
        if let [kind, project] = &first[..] {
            if kind == "project" && matches!(Path::new(project).try_exists(), Ok(false)) {
                // One that stays is a few bytes.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Has the processor been in the code of this image? Where that cannot be known it counts as run.
fn has_run(image: &Path, maps: &str, pages: &File) -> bool {
    let Ok(image) = fs::canonicalize(image) else { return true };
    let ranges = code_of(&image.to_string_lossy(), maps);
    ranges.is_empty() || ranges.iter().any(|(start, end)| touched(pages, *start, *end).unwrap_or(true))
}

/// The executable mappings of a file, by the kernel's list.
fn code_of(image: &str, maps: &str) -> Vec<(usize, usize)> {
    maps.lines()
        .filter_map(|line| {
            let mut words = line.splitn(6, ' ');
            let (start, end) = words.next()?.split_once('-')?;
            let executable = words.next()?.as_bytes().get(2) == Some(&b'x');
            let path = words.nth(3)?.trim_start();
            (executable && path == image).then_some(())?;
            Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
        })
        .collect()
}

/// Is a page of these addresses there for this process, in memory or swapped out? `pages` is the kernel's table, a word for
/// each page.
fn touched(pages: &File, start: usize, end: usize) -> io::Result<bool> {
    // SAFETY: asks for a number, and has no other effect.
    let size = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })
        .ok()
        .filter(|size| *size > 0)
        .ok_or(io::ErrorKind::Unsupported)?;
    const THERE: u64 = 0b11 << 62;
    let mut words = vec![0; (end.saturating_sub(start) / size) * 8];
    pages.read_exact_at(&mut words, (start / size * 8) as u64)?;
    Ok(words
        .chunks_exact(8)
        .any(|word| <[u8; 8]>::try_from(word).is_ok_and(|word| u64::from_ne_bytes(word) & THERE != 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_by_the_whole_path() {
        let maps = "1000-3000 r--p 00000000 fe:00 12      /a b/c.so\n3000-5000 r-xp 00002000 fe:00 12      /a b/c.so\n\
                    6000-7000 r-xp 00002000 fe:00 13      /a b/c.so (deleted)\n8000-9000 r-xp 00000000 00:00 0\n";
        assert_eq!(code_of("/a b/c.so", maps), [(0x3000, 0x5000)]);
        assert!(code_of("/a", maps).is_empty());
    }

    #[test]
    fn the_kernel_knows_which_pages_were_touched() {
        let pages = File::open("/proc/self/pagemap").unwrap();
        let here = touched as *const () as usize / 4096 * 4096;
        assert!(touched(&pages, here, here + 4096).unwrap());
        assert!(!touched(&pages, 0, 4096).unwrap());
    }

    #[test]
    fn counts_begin_anew_when_something_was_run_or_missed() {
        let folder = std::env::temp_dir().join(format!("nativecache-idle-{}", std::process::id()));
        let record = folder.join("projects/0123");
        let idle = |image: &str| Used { name: "A.companion".to_owned(), image: image.into() };
        // Of a file that is not mapped nothing is known, so it counts as run, and there is nothing to write.
        note(&record, &folder, &[idle("/proc/version")], &[]).unwrap();
        assert!(!record.exists());
        fs::create_dir_all(record.parent().unwrap()).unwrap();
        fs::write(&record, "project\t/\nidle\t2\tA.companion\nidle\t9\tB.companion\nidle\tx\tC\nnoise\n")
            .unwrap();
        let counts = |pairs: &[(&str, u32)]| {
            pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Counts>()
        };
        assert_eq!(read(&record).unwrap(), counts(&[("A.companion", 2), ("B.companion", 9)]));
        note(&record, &folder, &[idle("/proc/version")], &[]).unwrap();
        assert_eq!(read(&record).unwrap(), counts(&[("B.companion", 9)]));
        note(&record, &folder, &[], &["B.companion"]).unwrap();
        assert_eq!(read(&record).unwrap(), counts(&[]));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_a_session_misses_is_in_the_companion_or_will_be() {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let skipped = Skipped {
            name: "A".to_owned(),
            held: set(&["in"]),
            left_out: set(&["never"]),
            folders: vec!["P-1".to_owned()],
        };
        assert!(skipped.is_missed(&["Q-2"], &["in"]));
        assert!(skipped.is_missed(&["P-1"], &["new"]));
        assert!(!skipped.is_missed(&["P-1"], &["never"]));
        assert!(!skipped.is_missed(&["Q-2"], &["new"]));
    }
}
