//! From what a session has compiled to profiles in the store: at its end, when asked, and for a test
//! suite, a script or a workload that runs in a process of its own.

use std::collections::BTreeMap;
use std::ffi::{c_char, CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nativecache_julia::ending::is_orderly;
use nativecache_julia::handles::{Module, Text};
use nativecache_julia::kept::Kept;
use nativecache_julia::process::{self, uninterrupted};
use nativecache_julia::stopped::Stopped;
use nativecache_julia::walk;
use nativecache_runtime::trace::{trace, Mark, Options, PackageName, Trace};
use nativecache_store::boundary::hand_out;
use nativecache_store::lines as text;
use nativecache_store::profile::update::{self as store, Updated};
use nativecache_store::settings::Settings;
use nativecache_store::trust;
use nativecache_store::{file, Hex, Limits, Mode, Profile, Stats};

use crate::auto;
use crate::error::{guard, SessionError};
use crate::globals::{base, call, global_of, loaded_modules, path_of};
use crate::hook::{package_folder, with_hook, PROFILES};

/// What was compiled before a workload.
static MARK: Mutex<Option<Mark>> = Mutex::new(None);

/// What a trace came to, for the reader of `NativeCache.trace!()`.
#[derive(Default)]
pub(crate) struct Summary {
    pub trace: Trace,
    /// Profile, its methods, those of them that are new.
    pub profiles: Vec<(Vec<PackageName>, usize, usize)>,
    /// Those that lie beside their file until the next session merges them.
    pub pending: Vec<Vec<PackageName>>,
    pub seconds: f64,
}

/// The session ends: nothing is said, whatever happens.
#[no_mangle]
pub extern "C" fn nativecache_ended() {
    let body = || {
        guard((), || {
            if !is_orderly() {
                return Ok(());
            }
            // SAFETY: on a Julia thread, in an exit hook.
            unsafe {
                let here = Here::find()?;
                if here.settings.trace {
                    let learnt = session(&here)?.learnt();
                    auto::ended(&here, &learnt)?;
                }
            }
            Ok(())
        });
    };
    // SAFETY: on a Julia thread; this frame has nothing to drop.
    unsafe { uninterrupted(body) }
}

/// Writes what the session has compiled so far into its profiles; lines of what came of it, or null.
#[no_mangle]
pub extern "C" fn nativecache_trace() -> *mut c_char {
    let body = || {
        guard(std::ptr::null_mut(), || {
            // SAFETY: on a Julia thread.
            Ok(hand_out(&unsafe { session(&Here::find()?)? }.lines()))
        })
    };
    // SAFETY: on a Julia thread; this frame has nothing to drop.
    unsafe { uninterrupted(body) }
}

/// What a trace of this session needs to know of it.
pub(crate) struct Here {
    /// The module NativeCache.
    module: Kept,
    depots: Vec<PathBuf>,
    store: PathBuf,
    /// The folder of its Julia sources.
    pub(crate) sources: PathBuf,
    pub(crate) settings: Settings,
}

impl Here {
    /// # Safety
    /// On a Julia thread.
    pub(crate) unsafe fn find() -> Result<Self, SessionError> {
        // SAFETY: as the caller says.
        let julia = unsafe { Stopped::new() };
        let (module, depots, store) =
            with_hook(|hook| Ok((hook.module, hook.depots(&julia), hook.store.clone())))?;
        let settings = Settings::read(active_project(&julia).as_deref(), &depots);
        let this: Module<'_> = module.as_kind(&julia).ok_or(SessionError::NotStarted)?;
        let library = path_of(global_of::<Text<'_>>(this, "LIBRARY")?);
        // deps/lib/libnativecache.so
        let root = library.ancestors().nth(3).ok_or(SessionError::NoHome)?;
        Ok(Here { module, depots, store, sources: root.join("src"), settings })
    }

    /// The store in the depot that is written to.
    pub(crate) fn writable(&self) -> Result<PathBuf, SessionError> {
        writable(&self.depots, &self.store).ok_or(SessionError::NoDepot)
    }
}

/// The file of the project that is active.
pub(crate) fn active_project(julia: &Stopped) -> Option<PathBuf> {
    // SAFETY: Base's own function, compiled in the sysimage; it returns a string or nothing.
    let path = unsafe { call(julia, base(julia, "active_project").ok()?, &[]).ok()? };
    path.as_kind::<Text<'_>>().map(path_of)
}

/// # Safety
/// On a Julia thread.
unsafe fn session(here: &Here) -> Result<Summary, SessionError> {
    let started = Instant::now();
    let trace = {
        // SAFETY: as the caller says.
        let julia = unsafe { Stopped::new() };
        let home = here.module.as_kind(&julia);
        let options = Options { focus: None, home, marked: false, inferred: false };
        trace(&julia, loaded_modules(&julia)?, options, None)
    };
    let limits = here.settings.limits;
    let folder = here.writable()?.join(PROFILES);
    let mut summary = write(&folder, "trace", "sessions", &trace, Mode::Add, limits)?;
    // A session that did not need a package's methods makes them fade.
    let nothing = Profile::default();
    for package in &trace.loaded {
        let folder = folder.join(folder_name(std::slice::from_ref(package)));
        let mut counted = summary.profiles.iter().map(|(packages, ..)| packages).chain(&summary.pending);
        let known = counted.any(|packages| packages.as_slice() == std::slice::from_ref(package));
        if !known && store::path(&folder, "trace")?.is_file() {
            store::update(&folder, "trace", &nothing, Mode::Add, limits)?;
        }
    }
    summary.trace = trace;
    summary.seconds = started.elapsed().as_secs_f64();
    Ok(summary)
}

/// Remembers what this process has compiled so far, for [`nativecache_trace_into`].
#[no_mangle]
pub extern "C" fn nativecache_trace_mark() {
    let body = || {
        guard((), || {
            // SAFETY: on a Julia thread.
            let julia = unsafe { Stopped::new() };
            let mark = Mark::now(&julia, loaded_modules(&julia)?);
            *MARK.lock().unwrap_or_else(PoisonError::into_inner) = Some(mark);
            Ok(())
        });
    };
    // SAFETY: on a Julia thread; this frame has nothing to drop.
    unsafe { uninterrupted(body) }
}

/// Writes what this process has compiled into profiles below `folder`, in place of what is there.
/// `focus` is the package that it was run for, name and uuid without dashes between a tab, or empty.
/// Returns lines of what came of it, or null.
///
/// # Safety
/// The texts are NUL-terminated; on a Julia thread.
#[no_mangle]
pub unsafe extern "C" fn nativecache_trace_into(
    folder: *const c_char,
    layer: *const c_char,
    focus: *const c_char,
    from: *const c_char,
) -> *mut c_char {
    // SAFETY: as the caller says.
    let [folder, layer, focus, from] =
        unsafe { [folder, layer, focus, from].map(|text| CStr::from_ptr(text)) };
    let body = || {
        guard(std::ptr::null_mut(), || {
            let started = Instant::now();
            // SAFETY: as the caller says.
            let julia = unsafe { Stopped::new() };
            let modules = loaded_modules(&julia)?;
            let roots = walk::root_modules(&julia, modules);
            let named = |name: &str, id: &str| {
                let is_meant = |module: &Module<'_>| {
                    module.as_str() == name && (id.is_empty() || Hex(&module.uuid()).to_string() == id)
                };
                roots.iter().copied().rfind(is_meant)
            };
            let focus = focus.to_string_lossy();
            let focus = match focus.split_once('\t') {
                None => None,
                Some((name, id)) => {
                    Some(named(name, id).ok_or_else(|| SessionError::NotLoaded(name.to_owned()))?)
                }
            };
            let mark = MARK.lock().unwrap_or_else(PoisonError::into_inner);
            let options = Options {
                focus,
                home: named("NativeCache", ""),
                marked: mark.is_some(),
                inferred: process::is_generating_output(),
            };
            let trace = trace(&julia, modules, options, mark.as_ref());
            let unlimited = Limits { methods: 0, sessions: 0 };
            let folder = Path::new(OsStr::from_bytes(folder.to_bytes()));
            let (layer, from) = (layer.to_string_lossy(), from.to_string_lossy());
            let mut summary = write(folder, &layer, &from, &trace, Mode::Replace, unlimited)?;
            summary.trace = trace;
            summary.seconds = started.elapsed().as_secs_f64();
            Ok(hand_out(&summary.lines()))
        })
    };
    // SAFETY: as the caller says; this frame has nothing to drop.
    unsafe { uninterrupted(body) }
}

/// Merges the profile `file` into layer `layer` of the folder `into`: added (`mode` 0), in place of what
/// is there (1), or only what its methods cost (2). Returns `methods<TAB>new`, or null.
///
/// # Safety
/// The texts are NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_profile_merge(
    into: *const c_char,
    layer: *const c_char,
    file: *const c_char,
    mode: i32,
    methods: u32,
    fade: u32,
) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let (into, file, layer) = unsafe {
            let path = |text| Path::new(OsStr::from_bytes(CStr::from_ptr(text).to_bytes()));
            (path(into), path(file), CStr::from_ptr(layer).to_string_lossy())
        };
        let bytes = file::read(file).map_err(SessionError::at(file))?;
        let found = Profile::parse(&String::from_utf8_lossy(&bytes));
        let mode = match mode {
            0 => Mode::Add,
            1 => Mode::Replace,
            _ => Mode::Measure,
        };
        let limits = Limits { methods: methods as usize, sessions: fade };
        Ok(hand_out(&match store::update(into, &layer, &found, mode, limits)? {
            Updated::Merged { methods, new } => format!("{methods}\t{new}"),
            Updated::Pending => "0\t0".to_owned(),
        }))
    })
}

