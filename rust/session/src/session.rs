//! What this session knows: its key, and the libraries that it has linked.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use nativecache_image::{BucketRef, EntryId, FunctionId, Reason};
use nativecache_julia::handles::Array;
use nativecache_julia::kept::Kept;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::walk;
use nativecache_runtime::error::Rejected;
use nativecache_runtime::load::key;
use nativecache_runtime::load::library::LibraryFile;
use nativecache_runtime::load::link::Linked;
use nativecache_runtime::load::loaded;
use nativecache_runtime::load::moment::Moment;
use nativecache_runtime::load::outcomes::{Counts, Outcomes};

use nativecache_store::boundary::fail;
use nativecache_store::lines as text;

use crate::error::SessionError;
use crate::locks::acquire;

/// What a link has come to; the layout is known to src/session/load.jl.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct LinkCounts {
    pub requested: u32,
    pub installed: u32,
    pub waiting: u32,
    pub skipped: u32,
    pub rejected: u32,
    pub failed: u32,
    pub functions: u32,
    pub slots: u32,
    /// 0 when the library as a whole is used.
    pub reason_code: i32,
    /// 1 when another loaded package may change the result.
    pub may_advance: u32,
    pub seconds: f64,
    pub bytes: u64,
}

#[derive(Default)]
pub(crate) struct Session {
    /// The Julia array that keeps objects of libraries alive.
    roots: Option<Kept>,
    libraries: Vec<Linked>,
}

// SAFETY: what a Linked points to is mapped or rooted for ever, and is touched under the lock only.
unsafe impl Send for Session {}

/// How often a library may be replaced while it is being linked.
const REPLACED_AT_MOST: usize = 3;

static SESSION: OnceLock<Mutex<Session>> = OnceLock::new();

/// A panic while linking leaves at worst a library that is not in the list.
fn lock() -> Result<MutexGuard<'static, Session>, SessionError> {
    acquire(SESSION.get_or_init(Mutex::default)).ok_or(SessionError::Busy("linking"))
}

pub(crate) fn with_session<T>(
    body: impl FnOnce(&mut Session) -> Result<T, SessionError>,
) -> Result<T, SessionError> {
    body(&mut *lock()?)
}

/// Says which Julia array keeps objects of libraries alive.
pub(crate) fn keep_in(roots: Kept) -> Result<(), SessionError> {
    lock()?.roots = Some(roots);
    Ok(())
}

/// A number that differs when the set of root modules, or a build id of one, differs.
pub(crate) fn module_set(julia: &Stopped, loaded: Array<'_>) -> u64 {
    loaded::hash_of_set(&walk::root_modules(julia, loaded))
}

impl Session {
    /// Links a library for the loaded modules. Its number, -1 when not even its tables could be read, and what came of it.
    ///
    /// # Safety
    /// `loaded` are the modules that are loaded.
    pub(crate) unsafe fn link(
        &mut self,
        julia: &Stopped,
        path: &Path,
        loaded: Array<'_>,
        verdict: Result<&[FunctionId], Rejected>,
    ) -> (i64, LinkCounts) {
        let Some(roots) = self.roots else {
            fail(SessionError::NotStarted.to_string());
            return (-1, LinkCounts::default());
        };
        // SAFETY: as the caller says.
        match unsafe { self.link_once(julia, path, loaded, roots, &verdict) } {
            Ok(found) => found,
            Err(rejected) => {
                fail(rejected.to_string());
                let reason_code = i32::from(rejected.reason().code());
                (-1, LinkCounts { reason_code, ..LinkCounts::default() })
            }
        }
    }

