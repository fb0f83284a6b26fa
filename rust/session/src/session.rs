//! What this session knows: its key, and the libraries that it has linked.

use nativecache_julia::handles::Array;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::walk;
use std::error::Error;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use jl_sys::{jl_array_t, jl_method_instance_t};
use nativecache_image::{BucketRef, EntryId, FunctionId, Reason};
use nativecache_runtime::error::Rejected;
use nativecache_runtime::load::key;
use nativecache_runtime::load::library::LibraryFile;
use nativecache_runtime::load::link::Linked;
use nativecache_runtime::load::loaded;
use nativecache_runtime::load::outcomes::Counts;

use crate::lock::acquire;
use nativecache_store::lines as text;

use crate::fail;

/// What a link has come to; the layout is known to src/load.jl.
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

/// A Julia array that is alive for as long as the process.
#[derive(Clone, Copy)]
struct Roots(*mut jl_array_t);

// SAFETY: only handed to Julia threads, under the session's lock.
unsafe impl Send for Roots {}

#[derive(Default)]
pub struct Session {
    roots: Option<Roots>,
    libraries: Vec<Linked>,
}

// SAFETY: what a Linked points to is mapped or rooted for ever, and is touched under the lock only.
unsafe impl Send for Session {}

/// How often a library may be replaced while it is being linked.
const REPLACED_AT_MOST: usize = 3;

static SESSION: OnceLock<Mutex<Session>> = OnceLock::new();

/// A panic while linking leaves at worst a library that is not in the list.
fn lock() -> Result<MutexGuard<'static, Session>, Box<dyn Error>> {
    acquire(SESSION.get_or_init(Mutex::default)).ok_or_else(|| "another thread is linking".into())
}

pub fn with_session<T>(
    body: impl FnOnce(&mut Session) -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    body(&mut *lock()?)
}

pub fn init(roots: *mut jl_array_t) -> Result<(), Box<dyn Error>> {
    lock()?.roots = Some(Roots(roots));
    Ok(())
}

/// # Safety
/// `loaded` is a live array of modules.
pub unsafe fn module_set(loaded: *mut jl_array_t) -> u64 {
    // SAFETY: as the caller says, on a Julia thread.
    let julia = unsafe { Stopped::new() };
    // SAFETY: as the caller says.
    let loaded = unsafe { Array::from_ptr(loaded) };
    loaded.map_or(0, |loaded| loaded::hash_of_set(&walk::root_modules(&julia, loaded)))
}

impl Session {
    /// # Safety
    /// On a Julia thread; `loaded` is a live array of modules.
    pub unsafe fn link(
        &mut self,
        path: &Path,
        loaded: *mut jl_array_t,
        verdict: Result<&[FunctionId], Rejected>,
    ) -> (i64, LinkCounts) {
        let Some(roots) = self.roots else {
            fail("nativecache_init was not called");
            return (-1, LinkCounts::default());
        };
        // SAFETY: as the caller says.
        match unsafe { self.link_once(path, loaded, roots, &verdict) } {
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
        path: &Path,
        loaded: *mut jl_array_t,
        roots: Roots,
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
                // SAFETY: as the caller says; the session's lock is held.
                let linked = unsafe {
                    let julia = Stopped::new();
                    let Some(arrays) = arrays(loaded, roots) else { continue };
                    Linked::open(file, start, &julia, arrays, key::of_process(), verdict.clone())
                }?;
                if linked.rejection().is_some_and(|rejected| rejected.reason() == Reason::Replaced) {
                    continue;
                }
                self.libraries.push(linked);
                self.libraries.len() - 1
            };
            let counts = self.libraries.get(index).map(counts_of).unwrap_or_default();
            return Ok((i64::try_from(index).unwrap_or(-1), counts));
        }
        Err(Rejected::Replaced(path.to_owned()))
    }

    /// # Safety
    /// As [`Session::link`].
    pub unsafe fn retry(&mut self, id: i64, loaded: *mut jl_array_t) -> Result<LinkCounts, Box<dyn Error>> {
        let roots = self.roots.ok_or("nativecache_init was not called")?;
        let linked = usize::try_from(id)
            .ok()
            .and_then(|i| self.libraries.get_mut(i))
            .ok_or_else(|| format!("no library {id}"))?;
        // SAFETY: as the caller says.
        unsafe {
            let julia = Stopped::new();
            if let Some(arrays) = arrays(loaded, roots) {
                linked.retry(&julia, arrays);
            }
        }
        Ok(counts_of(linked))
    }

    pub fn library(&self, id: i64) -> Result<&Linked, Box<dyn Error>> {
        usize::try_from(id)
            .ok()
            .and_then(|i| self.libraries.get(i))
            .ok_or_else(|| format!("no library {id}").into())
    }

    pub fn libraries(&self) -> &[Linked] {
        &self.libraries
    }

    /// The library whose code holds `address`.
    pub fn path_at(&self, address: usize) -> Option<String> {
        let linked = self.libraries.iter().find(|linked| linked.owns(address))?;
        Some(linked.path().to_string_lossy().into_owned())
    }

    /// The method instance whose cached code holds `address`.
    pub fn instance_at(&self, address: usize) -> Option<*mut jl_method_instance_t> {
        // SAFETY: on a Julia thread.
        let julia = unsafe { Stopped::new() };
        let instance = self.libraries.iter().find(|l| l.owns(address))?.instance_at(address, &julia)?;
        Some(instance.address() as *mut jl_method_instance_t)
    }
}

/// The arrays of loaded modules and of roots.
///
/// # Safety
/// Both are live arrays.
unsafe fn arrays<'j>(loaded: *mut jl_array_t, roots: Roots) -> Option<[Array<'j>; 2]> {
    // SAFETY: as the caller says.
    unsafe { Some([Array::from_ptr(loaded)?, Array::from_ptr(roots.0)?]) }
}

fn counts_of(linked: &Linked) -> LinkCounts {
    // SAFETY: on a Julia thread.
    let julia = unsafe { Stopped::new() };
    let Counts { requested, installed, waiting, skipped, rejected, failed, functions, slots } =
        linked.outcomes(&julia).counts();
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
pub fn peek(path: &Path) -> Result<(String, LinkCounts), Rejected> {
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
