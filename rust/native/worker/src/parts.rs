//! Steps 6 and 7 of a build: from a module to parts, and from these to object files, by as many processes as there are cores, and only what no earlier
//! build has made of the same text.
//!
//! LLVM can optimise several modules at the same time, but Julia's passes have global state; a forked process has
//! its own. Which part gets to which process makes no difference to what is made of it.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use nativecache_codegen::{NativeModule, Part, Target};
use nativecache_image::content_hash;
use nativecache_runtime::load::key;

use crate::assemble::Tables;
use crate::error::BuildError;
use crate::journal::Journal;
use crate::lifetime::{self, wait, End};
use crate::object_files::{Key, ObjectFiles};
use crate::request::Request;

/// How many parts were made, and how many there are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    pub(crate) compiled: usize,
    pub(crate) all: usize,
    pub(crate) processes: usize,
}

/// Each needs some memory of its own, and inference, which comes before, has one process whatever there is.
const MOST_PROCESSES: usize = 8;

/// A part that has to be compiled, and where its object goes.
struct Job {
    part: Part,
    object: PathBuf,
}

/// A module in parts.
pub(crate) struct Split {
    parts: Vec<Part>,
    /// The object of what is left of the module: the tables.
    tables: PathBuf,
    target: Target,
}

/// Splits the module of a library, and writes the object of its tables.
pub(crate) fn split(
    mut module: NativeModule,
    tables: &Tables,
    request: &Request,
) -> Result<Split, BuildError> {
    let id = content_hash(&tables.bytes).0;
    let parts = module.finish_in_parts(&tables.exported, tables.slots, id, &tables.stable_names()?)?;
    module.verify()?;
    let (target, object) = (request.target()?, request.workdir.join("tables.o"));
    module.emit_object(&target, &object)?;
    Ok(Split { parts, tables: object, target })
}

/// The object files of a library, the tables first and the parts in their order. Those that the last build has left are not
/// made again; all of them are left for the next one.
///
/// # Safety
/// This process has one thread that matters, and no Julia code runs.
pub(crate) unsafe fn compile(
    split: Split,
    request: &Request,
    journal: &mut Journal,
) -> Result<(Vec<PathBuf>, Made), BuildError> {
    let Split { parts, tables, target } = split;
    let held = request.objects.as_deref().map(ObjectFiles::read).unwrap_or_default();
    let mut objects = vec![tables];
    let mut keys = Vec::new();
    let mut jobs = Vec::new();
    for (number, part) in parts.into_iter().enumerate() {
        let object = request.workdir.join(format!("part-{number}.o"));
        let key = key_of(&part, &target);
        match held.get(&key) {
            Some(bytes) => std::fs::write(&object, bytes).map_err(BuildError::at(&object))?,
            None => jobs.push(Job { part, object: object.clone() }),
        }
        objects.push(object);
        keys.push(key);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MOST_PROCESSES);
    let made = Made { compiled: jobs.len(), all: keys.len(), processes: cores.min(jobs.len()).max(1) };
    if made.processes == 1 {
        for job in jobs {
            job.part.write(&target, &job.object)?;
            journal.note("optimise");
        }
    } else {
        // SAFETY: as the caller says.
        unsafe { side_by_side(jobs, made.processes, &target, journal) }?;
    }
    leave(&keys, &objects[1..], &request.workdir.join("objects"))?;
    Ok((objects, made))
}

