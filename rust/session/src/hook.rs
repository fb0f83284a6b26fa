//! What happens in a session when a package is loaded: find its libraries, link them, keep account.
//!
//! It is all done here, since Julia code on the load path would have to be compiled in every
//! session, which costs more than it does. src/store.jl says where the libraries lie.

use nativecache_mutation::mutation;
use std::collections::HashSet;
use std::error::Error;
use std::ffi::{c_char, c_int, c_void, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use jl_sys::{jl_array_t, jl_module_t, jl_value_t};
use nativecache_image::Reason;
use nativecache_julia::collector::CollectorOff;
use nativecache_julia::julia_1_5::{jl_generating_output, jl_module_build_id, jl_options};
use nativecache_julia::object::{array_items, is, module_name, string_bytes};
use nativecache_julia::root_modules::uuid;
use nativecache_julia::sysimage::Sysimage;
use nativecache_runtime::load::frames;

use crate::auto::{self, Stale};
use crate::distributed::spread;
use crate::globals::{base, depots, loaded_modules, Global};
use crate::lock::{acquire, uninterrupted};
use crate::session::{with_session, LinkCounts};
use nativecache_store::{boundary, lines as text, Hex};

use crate::{ending, fail, guard, hand_out, native, verify};

extern "C" {
    fn jl_array_ptr_1d_push(array: *mut jl_array_t, item: *mut jl_value_t);
}

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
    pub(crate) module: *mut jl_module_t,
    /// Base.DEPOT_PATH.
    pub(crate) depots: *mut jl_array_t,
    /// The store's folder in a depot.
    pub(crate) store: PathBuf,
    /// In it, the one for sessions like this one.
    pub(crate) folder: PathBuf,
    found: Vec<Found>,
    /// Packages without a library, of which a profile says what they need.
    stale: Vec<Stale>,
    /// Processes of `Distributed`, this one included, that have NativeCache.
    pub(crate) workers: usize,
    /// Modules whose libraries were looked for.
    seen: HashSet<*mut jl_module_t>,
    /// Frames of cached code were made visible.
    frames: bool,
}

// SAFETY: what it points to is held by constant bindings; only Julia threads use it, under the lock.
unsafe impl Send for Hook {}

enum State {
    NotStarted,
    /// Cached code has no place in this session.
    Off(Reason),
    Failed(String),
    On(Hook),
}

static STATE: Mutex<State> = Mutex::new(State::NotStarted);

fn lock() -> Result<MutexGuard<'static, State>, Box<dyn Error>> {
    // After a panic the account may lack a library; it is never inconsistent.
    acquire(&STATE).ok_or_else(|| "another thread is loading packages".into())
}

/// Starts the session: puts the callback in place and links what is there for the packages already
/// loaded. What comes of it is said by [`nativecache_state`].
///
/// # Safety
/// `module` is the module NativeCache; called on a Julia thread.
#[no_mangle]
pub unsafe extern "C" fn nativecache_start(module: *mut jl_module_t) {
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
        uninterrupted(|| link(|hook, modules| hook.link_stored(modules)));
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
            link(|hook, modules| {
                hook.retry(modules);
                hook.link_new(modules);
            });
        });
        uninterrupted(build_stale);
        spread();
    }
}

