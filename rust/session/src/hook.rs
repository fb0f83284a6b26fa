//! What happens in a session when a package is loaded: find its libraries, link them, keep account.
//!
//! It is all done here, since Julia code on the load path would have to be compiled in every
//! session, which costs more than it does. src/store/store.jl says where the libraries lie.

use std::collections::HashSet;
use std::ffi::{c_char, c_int, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use nativecache_image::Reason;
use nativecache_julia::ending;
use nativecache_julia::handles::{Array, Module, Object, RawObject, Text};
use nativecache_julia::kept::Kept;
use nativecache_julia::process::{self, uninterrupted};
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;
use nativecache_mutation::mutation;
use nativecache_runtime::load::{frames, key};
use nativecache_store::boundary::{fail, hand_out, last_error};
use nativecache_store::{lines as text, Hex};

use crate::auto::{self, Stale};
use crate::distributed::spread;
use crate::error::{guard, SessionError};
use crate::globals::{base, global, global_of, loaded_modules, modules_of, path_of, paths_of};
use crate::locks::acquire;
use crate::session::{with_session, LinkCounts};
use crate::{own_code, verify_mode};

/// A library that was found, linked or rejected.
struct Found {
    /// Name and uuid of the package it was found for.
    package: String,
    uuid: [u8; 16],
    path: PathBuf,
    /// Its number in the session; negative when not even its tables could be read.
    id: i64,
    counts: LinkCounts,
    message: String,
}

pub(crate) struct Hook {
    /// The module NativeCache.
    pub(crate) module: Kept,
    /// Base.DEPOT_PATH.
    depots: Kept,
    /// The store's folder in a depot.
    pub(crate) store: PathBuf,
    /// In it, the one for sessions like this one.
    pub(crate) folder: PathBuf,
    found: Vec<Found>,
    /// Packages without a library, of which a profile says what they need.
    stale: Vec<Stale>,
    /// Processes of `Distributed`, this one included, that have NativeCache.
    pub(crate) workers: usize,
    /// Addresses of modules whose libraries were looked for.
    seen: HashSet<usize>,
    /// Frames of cached code were made visible.
    frames: bool,
}

enum State {
    NotStarted,
    /// Cached code has no place in this session.
    Off(Reason),
    Failed(String),
    On(Hook),
}

static STATE: Mutex<State> = Mutex::new(State::NotStarted);

fn lock() -> Result<MutexGuard<'static, State>, SessionError> {
    // After a panic the account may lack a library; it is never inconsistent.
    acquire(&STATE).ok_or(SessionError::Busy("loading packages"))
}

/// Starts the session: puts the callback in place and links what is there for the packages already
/// loaded. What comes of it is said by [`nativecache_state`].
///
/// # Safety
/// `module` is the module NativeCache; called on a Julia thread.
#[no_mangle]
pub unsafe extern "C" fn nativecache_start(module: RawObject) {
    let start = || {
        guard((), || {
            let state = match out_of_place() {
                Some(reason) => State::Off(reason),
                // SAFETY: as the caller says.
                None => match unsafe { start(module) } {
                    Ok(hook) => State::On(hook),
                    Err(error) => State::Failed(error.to_string()),
                },
            };
            *lock()? = state;
            Ok(())
        });
    };
    // SAFETY: as the caller says; this frame has nothing to drop, and what links has the collector off.
    unsafe {
        uninterrupted(start);
        compare_new();
        uninterrupted(|| link(|julia, hook, modules| hook.link_stored(julia, modules)));
        uninterrupted(build_stale);
    }
}

/// Packages were loaded: links their libraries, and what waited for them in others.
///
/// # Safety
/// As [`nativecache_start`].
#[no_mangle]
pub unsafe extern "C" fn nativecache_loaded() {
    // SAFETY: as the caller says; this frame has nothing to drop, and what links has the collector off.
    unsafe {
        compare_new();
        uninterrupted(|| {
            link(|julia, hook, modules| {
                hook.retry(julia, modules);
                hook.link_new(julia, modules);
            });
        });
        uninterrupted(build_stale);
        spread();
    }
}