/// A layer with what waits beside it, as the text of one profile, or null.
///
/// # Safety
/// The texts are NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_profile_read(
    folder: *const c_char,
    layer: *const c_char,
) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let (folder, layer) = unsafe {
            let folder = Path::new(OsStr::from_bytes(CStr::from_ptr(folder).to_bytes()));
            (folder, CStr::from_ptr(layer).to_string_lossy())
        };
        if folder.exists() {
            trust::check(folder).map_err(nativecache_runtime::error::Rejected::from)?;
        }
        Ok(hand_out(&store::load(folder, &layer)?.to_string()))
    })
}

/// Puts the entries of a trace into their profiles.
fn write(
    folder: &Path,
    layer: &str,
    from: &str,
    trace: &Trace,
    mode: Mode,
    limits: Limits,
) -> Result<Summary, SessionError> {
    let mut profiles: BTreeMap<&[PackageName], Profile> = BTreeMap::new();
    for entry in &trace.entries {
        for packages in &entry.profiles {
            profiles.entry(packages).or_default().add(&entry.statement, Stats::default());
        }
    }
    let mut summary = Summary::default();
    for (packages, mut profile) in profiles {
        for package in packages {
            profile.set("package", &format!("{} {}", package.name, dashed(package.uuid)));
        }
        profile.set("layer", layer);
        profile.set("from", from);
        profile.set("when", &now());
        profile.set("julia", &process::version());
        match store::update(&folder.join(folder_name(packages)), layer, &profile, mode, limits)? {
            Updated::Merged { methods, new } => summary.profiles.push((packages.to_vec(), methods, new)),
            Updated::Pending => summary.pending.push(packages.to_vec()),
        }
    }
    Ok(summary)
}

