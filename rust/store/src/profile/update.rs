//! Changing a profile on disk.
//!
//! `<folder>/<layer>.profile` is only ever replaced by a rename, under an exclusive `flock` of
//! `<folder>/lock`, which the kernel releases when its holder dies, so there are no stale locks. A process that does not
//! get the lock in time writes its methods into a separate file, `<layer>.pending-<unique>`, which the next process
//! merges. So nothing is lost, and nobody waits for long.

use nativecache_mutation::mutation;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nativecache_signals::with_failing_writes;

use super::limits::{self, Limits};
use super::merge::{merge, Mode};
use super::text::Profile;
use crate::error::ProfileError;
use crate::file;

/// How long a session that ends waits for locks in total, however many profiles it has.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often to retry something that another process undoes at the same moment.
const RACES: usize = 100;

/// The outcome of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// The profile was merged into the file.
    Merged {
        /// How many methods the file has now.
        methods: usize,
        /// How many of them are new.
        new: usize,
    },
    /// Others held the lock for too long. The profile is in a pending file, and counts already.
    Pending,
}

/// The file of a layer.
pub fn path(folder: &Path, layer: &str) -> Result<PathBuf, ProfileError> {
    let valid = !layer.is_empty() && layer.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !valid {
        return Err(ProfileError::BadLayer(layer.to_owned()));
    }
    Ok(folder.join(format!("{layer}.profile")))
}

/// Merges `found` into a layer's file.
pub fn update(
    folder: &Path,
    layer: &str,
    found: &Profile,
    mode: Mode,
    limits: Limits,
) -> Result<Updated, ProfileError> {
    static WAITED_IN_VAIN: AtomicU64 = AtomicU64::new(0);
    let patience = match mode {
        Mode::Add => PATIENCE.saturating_sub(Duration::from_micros(WAITED_IN_VAIN.load(Ordering::Relaxed))),
        Mode::Replace | Mode::Measure => PATIENCE,
    };
    let started = Instant::now();
    let updated = update_within(patience, folder, layer, found, mode, limits);
    if matches!(updated, Ok(Updated::Pending)) {
        let waited = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        WAITED_IN_VAIN.fetch_add(waited, Ordering::Relaxed);
    }
    updated
}

fn update_within(
    patience: Duration,
    folder: &Path,
    layer: &str,
    found: &Profile,
    mode: Mode,
    limits: Limits,
) -> Result<Updated, ProfileError> {
    let target = path(folder, layer)?;
    for _ in 1..RACES {
        match update_once(patience, folder, layer, &target, found, mode, limits) {
            // Another process has just removed the folder, because it was empty or its package is gone. `create_dir`
            // can also report `AlreadyExists` if the folder is removed right after the attempt.
            Err(ProfileError::Io { cause, .. })
                if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {}
            other => return other,
        }
    }
    update_once(patience, folder, layer, &target, found, mode, limits)
}

fn update_once(
    patience: Duration,
    folder: &Path,
    layer: &str,
    target: &Path,
    found: &Profile,
    mode: Mode,
    limits: Limits,
) -> Result<Updated, ProfileError> {
    file::create_folder(folder).map_err(ProfileError::at(folder))?;
    let Some(_lock) = lock(folder, patience)? else {
        // Measurements of a build are not worth a pending file, which would also be merged like a session's.
        if mode != Mode::Measure {
            leave_pending(folder, layer, found)?;
        }
        return Ok(Updated::Pending);
    };
    sweep(folder);
    let mut known = read(target)?;
    let mut pending = pending_files(folder, layer);
    pending.sort_unstable();
    for path in &pending {
        // A file that cannot be read is left for the next process.
        if let Ok(waiting) = read(path) {
            merge(&mut known, &waiting, Mode::Add);
        }
    }
    let before: Vec<String> = known.entries.keys().cloned().collect();
    merge(&mut known, found, mode);
    limits::apply(&mut known, limits);
    let new = known.entries.keys().filter(|name| before.binary_search(name).is_err()).count();
    write(target, known.to_string().as_bytes())?;
    for path in pending {
        // If the file cannot be removed, it is merged again later, and its methods are counted twice.
        let _ = fs::remove_file(path);
    }
    Ok(Updated::Merged { methods: known.entries.len(), new })
}

