//! What is told of one method and of one file: the questions of `status` and `explain`. None of this
//! runs while packages load.

use std::ffi::{c_char, CStr, OsStr};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nativecache_image::PackageId;
use nativecache_julia::definitions::Definitions;
use nativecache_julia::handles::{CodeInstance, Invoke, MethodInstance, Object, RawObject};
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;
use nativecache_runtime::load::key;
use nativecache_runtime::load::library::LibraryFile;
use nativecache_runtime::load::outcomes::{Outcome, Outcomes};
use nativecache_store::boundary::hand_out;
use nativecache_store::{lines as text, Hex};

use crate::error::{guard, SessionError};
use crate::globals::loaded_modules;
use crate::session::with_session;

/// Says which definition ended what, reading all methods at the first question only.
struct Ends<'j> {
    julia: &'j Stopped,
    definitions: Option<Definitions<'j>>,
}

impl<'j> Ends<'j> {
    fn new(julia: &'j Stopped) -> Self {
        Ends { julia, definitions: None }
    }

    /// What happened right after `world`.
    fn after(&mut self, world: usize) -> Result<String, SessionError> {
        let definitions = match self.definitions.take() {
            Some(known) => known,
            None => Definitions::read(self.julia, loaded_modules(self.julia)?),
        };
        Ok(self.definitions.insert(definitions).after(world))
    }

    fn line(&mut self, outcome: &Outcome) -> Result<String, SessionError> {
        let detail = match outcome.ended {
            Some(world) => self.after(world)?,
            None => outcome.detail.clone(),
        };
        Ok(text::line(outcome.bucket.name(), outcome.reason, &outcome.statement, &detail))
    }
}

/// The requested methods of library `id` as lines `bucket<TAB>reason code<TAB>statement<TAB>detail`.
///
/// # Safety
/// On a Julia thread.
#[no_mangle]
pub unsafe extern "C" fn nativecache_entries(id: i64) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let julia = unsafe { Stopped::new() };
        with_session(|session| {
            let (mut ends, mut lines) = (Ends::new(&julia), String::new());
            for outcome in Outcomes::of(session.library(id)?, &julia).requested() {
                lines.push_str(&ends.line(&outcome)?);
            }
            Ok(hand_out(&lines))
        })
    })
}

/// What this session knows of a method instance, as lines:
/// `code`, kind, path, first and last world (0 for no end), what ended it: each of its code instances;
/// `library`, path, bucket, reason code, statement (empty if nobody asked for it), detail: each linked
/// library that has it.
///
/// # Safety
/// On a Julia thread; `instance` is a live method instance.
#[no_mangle]
pub unsafe extern "C" fn nativecache_method(instance: RawObject) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let julia = unsafe { Stopped::new() };
        // SAFETY: as the caller says.
        let Some(instance) =
            unsafe { Object::from_ptr(instance) }.and_then(Object::as_kind::<MethodInstance<'_>>)
        else {
            return Ok(hand_out(""));
        };
        let sysimage = Sysimage::current();
        with_session(|session| {
            let (mut ends, mut lines) = (Ends::new(&julia), String::new());
            for code in instance.code_instances() {
                let (kind, path) = code_kind(code, sysimage.as_ref(), &|address| session.path_at(address));
                let last = code.max_world();
                let (last, by) =
                    if last == usize::MAX { (0, String::new()) } else { (last, ends.after(last)?) };
                let (path, by) = (text::escape(&path), text::escape(&by));
                // Writing to a String cannot fail.
                let _ = writeln!(lines, "code\t{kind}\t{path}\t{}\t{last}\t{by}", code.min_world());
            }
            for library in session.libraries() {
                let path = text::escape(&library.path().to_string_lossy());
                for outcome in Outcomes::of(library, &julia).of_method_instance(instance) {
                    let _ = write!(lines, "library\t{path}\t{}", ends.line(&outcome)?);
                }
            }
            Ok(hand_out(&lines))
        })
    })
}

/// Where the native code of a code instance lies.
fn code_kind(
    code: CodeInstance<'_>,
    sysimage: Option<&Sysimage>,
    library: &dyn Fn(usize) -> Option<String>,
) -> (&'static str, String) {
    let none = |kind| (kind, String::new());
    let invoke = match code.invoke() {
        Some(Invoke::ConstReturn) => return none("constant"),
        invoke => invoke.map_or(0, Invoke::address),
    };
    let address = if code.specptr() == 0 { invoke } else { code.specptr() };
    if address == 0 {
        return none("inferred");
    }
    if let Some(path) = library(address) {
        return ("library", path);
    }
    if sysimage.is_some_and(|s| s.span.contains(&address)) {
        return none("sysimage");
    }
    none("session")
}

/// What a library file says of itself, linked or not, as lines:
/// `problem`, reason code, detail: why this session cannot use it;
/// `key`, component, value at build, value here; `package`, name, uuid, build id; `functions`, count.
///
/// # Safety
/// `path` is NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn nativecache_inspect(path: *const c_char) -> *mut c_char {
    guard(std::ptr::null_mut(), || {
        // SAFETY: as the caller says.
        let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
        Ok(hand_out(&inspection(path)))
    })
}

fn inspection(path: &Path) -> String {
    let mut lines = String::new();
    let problem = |lines: &mut String, rejected: &nativecache_runtime::error::Rejected| {
        // Writing to a String cannot fail.
        let _ =
            writeln!(lines, "problem\t{}\t{}", rejected.reason().code(), text::escape(&rejected.detail()));
    };
    let file = match LibraryFile::open(path) {
        Ok(file) => file,
        Err(rejected) => {
            problem(&mut lines, &rejected);
            return lines;
        }
    };
    let image = match file.image() {
        Ok(image) => image,
        Err(rejected) => {
            problem(&mut lines, &rejected);
            return lines;
        }
    };
    let built: Vec<(String, String)> = (0..image.key_count())
        .filter_map(|i| image.key_component(i).ok())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if let Err(difference) = key::check(&built, key::of_process()) {
        problem(&mut lines, &difference.into());
    }
    for (name, value) in &built {
        let here = key::of_process().iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str());
        let fields = [name.as_str(), value, here].map(text::escape).join("\t");
        let _ = writeln!(lines, "key\t{fields}");
    }
    for package in (0..image.package_count()).filter_map(|i| image.package(PackageId(i)).ok()) {
        if package.in_sysimage {
            continue;
        }
        let uuid = Hex(&package.uuid);
        let _ = writeln!(lines, "package\t{}\t{uuid}\t{:016x}", text::escape(package.name), package.build_id);
    }
    let _ = writeln!(lines, "functions\t{}", image.function_count());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_has_a_reason() {
        let told = inspection(Path::new("/nonexistent/nativecache.so"));
        assert!(told.starts_with("problem\t100\t"), "{told}");
    }
}
