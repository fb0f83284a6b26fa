//! Building by itself: a package that has a profile and no library for its build, and a profile that has
//! learnt something. What is to be built is a file in the store's `queue`; src/processes/queue.jl works it off in a
//! process that no session waits for, one on a machine at a time.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nativecache_julia::handles::{Array, Module};
use nativecache_julia::kept::Kept;
use nativecache_julia::process;
use nativecache_julia::stopped::Stopped;
use nativecache_runtime::trace::PackageName;
use nativecache_signals::with_failing_writes;
use nativecache_store::file;
use nativecache_store::lines as text;
use nativecache_store::profile::update as store;
use nativecache_store::settings::Auto;

use crate::error::SessionError;
use crate::globals::{base, paths_of};
use crate::hook::PROFILES;
use crate::tracing::{active_project, dashed, folder_name, Here};

/// Where jobs lie in the store.
const QUEUE: &str = "queue";

/// Something was said to the user: once is enough.
static SAID: AtomicBool = AtomicBool::new(false);

/// A package of this session without a library for its build, though a profile says what it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stale {
    /// Its root module.
    pub(crate) module: Kept,
    /// Of its `.ji`.
    pub(crate) build_id: u64,
}

/// Packages were loaded and have no library. Returns whether there may be libraries now.
///
/// # Safety
/// On a Julia thread, without the session's locks, with Ctrl-C put off.
pub(crate) unsafe fn loaded(stale: &[Stale]) -> Result<bool, SessionError> {
    // SAFETY: as the caller says.
    let here = unsafe { Here::find()? };
    if here.settings.auto == Auto::Off {
        return Ok(false);
    }
    let root = here.writable()?;
    let key = format!("{:016x}", nativecache_runtime::load::key::hash());
    let mut wanted: Vec<Vec<PackageName>> = Vec::new();
    {
        // SAFETY: as the caller says.
        let julia = unsafe { Stopped::new() };
        for stale in stale {
            let Some(module) = stale.module.as_kind::<Module<'_>>(&julia) else { continue };
            let package = PackageName { name: module.as_str().to_owned(), uuid: module.uuid() };
            let folder = root.join(PROFILES).join(folder_name(std::slice::from_ref(&package)));
            // Tried with this build of the package, and it came to nothing: only the user tries again.
            if !folder.join(format!("failed-{key}-{:016x}", stale.build_id)).exists() {
                wanted.push(vec![package]);
            }
        }
    }
    // SAFETY: as the caller says.
    unsafe { build(&here, &root, &wanted) }
}

/// The session ends and has taught these profiles something.
///
/// # Safety
/// As [`loaded`].
pub(crate) unsafe fn ended(here: &Here, learnt: &[Vec<PackageName>]) -> Result<(), SessionError> {
    if matches!(here.settings.auto, Auto::Off | Auto::Ask) {
        return Ok(());
    }
    let root = here.writable()?;
    // SAFETY: as the caller says.
    unsafe { build(here, &root, learnt)? };
    // What a build that was killed has left is taken up.
    if learnt.is_empty() && here.settings.auto == Auto::Background && waits(&root.join(QUEUE)) {
        start(&here.sources, &root, false)?;
    }
    Ok(())
}

/// # Safety
/// As [`loaded`].
unsafe fn build(here: &Here, root: &Path, wanted: &[Vec<PackageName>]) -> Result<bool, SessionError> {
    if wanted.is_empty() {
        return Ok(false);
    }
    if here.settings.auto == Auto::Ask {
        if process::options().isinteractive != 0 && !SAID.swap(true, Ordering::Relaxed) {
            let names: Vec<&str> = wanted.iter().flatten().map(|p| p.name.as_str()).collect();
            // Standard error may be closed, a full disk, or a file that must not grow.
            let _ = with_failing_writes(|| {
                writeln!(
                    std::io::stderr(),
                    "NativeCache: no library for this build of {}; NativeCache.update!() makes one, and with \
                     NativeCache.set!(auto = \"background\") sessions do from now on",
                    names.join(", ")
                )
            });
        }
        return Ok(false);
    }
    // SAFETY: as the caller says.
    let session = unsafe { HowStarted::of_this()? };
    let queue = root.join(QUEUE);
    file::create_folder(&queue).map_err(SessionError::at(&queue))?;
    let key = nativecache_runtime::load::key::hash();
    for packages in wanted {
        let job = queue.join(format!("{}-{key:016x}.job", folder_name(packages)));
        store::write(&job, session.job(here, packages).as_bytes())?;
    }
    let wait = here.settings.auto == Auto::Now;
    start(&here.sources, root, wait)?;
    Ok(wait)
}

fn waits(queue: &Path) -> bool {
    fs::read_dir(queue).is_ok_and(|mut entries| entries.next().is_some())
}

/// The log, begun anew once it is long; what was there before stays in `background.log.old`.
fn log(root: &Path) -> Result<File, SessionError> {
    const LONG: u64 = 1 << 20;
    let path = root.join("background.log");
    if path.metadata().is_ok_and(|meta| meta.len() > LONG) {
        fs::rename(&path, root.join("background.log.old")).map_err(SessionError::at(&path))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o644).open(&path).map_err(SessionError::at(&path))
}