/// Runs `body` with the hook and the loaded modules, if cached code has a place in this session.
fn link(body: impl FnOnce(&mut Hook, *mut jl_array_t)) {
    guard((), || {
        // SAFETY: what the function of Base returns is what its name says, and is alive: the collector
        // is off.
        unsafe {
            // In this order: a thread that waits for the lock must not keep a collection waiting.
            let _off = CollectorOff::new();
            if let State::On(hook) = &mut *lock()? {
                let modules = loaded_modules()?;
                body(hook, modules);
                hook.show_frames();
            }
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
        // SAFETY: what became stale are root modules, which live as long as the session.
        link(|hook, modules| unsafe {
            stale.iter().for_each(|stale| hook.link_package(stale.module, modules));
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
    if !verify::is_on() {
        return;
    }
    guard((), || {
        // SAFETY: as the caller says; the collector is off while the array of modules is looked at.
        unsafe {
            let (module, paths) = {
                let _off = CollectorOff::new();
                match &*lock()? {
                    State::On(hook) => (hook.module, hook.candidates(loaded_modules()?)),
                    _ => return Ok(()),
                }
            };
            verify::run(module, &paths)
        }
    });
}

/// # Safety
/// On a Julia thread; `module` is the module NativeCache.
unsafe fn start(module: *mut jl_module_t) -> Result<Hook, Box<dyn Error>> {
    // SAFETY: the bindings are constants of the types that are asked for.
    unsafe {
        let _off = CollectorOff::new();
        crate::session::init(Global::of(module, "ROOTS")?.0.cast())?;
        let store = Path::new(OsStr::from_bytes(string_bytes(Global::of(module, "STORE")?.0)));
        let hook = Hook {
            module,
            depots: base("DEPOT_PATH")?.0.cast(),
            store: store.to_owned(),
            folder: store.join(format!("{:016x}", nativecache_runtime::load::key::hash())),
            found: Vec::new(),
            stale: Vec::new(),
            workers: 1,
            seen: HashSet::new(),
            frames: false,
        };
        let callback = Global::of(module, "loaded")?.0;
        let ended = Global::of(module, "ended")?.0;
        native::provide(callback, ended);
        jl_array_ptr_1d_push(base("package_callbacks")?.0.cast(), callback);
        if nativecache_store::settings::may_trace() {
            ending::prepare();
            jl_array_ptr_1d_push(base("atexit_hooks")?.0.cast(), ended);
        }
        Ok(hook)
    }
}

/// Runs `body` with the hook, where cached code has a place in this session.
pub(crate) fn with_hook<T>(
    body: impl FnOnce(&mut Hook) -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    match &mut *lock()? {
        State::On(hook) => body(hook),
        State::Off(reason) => Err(reason.text().into()),
        State::Failed(message) => Err(message.clone().into()),
        State::NotStarted => Err("NativeCache was not started in this process".into()),
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
    // SAFETY: a plain read of what the command line set before any Julia code ran.
    unsafe {
        if jl_generating_output() != 0 {
            return Some(Reason::GeneratingOutput);
        }
        let options = &jl_options;
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
    }
    let known = Sysimage::current().is_some_and(|sysimage| sysimage.tls_offset != 0);
    (!known).then_some(Reason::ThreadState)
}

unsafe extern "C" fn instance_at(address: *mut c_void) -> *mut jl_value_t {
    let found = guard(None, || with_session(|s| Ok(s.instance_at(address as usize))));
    // SAFETY: `nothing` exists since Julia started.
    found.map_or_else(|| unsafe { jl_sys::jl_nothing }, |mi| mi.cast())
}

unsafe extern "C" fn owns(address: *mut c_void) -> c_int {
    crate::nativecache_owns(address)
}

impl Hook {
    /// Makes frames of cached code show, once there is such code. Without it traces lack them, and
    /// nothing else depends on it.
    ///
    /// # Safety
    /// On a Julia thread.
    unsafe fn show_frames(&mut self) {
        if !self.frames && self.found.iter().any(|found| found.counts.functions > 0) {
            self.frames = true;
            // SAFETY: both functions stay callable: this library is never unloaded.
            unsafe { frames::install(owns, Some(instance_at)) };
        }
    }

    /// At the start: the session has many modules, the store few packages, and one look into its folder says which.
    ///
    /// # Safety
    /// On a Julia thread; `modules` is a live array of modules.
    unsafe fn link_stored(&mut self, modules: *mut jl_array_t) {
        // SAFETY: DEPOT_PATH holds strings.
        let stored: Vec<String> =
            unsafe { self.depot_folders() }.iter().flat_map(|folder| names_in(folder)).collect();
        // SAFETY: as the caller says.
        unsafe {
            let profiled: Vec<String> =
                self.profile_folders().iter().flat_map(|folder| names_in(folder)).collect();
            for module in self.new_modules(modules) {
                let folder = package_folder(module_name(module), uuid(module));
                if stored.contains(&folder) || profiled.contains(&folder) {
                    self.link_package(module, modules);
                }
            }
        }
    }

    /// # Safety
    /// As [`Hook::link_stored`].
    unsafe fn link_new(&mut self, modules: *mut jl_array_t) {
        // SAFETY: as the caller says.
        unsafe {
            for module in self.new_modules(modules) {
                self.link_package(module, modules);
            }
        }
    }

    /// The modules that were not there the last time.
    ///
    /// # Safety
    /// As [`Hook::link_stored`].
    unsafe fn new_modules(&mut self, modules: *mut jl_array_t) -> Vec<*mut jl_module_t> {
        // SAFETY: as the caller says; items are checked to be modules.
        unsafe {
            array_items(modules)
                .iter()
                .filter(|item| !item.is_null() && is(**item, jl_sys::jl_module_type))
                .map(|item| item.cast::<jl_module_t>())
                .filter(|module| self.seen.insert(*module))
                .collect()
        }
    }

    /// # Safety
    /// As [`Hook::link_stored`].
    unsafe fn link_package(&mut self, module: *mut jl_module_t, modules: *mut jl_array_t) {
        // SAFETY: `module` is live.
        let (name, uuid, build_id) =
            unsafe { (module_name(module), uuid(module), jl_module_build_id(module)) };
        let folder = package_folder(name, uuid);
        // SAFETY: DEPOT_PATH holds strings.
        let paths = unsafe { self.libraries(&folder, build_id) };
        // SAFETY: likewise. A library of several packages is not the package's own.
        let own = paths.iter().any(|path| path.file_stem().is_some_and(|stem| stem.len() == 16));
        if !own && unsafe { self.profile_folders() }.iter().any(|profiles| profiles.join(&folder).is_dir()) {
            self.stale.push(Stale { module, build_id });
        }
        for path in paths {
            if self.found.iter().any(|found| found.path == path) {
                continue;
            }
            let linked = with_session(|session| {
                verify::verdict(&path, |verdict| {
                    // SAFETY: as the caller says.
                    Ok(unsafe { session.link(&path, modules, verdict) })
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

    /// The folder of profiles in each depot.
    ///
    /// # Safety
    /// On a Julia thread.
    unsafe fn profile_folders(&self) -> Vec<PathBuf> {
        // SAFETY: as the caller says.
        unsafe { depots(self.depots) }.iter().map(|depot| depot.join(&self.store).join("profiles")).collect()
    }

    /// The files of a package's libraries for its build.
    ///
    /// # Safety
    /// On a Julia thread.
    unsafe fn libraries(&self, folder: &str, build_id: u64) -> Vec<PathBuf> {
        let build_id = format!("{build_id:016x}");
        let mut found = Vec::new();
        // SAFETY: DEPOT_PATH holds strings.
        for depot in unsafe { self.depot_folders() } {
            let depot = depot.join(folder);
            let mut names = names_in(&depot);
            names.retain(|name| name.starts_with(&build_id) && name.ends_with(".so"));
            names.sort_unstable();
            found.extend(names.iter().map(|name| depot.join(name)));
        }
        found
    }

    /// The libraries that linking would look at now.
    ///
    /// # Safety
    /// As [`Hook::link_stored`].
    unsafe fn candidates(&self, modules: *mut jl_array_t) -> Vec<PathBuf> {
        // SAFETY: as the caller says; items are checked to be modules.
        unsafe {
            array_items(modules)
                .iter()
                .filter(|item| !item.is_null() && is(**item, jl_sys::jl_module_type))
                .map(|item| item.cast::<jl_module_t>())
                .filter(|module| !self.seen.contains(module))
                .flat_map(|m| self.libraries(&package_folder(module_name(m), uuid(m)), jl_module_build_id(m)))
                .collect()
        }
    }

    /// # Safety
    /// As [`Hook::link_stored`].
    unsafe fn retry(&mut self, modules: *mut jl_array_t) {
        for found in &mut self.found {
            if found.id < 0 || found.counts.may_advance == 0 {
                continue;
            }
            let counts: Result<LinkCounts, Box<dyn Error>> = with_session(|session| {
                // SAFETY: as the caller says.
                unsafe { session.retry(found.id, modules) }
            });
            match counts {
                Ok(counts) => {
                    found.counts = counts;
                    found.message = message_of(found.id, &counts);
                }
                Err(error) => found.message = error.to_string(),
            }
        }
    }

    /// The store's folder in each depot.
    ///
    /// # Safety
    /// On a Julia thread.
    unsafe fn depot_folders(&self) -> Vec<PathBuf> {
        // SAFETY: as the caller says.
        unsafe { depots(self.depots) }.iter().map(|depot| depot.join(&self.folder)).collect()
    }
}

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
        boundary::last_error()
    } else {
        String::new()
    }
}

/// The folder of a package in the store, as `package_folder` of src/store.jl names it: `Name-` and all digits of its
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