/// Runs `body` with the hook and the loaded modules, if cached code has a place in this session.
fn link(body: impl FnOnce(&Stopped, &mut Hook, Array<'_>)) {
    guard((), || {
        // In this order: a thread that waits for the lock must not keep a collection waiting.
        // SAFETY: called by Julia, on one of its threads, between the loading of packages.
        let julia = unsafe { Stopped::new() };
        if let State::On(hook) = &mut *lock()? {
            let modules = loaded_modules(&julia)?;
            body(&julia, hook, modules);
            hook.show_frames();
        }
        Ok(())
    });
}

/// Packages were loaded that have a profile and no library: what the setting `auto` says. Ctrl-C is put off, which
/// ends the waiting for a build all the same (`auto`).
fn build_stale() {
    guard((), || {
        let stale = match &mut *lock()? {
            State::On(hook) => std::mem::take(&mut hook.stale),
            _ => return Ok(()),
        };
        // SAFETY: on a Julia thread, without the locks.
        if stale.is_empty() || !unsafe { auto::loaded(&stale)? } {
            return Ok(());
        }
        link(|julia, hook, modules| {
            for module in stale.iter().filter_map(|stale| stale.module.as_kind(julia)) {
                hook.link_package(julia, module, modules);
            }
            // One that could not be built is not tried again here.
            hook.stale.clear();
        });
        Ok(())
    });
}

/// In verify mode, compares what is about to be linked. That builds libraries anew, which one must be able to stop, so
/// Ctrl-C is not put off; what Julia throws is caught, and no lock is held meanwhile.
///
/// # Safety
/// As [`nativecache_start`].
unsafe fn compare_new() {
    if !verify_mode::is_on() {
        return;
    }
    guard((), || {
        let (module, paths) = {
            // SAFETY: as the caller says.
            let julia = unsafe { Stopped::new() };
            match &*lock()? {
                State::On(hook) => (hook.module, hook.candidates(&julia, loaded_modules(&julia)?)),
                _ => return Ok(()),
            }
        };
        // SAFETY: as the caller says; the lock was given back.
        unsafe { verify_mode::run(module, &paths) }
    });
}

/// # Safety
/// On a Julia thread; `module` is the module NativeCache.
unsafe fn start(module: RawObject) -> Result<Hook, SessionError> {
    // SAFETY: as the caller says.
    let julia = &unsafe { Stopped::new() };
    // SAFETY: as the caller says.
    let module = unsafe { Object::from_ptr(module) }
        .and_then(Object::as_kind::<Module<'_>>)
        .ok_or(SessionError::NotStarted)?;
    // SAFETY: constants of a module that is loaded for ever.
    let keep = |object: Object<'_>| unsafe { Kept::new(object) };
    crate::session::keep_in(keep(global_of::<Array<'_>>(module, "ROOTS")?.into()))?;
    let store = path_of(global_of::<Text<'_>>(module, "STORE")?);
    let hook = Hook {
        module: keep(module.into()),
        depots: keep(base::<Array<'_>>(julia, "DEPOT_PATH")?.into()),
        folder: store.join(format!("{:016x}", key::hash())),
        store,
        found: Vec::new(),
        stale: Vec::new(),
        workers: 1,
        seen: HashSet::new(),
        frames: false,
    };
    let (callback, ended) = (global(module, "loaded")?, global(module, "ended")?);
    // SAFETY: functions of NativeCache, which take no arguments and return nothing. The lists are vectors of any
    // functions, which only this thread changes now.
    unsafe {
        own_code::provide(julia, callback, ended);
        base::<Array<'_>>(julia, "package_callbacks")?.push(callback);
        if nativecache_store::settings::may_trace() {
            ending::prepare();
            base::<Array<'_>>(julia, "atexit_hooks")?.push(ended);
        }
    }
    Ok(hook)
}

/// Runs `body` with the hook, where cached code has a place in this session.
pub(crate) fn with_hook<T>(
    body: impl FnOnce(&mut Hook) -> Result<T, SessionError>,
) -> Result<T, SessionError> {
    match &mut *lock()? {
        State::On(hook) => body(hook),
        State::Off(reason) => Err(SessionError::Off(*reason)),
        State::Failed(message) => Err(SessionError::Failed(message.clone())),
        State::NotStarted => Err(SessionError::NotStarted),
    }
}

/// What this session does: `on`, `off<TAB>reason code`, `failed<TAB>message` or `not started`.
#[no_mangle]
pub extern "C" fn nativecache_state() -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        Ok(hand_out(&match &*lock()? {
            State::NotStarted => "not started".to_owned(),
            State::Off(reason) => format!("off\t{}", reason.code()),
            State::Failed(message) => format!("failed\t{}", text::escape(message)),
            State::On(_) => "on".to_owned(),
        }))
    })
}

/// The libraries found, in that order, as lines of: number, package, uuid, path, the fields of
/// `LinkCounts`, message; between tabs.
#[no_mangle]
pub extern "C" fn nativecache_found() -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        let state = lock()?;
        let found: &[Found] = if let State::On(hook) = &*state { &hook.found } else { &[] };
        Ok(hand_out(&found.iter().map(Found::line).collect::<String>()))
    })
}