/// Starts a process that works off the queue, detached from this session unless that waits for it.
fn start(sources: &Path, root: &Path, wait: bool) -> Result<(), SessionError> {
    let log = log(root)?;
    let shell = Path::new("/bin/sh");
    // The shell ends at once, so that the session has no child to collect, and Ctrl-C goes past it.
    let mut command = Command::new(shell);
    command.args(["-c", if wait { "exec \"$@\"" } else { "\"$@\" &" }, "sh"]).arg(program()).args([
        "--startup-file=no",
        "--history-file=no",
        "--compile=min",
        "-O0",
    ]);
    command.arg(sources.join("processes/queue.jl")).arg(root.join(QUEUE)).arg(if wait {
        "wait"
    } else {
        "background"
    });
    command.env("JULIA_NATIVECACHE", "off").env_remove("JULIA_LOAD_PATH").env_remove("JULIA_PROJECT");
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(SessionError::at(root))?)
        .stderr(log)
        .current_dir("/");
    if wait {
        wait_for(command.spawn().map_err(SessionError::at(shell))?).map_err(SessionError::at(shell))
    } else {
        command.status().map(drop).map_err(SessionError::at(shell))
    }
}

/// Waits for the process to end, or for Ctrl-C. At a terminal that ends the process too; where the session alone got
/// it (a notebook's), the process goes on without being waited for.
fn wait_for(mut child: Child) -> std::io::Result<()> {
    while child.try_wait()?.is_none() {
        // A collection that another thread begins waits for this one.
        // SAFETY: on a Julia thread, with no Julia object held; Ctrl-C is put off, so nothing is thrown here.
        unsafe { process::safepoint() };
        if process::is_interrupted() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The program that runs this session.
fn program() -> PathBuf {
    let path = Path::new(OsStr::from_bytes(process::text_option(|options| options.julia_bin)));
    process::bin_folder().join(path.file_name().unwrap_or(OsStr::new("julia")))
}

/// How this session was started, for a process that must find the same packages and make code for it.
struct HowStarted {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl HowStarted {
    /// # Safety
    /// On a Julia thread.
    unsafe fn of_this() -> Result<Self, SessionError> {
        // SAFETY: as the caller says.
        let julia = &unsafe { Stopped::new() };
        let options = process::options();
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let mut arguments = vec![program().to_string_lossy().into_owned()];
        arguments.push(format!("-C{}", text(process::text_option(|options| options.cpu_target))));
        arguments.push(format!("-J{}", text(process::text_option(|options| options.image_file))));
        arguments.push(format!("-O{}", options.opt_level));
        arguments.push(format!("-g{}", options.debug_level));
        // As src/build/build.jl has them.
        let mut flag = |name: &str, value: i8, values: &[(i8, &str)]| {
            if let Some((_, word)) = values.iter().find(|(number, _)| *number == value) {
                arguments.push(format!("--{name}={word}"));
            }
        };
        flag("check-bounds", options.check_bounds, &[(1, "yes"), (2, "no")]);
        flag("inline", options.can_inline, &[(0, "no")]);
        flag("math-mode", options.fast_math, &[(1, "fast"), (2, "ieee")]);
        flag("polly", options.polly, &[(0, "no")]);
        flag("depwarn", options.depwarn, &[(1, "yes"), (2, "error")]);
        if let Some(project) = active_project(julia) {
            arguments.push(format!("--project={}", project.display()));
        }
        arguments.extend(["--startup-file=no", "--history-file=no", "--color=no"].map(str::to_owned));
        let mut variables = vec![
            ("JULIA_LOAD_PATH".to_owned(), strings(base(julia, "LOAD_PATH")?)),
            ("JULIA_DEPOT_PATH".to_owned(), strings(base(julia, "DEPOT_PATH")?)),
            ("JULIA_NATIVECACHE".to_owned(), "off".to_owned()),
            ("JULIA_NUM_THREADS".to_owned(), "1".to_owned()),
        ];
        // What is no Unicode cannot be said in a job; the process that works it off has this one's environment.
        for (name, value) in std::env::vars_os() {
            let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
            let settings = name.starts_with("JULIA_NATIVECACHE_");
            if settings || matches!(name.as_str(), "PATH" | "LD_LIBRARY_PATH" | "HOME" | "TMPDIR") {
                variables.push((name, value));
            }
        }
        Ok(HowStarted { arguments, variables })
    }

    /// Lines `argument<TAB>…`, `variable<TAB>NAME<TAB>…` and `package<TAB>uuid<TAB>Name`.
    fn job(&self, here: &Here, packages: &[PackageName]) -> String {
        let mut out = String::new();
        let mut argument = |text: &str| out.push_str(&format!("argument\t{}\n", text::escape(text)));
        self.arguments.iter().for_each(|text| argument(text));
        argument(&here.sources.join("processes/background.jl").to_string_lossy());
        for package in packages {
            out.push_str(&format!("package\t{}\t{}\n", dashed(package.uuid), text::escape(&package.name)));
        }
        for (name, value) in &self.variables {
            out.push_str(&format!("variable\t{}\t{}\n", text::escape(name), text::escape(value)));
        }
        out
    }
}

/// The strings of a vector between colons, as Julia reads them from the environment.
fn strings(array: Array<'_>) -> String {
    paths_of(array).iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(":")
}
