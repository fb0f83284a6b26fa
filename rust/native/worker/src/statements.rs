//! Statements on their way in and out: lasting names become those of this build before Julia reads
//! them, and what they were found to be is written in the words of a profile.

use std::fs;
use std::path::Path;

use jl_sys::{jl_array_t, jl_module_t};
use nativecache_image::Reason;
use nativecache_julia::collector::CollectorOff;
use nativecache_julia::inspect;
use nativecache_julia::made_up_names::{replace_lasting, Generated};
use nativecache_julia::object::{array_items, is};
use nativecache_julia::raw_packages::Packages;
use nativecache_julia::root_modules::roots;
use nativecache_julia::sysimage::Sysimage;
use nativecache_runtime::trace::statement_of;
use nativecache_store::fields::{escape, line, lines, unescape};
use nativecache_store::Hex;

use crate::error::BuildError;

/// Reads `statements`, writes the same with the names of this build into `current`, and adds to `reasons`
/// which of them name something that is not there, as lines `number<TAB>code<TAB>detail`.
///
/// # Safety
/// On a Julia thread; `modules` is a live array of modules, nothing else runs.
pub unsafe fn to_current(
    modules: *mut jl_array_t,
    statements: &Path,
    current: &Path,
    reasons: &Path,
) -> Result<(), BuildError> {
    let text = fs::read_to_string(statements).map_err(io(statements))?;
    // SAFETY: as the caller says.
    let (text, missing) = unsafe {
        let _off = CollectorOff::new();
        let roots = roots(modules);
        let methods = all_methods(&text, &roots);
        let sysimage = Sysimage::current();
        let mut generated = Generated::new(&methods, sysimage.as_ref());
        let mut out = String::with_capacity(text.len());
        let mut missing = fs::read_to_string(reasons).unwrap_or_default();
        for (number, statement) in lines(&text).enumerate() {
            match replace_lasting(&unescape(statement), &roots, &mut generated) {
                Ok(statement) => out.push_str(&escape(&statement)),
                Err(detail) => {
                    let (number, code) = (number + 1, Reason::NoSuchMethod.code());
                    missing.push_str(&line([number.to_string(), code.to_string(), detail]));
                }
            }
            out.push('\n');
        }
        (out, missing)
    };
    fs::write(reasons, missing).map_err(io(reasons))?;
    fs::write(current, text).map_err(io(current))
}

/// The walk over all methods is for those who need it.
unsafe fn all_methods(text: &str, roots: &[*mut jl_module_t]) -> Vec<*mut jl_sys::jl_method_t> {
    if text.contains("var\"#") {
        // SAFETY: as `to_current`.
        unsafe { inspect::methods(&inspect::method_tables(&inspect::all_modules(roots))) }
    } else {
        Vec::new()
    }
}

/// Writes what the statements were found to be into `file`, as lines `number<TAB>statement<TAB>package…`:
/// which of the `packages` it needs, each by name and uuid. Those that were not found, or have no lasting name, are not in it.
///
/// # Safety
/// As [`to_current`]; `methods` is a `Vector{Any}` of method instances and `nothing`, `packages` one of root
/// modules.
pub unsafe fn to_lasting(
    modules: *mut jl_array_t,
    packages: *mut jl_array_t,
    methods: *mut jl_array_t,
    file: &Path,
) -> Result<(), BuildError> {
    let mut out = String::new();
    // SAFETY: as the caller says.
    unsafe {
        let _off = CollectorOff::new();
        let roots = roots(modules);
        let sysimage = Sysimage::current();
        let all = inspect::methods(&inspect::method_tables(&inspect::all_modules(&roots)));
        let mut generated = Generated::new(&all, sysimage.as_ref());
        let of: Vec<*mut jl_module_t> = array_items(packages)
            .iter()
            .filter(|m| !m.is_null() && is(**m, jl_sys::jl_module_type))
            .map(|m| m.cast())
            .collect();
        let mut packages = Packages::new(&roots, sysimage.as_ref());
        for (number, method) in array_items(methods).iter().enumerate() {
            if method.is_null() || !is(*method, jl_sys::jl_method_instance_type) {
                continue;
            }
            let (text, owners) = statement_of(method.cast(), &of, &mut packages, &mut generated);
            let Ok(text) = text else { continue };
            let mut fields = vec![(number + 1).to_string(), text];
            for owner in owners {
                fields.push(format!("{} {}", owner.name, Hex(&owner.uuid)));
            }
            out.push_str(&line(fields));
        }
    }
    fs::write(file, out).map_err(io(file))
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> BuildError + '_ {
    move |error| BuildError::Io { what: path.to_owned(), error: error.to_string() }
}