/// Is this a process that must compile everything itself?
fn out_of_place() -> Option<Reason> {
    if std::env::var_os("JULIA_NATIVECACHE").is_some_and(|value| value == "off") {
        return Some(Reason::Disabled);
    }
    if process::is_generating_output() {
        return Some(Reason::GeneratingOutput);
    }
    let options = process::options();
    if mutation!("off: coverage", options.code_coverage != 0, false) {
        return Some(Reason::Coverage);
    }
    if mutation!("off: allocation tracking", options.malloc_log != 0, false) {
        return Some(Reason::AllocationTracking);
    }
    // 1 is yes, the default; the others are no, all and min.
    if mutation!("off: --compile", options.compile_enabled != 1, false) {
        return Some(Reason::CompileMode);
    }
    let known = Sysimage::current().is_some_and(|sysimage| sysimage.tls_offset != 0);
    (!known).then_some(Reason::ThreadState)
}

unsafe extern "C" fn instance_at(address: *mut c_void) -> RawObject {
    let found = guard(None, || {
        with_session(|session| {
            // SAFETY: called by Julia, on one of its threads.
            let julia = unsafe { Stopped::new() };
            Ok(session.instance_at(&julia, address as usize).map(|instance| instance.get(&julia).as_ptr()))
        })
    });
    found.unwrap_or(std::ptr::null_mut())
}

unsafe extern "C" fn owns(address: *mut c_void) -> c_int {
    crate::nativecache_owns(address)
}

impl Hook {
    /// Makes frames of cached code show, once there is such code. Without it traces lack them, and
    /// nothing else depends on it.
    fn show_frames(&mut self) {
        if !self.frames && self.found.iter().any(|found| found.counts.functions > 0) {
            self.frames = true;
            // SAFETY: both functions stay callable: this library is never unloaded.
            unsafe { frames::install(owns, Some(instance_at)) };
        }
    }

    /// At the start: the session has many modules, the store few packages, and one look into its folder says which.
    fn link_stored(&mut self, julia: &Stopped, modules: Array<'_>) {
        let depots = self.depots(julia);
        let folders = depots
            .iter()
            .flat_map(|depot| [depot.join(&self.folder), depot.join(&self.store).join(PROFILES)]);
        let known: HashSet<String> = folders.flat_map(|folder| names_in(&folder)).collect();
        for module in self.new_modules(modules) {
            if known.contains(&package_folder(module.as_str(), module.uuid())) {
                self.link_package(julia, module, modules);
            }
        }
    }

    fn link_new(&mut self, julia: &Stopped, modules: Array<'_>) {
        for module in self.new_modules(modules) {
            self.link_package(julia, module, modules);
        }
    }