/// A layer, together with its pending files.
pub fn load(folder: &Path, layer: &str) -> Result<Profile, ProfileError> {
    let target = path(folder, layer)?;
    // Pending files first: if one is merged meanwhile, its methods are in the file, which is read afterwards.
    let waiting: Vec<Profile> =
        pending_files(folder, layer).iter().filter_map(|path| read(path).ok()).collect();
    let mut known = read(&target)?;
    waiting.iter().for_each(|waiting| merge(&mut known, waiting, Mode::Add));
    Ok(known)
}

/// Reads a profile. A missing file is an empty profile. Lines that are not UTF-8 are ignored.
fn read(path: &Path) -> Result<Profile, ProfileError> {
    match file::read_own(path) {
        Ok(bytes) => Ok(Profile::parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Profile::default()),
        Err(error) => Err(ProfileError::Io { path: path.to_owned(), cause: error }),
    }
}

fn leave_pending(folder: &Path, layer: &str, found: &Profile) -> Result<(), ProfileError> {
    let path = folder.join(format!("{layer}.pending-{}", unique()));
    write(&path, found.to_string().as_bytes())
}

fn pending_files(folder: &Path, layer: &str) -> Vec<PathBuf> {
    let start = format!("{layer}.pending-");
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.starts_with(&start) && !name.contains(".tmp-"))
        })
        .map(|entry| entry.path())
        .collect()
}