impl Summary {
    /// The profiles that have new methods.
    fn learnt(&self) -> Vec<Vec<PackageName>> {
        self.profiles.iter().filter(|(.., new)| *new > 0).map(|(packages, ..)| packages.clone()).collect()
    }

    fn lines(&self) -> String {
        let t = &self.trace;
        let mut out = format!(
            "looked\t{}\ncompiled\t{}\nused\t{}\nkept\t{}\nnowhere\t{}\npending\t{}\nseconds\t{}\n",
            t.looked,
            t.compiled,
            t.used,
            t.entries.len(),
            t.nowhere,
            self.pending.len(),
            self.seconds
        );
        for name in &t.unnamed {
            out.push_str(&format!("unnamed\t{}\n", text::escape(name)));
        }
        for (packages, methods, new) in &self.profiles {
            let names: Vec<&str> = packages.iter().map(|p| p.name.as_str()).collect();
            out.push_str(&format!("profile\t{}\t{methods}\t{new}\n", text::escape(&names.join("+"))));
        }
        out
    }
}

/// A folder for each package, and for each set of packages that must be loaded together.
pub(crate) fn folder_name(packages: &[PackageName]) -> String {
    /// A name may have 255 bytes; src/store/profiles.jl does the same.
    const LONGEST: usize = 240;
    let name = packages.iter().map(|p| package_folder(&p.name, p.uuid)).collect::<Vec<_>>().join("+");
    if name.len() <= LONGEST {
        return name;
    }
    // FNV-1a of 128 bits.
    let sum = name.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |sum, byte| {
        (sum ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    });
    format!("set-{sum:032x}")
}

/// The store in the first depot that can be written to. Julia's own folder is a place only if it is
/// the first.
fn writable(depots: &[PathBuf], store: &Path) -> Option<PathBuf> {
    let julia = process::bin_folder().parent();
    depots.iter().enumerate().find_map(|(at, depot)| {
        if at > 0 && julia.is_some_and(|julia| depot.starts_with(julia)) {
            return None;
        }
        let folder = depot.join(store);
        file::create_folder(&folder.join(PROFILES)).ok()?;
        trust::check(&folder.join(PROFILES)).ok().map(|_| folder)
    })
}

pub(crate) fn dashed(uuid: [u8; 16]) -> String {
    let hex = Hex(&uuid).to_string();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Date and time, UTC.
fn now() -> String {
    let mut text = [0u8; 32];
    // SAFETY: gmtime_r fills `parts`, strftime writes at most the length of `text` and ends it with NUL.
    let length = unsafe {
        let time = libc::time(std::ptr::null_mut());
        let mut parts: libc::tm = std::mem::zeroed();
        if libc::gmtime_r(&raw const time, &raw mut parts).is_null() {
            return "unknown".to_owned();
        }
        libc::strftime(text.as_mut_ptr().cast(), text.len(), c"%Y-%m-%dT%H:%M:%SZ".as_ptr(), &raw const parts)
    };
    String::from_utf8_lossy(&text[..length]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_packages_has_a_folder_of_its_own() {
        let package = |name: &str, byte: u8| PackageName { name: name.to_owned(), uuid: [byte; 16] };
        assert_eq!(
            folder_name(&[package("A", 0x0a), package("B", 0xff)]),
            format!("A-{}+B-{}", "0a".repeat(16), "ff".repeat(16))
        );
        // test/store.jl has the same name.
        let many: Vec<_> = (1..=9).map(|byte| package("Package", byte)).collect();
        assert_eq!(folder_name(&many), "set-4f7c47af64891d97b782f33e8931b66a");
        assert_eq!(dashed([0x12; 16]), "12121212-1212-1212-1212-121212121212");
    }
}