    /// The modules that were not there the last time.
    fn new_modules<'j>(&mut self, modules: Array<'j>) -> Vec<Module<'j>> {
        modules_of(modules).filter(|module| self.seen.insert(module.address())).collect()
    }

    fn link_package(&mut self, julia: &Stopped, module: Module<'_>, modules: Array<'_>) {
        let (name, uuid, build_id) = (module.as_str(), module.uuid(), module.build_id());
        let folder = package_folder(name, uuid);
        let depots = self.depots(julia);
        let paths = self.libraries(&depots, &folder, build_id);
        // A library of several packages is not the package's own.
        let own = paths.iter().any(|path| path.file_stem().is_some_and(|stem| stem.len() == 16));
        if !own && depots.iter().any(|depot| depot.join(&self.store).join(PROFILES).join(&folder).is_dir()) {
            // SAFETY: a loaded package's module stays.
            self.stale.push(Stale { module: unsafe { Kept::new(module) }, build_id });
        }
        for path in paths {
            if self.found.iter().any(|found| found.path == path) {
                continue;
            }
            let linked = with_session(|session| {
                verify_mode::verdict(&path, |verdict| {
                    // SAFETY: the modules that are loaded.
                    Ok(unsafe { session.link(julia, &path, modules, verdict) })
                })
            });
            let (id, counts) = linked.unwrap_or_else(|error| {
                fail(error.to_string());
                (-1, LinkCounts::default())
            });
            if id >= 0 && self.found.iter().any(|found| found.id == id) {
                continue;
            }
            self.found.push(Found {
                package: name.to_owned(),
                uuid,
                path,
                id,
                counts,
                message: message_of(id, &counts),
            });
        }
    }

    /// The depots of this session.
    pub(crate) fn depots(&self, julia: &Stopped) -> Vec<PathBuf> {
        self.depots.as_kind::<Array<'_>>(julia).map_or_else(Vec::new, paths_of)
    }

    /// The files of a package's libraries for its build.
    fn libraries(&self, depots: &[PathBuf], folder: &str, build_id: u64) -> Vec<PathBuf> {
        let build_id = format!("{build_id:016x}");
        let mut found = Vec::new();
        for depot in depots {
            let folder = depot.join(&self.folder).join(folder);
            let mut names = names_in(&folder);
            names.retain(|name| name.starts_with(&build_id) && name.ends_with(".so"));
            names.sort_unstable();
            found.extend(names.iter().map(|name| folder.join(name)));
        }
        found
    }

    /// The libraries that linking would look at now.
    fn candidates(&self, julia: &Stopped, modules: Array<'_>) -> Vec<PathBuf> {
        let depots = self.depots(julia);
        modules_of(modules)
            .filter(|module| !self.seen.contains(&module.address()))
            .flat_map(|module| {
                let folder = package_folder(module.as_str(), module.uuid());
                self.libraries(&depots, &folder, module.build_id())
            })
            .collect()
    }

    fn retry(&mut self, julia: &Stopped, modules: Array<'_>) {
        for found in &mut self.found {
            if found.id < 0 || found.counts.may_advance == 0 {
                continue;
            }
            // SAFETY: the modules that are loaded.
            match with_session(|session| unsafe { session.retry(julia, found.id, modules) }) {
                Ok(counts) => {
                    found.counts = counts;
                    found.message = message_of(found.id, &counts);
                }
                Err(error) => found.message = error.to_string(),
            }
        }
    }
}

/// The folder of profiles in the store.
pub(crate) const PROFILES: &str = "profiles";

impl Found {
    fn line(&self) -> String {
        let uuid = Hex(&self.uuid).to_string();
        let c = &self.counts;
        let numbers =
            [c.requested, c.installed, c.waiting, c.skipped, c.rejected, c.failed, c.functions, c.slots]
                .map(|n| n.to_string())
                .join("\t");
        format!(
            "{}\t{}\t{uuid}\t{}\t{numbers}\t{}\t{}\t{}\t{}\n",
            self.id,
            text::escape(&self.package),
            text::escape(&self.path.to_string_lossy()),
            c.reason_code,
            c.seconds,
            c.bytes,
            text::escape(&self.message),
        )
    }
}

fn message_of(id: i64, counts: &LinkCounts) -> String {
    if id < 0 || counts.reason_code != 0 {
        last_error()
    } else {
        String::new()
    }
}

/// The folder of a package in the store, as `package_folder` of src/store/store.jl names it: `Name-` and all digits of its
/// uuid, so that packages of one name share nothing.
pub(crate) fn package_folder(name: &str, uuid: [u8; 16]) -> String {
    if uuid == [0; 16] {
        name.to_owned()
    } else {
        format!("{name}-{:032x}", u128::from_be_bytes(uuid))
    }
}

/// The names in a folder; none if it is not there or cannot be read.
fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_folders_of_their_own() {
        let mut uuid = [0; 16];
        assert_eq!(package_folder("Main", uuid), "Main");
        uuid[0] = 0x0a;
        uuid[3] = 0xff;
        uuid[15] = 1;
        assert_eq!(package_folder("Dates", uuid), "Dates-0a0000ff000000000000000000000001");
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty() {
        assert!(names_in(Path::new("/nonexistent/nativecache")).is_empty());
    }
}