/// Takes the lock of a folder, held until the file is dropped; `None` if others hold it for too long.
fn lock(folder: &Path, patience: Duration) -> Result<Option<File>, ProfileError> {
    let path = folder.join("lock");
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(ProfileError::at(&path))?;
        match file.try_lock() {
            // `clear!` removes files while they are locked. The next process must lock the new file.
            Ok(()) if is_at(&file, &path) => return Ok(Some(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if started.elapsed() < patience => {
                sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(16));
            }
            Err(TryLockError::WouldBlock) => return Ok(None),
            // A file system without locks: a pending file is the safest way there.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

/// Is the open file still the one at this path?
fn is_at(file: &File, path: &Path) -> bool {
    let place = |meta: fs::Metadata| (meta.dev(), meta.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(mine), Ok(there)) => place(mine) == place(there),
        _ => false,
    }
}

/// A name that no other process and no other call uses.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    format!("{}-{nanos}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Writes a whole file beside its place and renames it there, so that a reader sees the complete new file or the old
/// one. If the file is larger than allowed (`ulimit -f`), this is an error, as on a full disk.
pub fn write(target: &Path, bytes: &[u8]) -> Result<(), ProfileError> {
    let temporary = target.with_extension(format!("tmp-{}", unique()));
    let result = file::create(&temporary)
        .and_then(|mut out| {
            mutation!("ulimit -f: the signal comes", with_failing_writes, nativecache_mutation::bare)(|| {
                out.write_all(bytes)
            })
        })
        .and_then(|()| fs::rename(&temporary, target));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result.map_err(ProfileError::at(target))
}

/// Removes leftovers of processes that died while writing.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        // The name is `tmp-<process>-...`, from `unique`.
        let Some((_, unique)) = name.to_str().and_then(|name| name.split_once(".tmp-")) else { continue };
        let process = unique.split('-').next().unwrap_or_default();
        let ended = !Path::new("/proc").join(process).exists();
        let Ok(modified) = entry.metadata().and_then(|m| m.modified()) else { continue };
        // Processes of other machines are not visible here, and without `/proc` none is. But nobody writes for a minute.
        // The age is negative if the clock was set back.
        if ended && modified.elapsed().map_or(true, |age| age > Duration::from_secs(60)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::Stats;
    use super::*;
    use tempfile::TempDir;

    fn folder() -> TempDir {
        tempfile::Builder::new().prefix("nativecache profile ").tempdir().unwrap()
    }

    fn one(statement: &str) -> Profile {
        let mut profile = Profile::default();
        profile.add(statement, Stats::default());
        profile
    }

    #[test]
    fn sessions_that_end_at_once_lose_nothing() {
        let own = folder();
        let folder = own.path();
        std::thread::scope(|scope| {
            for i in 0..20 {
                // Some have no patience at all, so that both ways are taken.
                let patience = if i % 2 == 0 { PATIENCE } else { Duration::ZERO };
                scope.spawn(move || {
                    update_within(
                        patience,
                        folder,
                        "trace",
                        &one(&format!("Tuple{{{i}}}")),
                        Mode::Add,
                        Limits::default(),
                    )
                });
            }
        });
        let known = load(folder, "trace").unwrap();
        assert_eq!((known.entries.len(), known.count("sessions")), (20, 20));
        // The next one leaves a single file.
        update(folder, "trace", &one("Tuple{20}"), Mode::Add, Limits::default()).unwrap();
        assert_eq!(load(folder, "trace").unwrap().count("sessions"), 21);
        assert!(pending_files(folder, "trace").is_empty());
    }

    #[test]
    fn a_lock_that_is_held_is_not_waited_for() {
        let own = folder();
        let folder = own.path();
        let held = lock(folder, PATIENCE).unwrap();
        let patience = Duration::from_millis(5);
        let update = || update_within(patience, folder, "trace", &one("A"), Mode::Add, Limits::default());
        assert_eq!(update().unwrap(), Updated::Pending);
        assert_eq!(load(folder, "trace").unwrap().entries.len(), 1);
        drop(held);
        assert_eq!(update().unwrap(), Updated::Merged { methods: 1, new: 0 });
    }

    #[test]
    fn a_folder_that_is_removed_all_the_time_loses_nothing() {
        let own = folder();
        let folder = own.path();
        let mut lost = None;
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            // As `gc!` does it: the lock is taken, all files go, then the folder.
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    sleep(Duration::from_micros(100));
                    if let Ok(Some(_lock)) = lock(folder, Duration::ZERO) {
                        let empty = !folder.join("trace.profile").exists();
                        if empty {
                            let _ = fs::remove_file(folder.join("lock"));
                            let _ = fs::remove_dir(folder);
                        }
                    }
                }
            });
            for i in 0..200 {
                let _ = fs::remove_file(folder.join("trace.profile"));
                let statement = format!("Tuple{{{i}}}");
                let updated = update(folder, "trace", &one(&statement), Mode::Add, Limits::default());
                let kept = load(folder, "trace").is_ok_and(|p| p.entries.contains_key(&statement));
                if !kept {
                    lost = Some(format!("{statement}: {updated:?}"));
                    break;
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(lost, None);
    }

    #[test]
    fn what_a_build_measures_does_not_wait() {
        let own = folder();
        let folder = own.path();
        update(folder, "trace", &one("A"), Mode::Add, Limits::default()).unwrap();
        let held = lock(folder, PATIENCE).unwrap();
        let patience = Duration::ZERO;
        update_within(patience, folder, "trace", &one("B"), Mode::Measure, Limits::default()).unwrap();
        drop(held);
        assert_eq!(load(folder, "trace").unwrap().entries.keys().collect::<Vec<_>>(), ["A"]);
    }

    #[test]
    fn what_the_dead_have_left_is_removed() {
        let own = folder();
        let folder = own.path();
        let old = SystemTime::now() - Duration::from_secs(100);
        let make = |name: &str, when| {
            let file = File::create(folder.join(name)).unwrap();
            file.set_modified(when).unwrap();
        };
        // No process has this number: it is beyond the kernel's largest.
        make("trace.tmp-4194305-1-1", old);
        make("trace.tmp-4194305-1-2", SystemTime::now());
        make("trace.tmp-4194305-1-3", SystemTime::now() + Duration::from_secs(4000));
        make(&format!("trace.tmp-{}-1-1", std::process::id()), old);
        update(folder, "trace", &one("A"), Mode::Add, Limits::default()).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        let mine = format!("trace.tmp-{}-1-1", std::process::id());
        let mut expected = vec!["lock", "trace.profile", "trace.tmp-4194305-1-2", &mine];
        expected.sort_unstable();
        assert_eq!(left, expected);
    }

    #[test]
    fn a_layer_is_no_path() {
        assert!(path(Path::new("/tmp"), "../trace").is_err());
        assert!(path(Path::new("/tmp"), "").is_err());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error() {
        assert!(update(Path::new("/proc/no"), "trace", &one("A"), Mode::Add, Limits::default()).is_err());
    }
}