    /// # Safety
    /// As [`Session::link`].
    unsafe fn link_once(
        &mut self,
        julia: &Stopped,
        path: &Path,
        loaded: Array<'_>,
        roots: Kept,
        verdict: &Result<&[FunctionId], Rejected>,
    ) -> Result<(i64, LinkCounts), Rejected> {
        // Another process may put a new library in this place at any moment.
        for _ in 0..REPLACED_AT_MOST {
            let start = Instant::now();
            let file = LibraryFile::open(path)?;
            // The same content in another place, of another depot say, has nothing to add.
            let known = self.libraries.iter().position(|linked| linked.image_hash() == file.image_hash());
            let index = if let Some(known) = known {
                known
            } else {
                let roots = roots.as_kind::<Array<'_>>(julia).ok_or(Rejected::Unrooted)?;
                // SAFETY: the roots are an array that a constant of NativeCache keeps; linking is done under the session's
                // lock, which no Julia code waits for without a safepoint.
                let moment = unsafe { Moment::now(julia, loaded, roots) };
                let linked = Linked::open(file, start, &moment, key::of_process(), verdict.clone())?;
                if linked.rejection().is_some_and(|rejected| rejected.reason() == Reason::Replaced) {
                    continue;
                }
                self.libraries.push(linked);
                self.libraries.len() - 1
            };
            let counts = self.libraries.get(index).map(|linked| counts_of(julia, linked)).unwrap_or_default();
            return Ok((i64::try_from(index).unwrap_or(-1), counts));
        }
        Err(Rejected::Replaced(path.to_owned()))
    }

    /// Tries again what waits in a library.
    ///
    /// # Safety
    /// As [`Session::link`].
    pub(crate) unsafe fn retry(
        &mut self,
        julia: &Stopped,
        id: i64,
        loaded: Array<'_>,
    ) -> Result<LinkCounts, SessionError> {
        let roots =
            self.roots.and_then(|roots| roots.as_kind::<Array<'_>>(julia)).ok_or(SessionError::NotStarted)?;
        let index = usize::try_from(id).map_err(|_| SessionError::NoLibrary(id))?;
        let linked = self.libraries.get_mut(index).ok_or(SessionError::NoLibrary(id))?;
        if linked.may_advance() {
            // SAFETY: as in `link_once`.
            linked.retry(&unsafe { Moment::now(julia, loaded, roots) });
        }
        Ok(counts_of(julia, linked))
    }

    /// The library with this number.
    pub(crate) fn library(&self, id: i64) -> Result<&Linked, SessionError> {
        let index = usize::try_from(id).map_err(|_| SessionError::NoLibrary(id))?;
        self.libraries.get(index).ok_or(SessionError::NoLibrary(id))
    }

    pub(crate) fn libraries(&self) -> &[Linked] {
        &self.libraries
    }

    /// The library whose code holds `address`.
    pub(crate) fn path_at(&self, address: usize) -> Option<String> {
        let linked = self.libraries.iter().find(|linked| linked.owns(address))?;
        Some(linked.path().to_string_lossy().into_owned())
    }

    /// The method instance whose cached code holds `address`.
    pub(crate) fn instance_at(&self, julia: &Stopped, address: usize) -> Option<Kept> {
        self.libraries.iter().find(|l| l.owns(address))?.instance_at(address, julia)
    }
}

fn counts_of(julia: &Stopped, linked: &Linked) -> LinkCounts {
    let Counts { requested, installed, waiting, skipped, rejected, failed, functions, slots } =
        Outcomes::of(linked, julia).counts();
    let reason_code = linked.rejection().map_or(0, |rejected| {
        fail(rejected.to_string());
        i32::from(rejected.reason().code())
    });
    LinkCounts {
        requested,
        installed,
        waiting,
        skipped,
        rejected,
        failed,
        functions,
        slots,
        reason_code,
        may_advance: u32::from(linked.may_advance()),
        seconds: linked.seconds,
        bytes: linked.bytes(),
    }
}

/// The requested methods of a library that is not linked, with the buckets of the build.
pub(crate) fn peek(path: &Path) -> Result<(String, LinkCounts), Rejected> {
    let file = LibraryFile::open(path)?;
    let image = file.image()?;
    let mut counts = LinkCounts {
        requested: image.entry_count(),
        functions: image.function_count(),
        slots: image.slot_count(),
        bytes: file.bytes(),
        ..LinkCounts::default()
    };
    let mut lines = String::new();
    for i in 0..image.entry_count() {
        let entry = image.entry(EntryId(i))?;
        lines.push_str(&match entry.bucket {
            BucketRef::Compiled(_) => text::line("compiled", None, entry.statement, ""),
            BucketRef::Skipped { reason, detail } => {
                counts.skipped += 1;
                text::line("skipped", Some(reason), entry.statement, detail)
            }
            BucketRef::Failed { reason, detail } => {
                counts.failed += 1;
                text::line("failed", Some(reason), entry.statement, detail)
            }
        });
    }
    Ok((lines, counts))
}