/// Writes the objects of the parts into one file, for the next build.
fn leave(keys: &[Key], objects: &[PathBuf], file: &Path) -> Result<(), BuildError> {
    let mut for_next = ObjectFiles::default();
    for (key, object) in keys.iter().zip(objects) {
        for_next.insert(*key, std::fs::read(object).map_err(BuildError::at(object))?);
    }
    if for_next.write(file).is_err() {
        // It costs the next build time. Half a file would be refused there.
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}

/// What the object of a part depends on: its text, the processor, and all that the key of a library says, this
/// program among it.
fn key_of(part: &Part, target: &Target) -> Key {
    let mut said = format!("{target:?}\n");
    for (name, value) in key::of_process() {
        // Writing to a String cannot fail.
        let _ = writeln!(said, "{name}={value}");
    }
    let text = content_hash(&part.text()).0;
    content_hash(&[said.as_bytes(), &text].concat()).0
}

/// A number that forked processes share.
struct Shared(*mut AtomicUsize);

impl Shared {
    fn new() -> Result<Self, BuildError> {
        // SAFETY: a new mapping, large enough and aligned to a page; zero is a valid AtomicUsize.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<AtomicUsize>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(BuildError::Process(std::io::Error::last_os_error()));
        }
        Ok(Self(memory.cast()))
    }

    fn next(&self) -> usize {
        // SAFETY: mapped until `drop`.
        unsafe { &*self.0 }.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: `new` mapped it, and only `next` uses it.
        unsafe { libc::munmap(self.0.cast(), size_of::<AtomicUsize>()) };
    }
}

/// Each process takes the next job that none has taken.
///
/// # Safety
/// As [`compile`].
unsafe fn side_by_side(
    jobs: Vec<Job>,
    processes: usize,
    target: &Target,
    journal: &mut Journal,
) -> Result<(), BuildError> {
    let next = Shared::new()?;
    // Not a file: the disk may be full.
    let (mut said, mut say) = std::io::pipe().map_err(BuildError::Process)?;
    let mut jobs: Vec<Option<Job>> = jobs.into_iter().map(Some).collect();
    let mut children = Vec::new();
    for _ in 0..processes {
        // SAFETY: the child has the one thread that fork keeps, runs the compiler, and leaves without exit hooks.
        match unsafe { libc::fork() } {
            0 => {
                lifetime::end_with_parent();
                let outcome = work(&mut jobs, &next, target, journal);
                let code = match outcome {
                    Ok(()) => 0,
                    Err(error) => {
                        let text = error.to_string();
                        // As much as a pipe takes at once, so that nobody waits for a reader.
                        let _ = say.write_all(text.as_bytes().get(..4000).unwrap_or(text.as_bytes()));
                        1
                    }
                };
                // SAFETY: nothing of Julia's is to run here.
                unsafe { libc::_exit(code) }
            }
            -1 => {
                let error = std::io::Error::last_os_error();
                children.into_iter().for_each(stop);
                return Err(BuildError::Process(error));
            }
            child => children.push(child),
        }
    }
    drop(say);
    let mut failed = None;
    for (number, child) in children.iter().enumerate() {
        let end = wait(*child).unwrap_or(End::Code(-1));
        if end != End::Code(0) {
            children.iter().skip(number + 1).copied().for_each(stop);
            failed = Some(end);
            break;
        }
    }
    match failed {
        None => Ok(()),
        // What the compiler does to one process, it does to the build: who started it looks for the culprit.
        Some(End::Signal(signal)) => end_like(signal),
        Some(End::Code(code)) => {
            let mut text = Vec::new();
            if said.read_to_end(&mut text).is_ok() && !text.is_empty() {
                return Err(BuildError::Part(String::from_utf8_lossy(&text).into_owned()));
            }
            // LLVM ends a process by itself too; what it had to say is in the log.
            // SAFETY: as above.
            unsafe { libc::_exit(if code == 0 { 1 } else { code }) }
        }
    }
}

fn work(
    jobs: &mut [Option<Job>],
    next: &Shared,
    target: &Target,
    journal: &mut Journal,
) -> Result<(), BuildError> {
    while let Some(job) = jobs.get_mut(next.next()) {
        if let Some(job) = job.take() {
            job.part.write(target, &job.object)?;
            // That there is progress.
            journal.note("optimise");
        }
    }
    Ok(())
}

fn stop(child: libc::pid_t) {
    // SAFETY: a child of ours that nobody has waited for, so the number is still its.
    unsafe { libc::kill(child, libc::SIGKILL) };
    wait(child);
}

/// Ends this process by the signal that ended a child.
fn end_like(signal: i32) -> ! {
    // SAFETY: as if the compiler had died here; Julia's handler would only print a second trace.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
        libc::_exit(128 + signal)
    }
}
