//! Statements on their way in and out: lasting names become those of this build before Julia reads
//! them, and what they were found to be is written in the words of a profile.

use std::fs;
use std::path::Path;

use nativecache_image::Reason;
use nativecache_julia::handles::{Array, Method, MethodInstance, Module, Object};
use nativecache_julia::lasting_names::{replace_lasting, LastingNames};
use nativecache_julia::packages::Packages;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;
use nativecache_julia::walk;
use nativecache_runtime::trace::statement_of;
use nativecache_store::fields::{escape, line, lines, unescape};
use nativecache_store::Hex;

use crate::error::BuildError;

/// Reads `statements`, writes them with the names of this build into `current`, and adds to `reasons`
/// which of them name something that is not there, as lines `number<TAB>code<TAB>detail`. `modules` are all that are loaded.
pub(crate) fn to_current<'j>(
    julia: &'j Stopped,
    modules: Array<'j>,
    statements: &Path,
    current: &Path,
    reasons: &Path,
) -> Result<(), BuildError> {
    let text = fs::read_to_string(statements).map_err(BuildError::at(statements))?;
    let roots = walk::root_modules(julia, modules);
    // The walk over all methods is for those who need it.
    let methods = if text.contains("var\"#") { all_methods(julia, &roots) } else { Vec::new() };
    let mut out = String::with_capacity(text.len());
    let mut missing = fs::read_to_string(reasons).unwrap_or_default();
    let mut names = LastingNames::new(methods, Sysimage::current().as_ref());
    for (number, statement) in lines(&text).enumerate() {
        match replace_lasting(&unescape(statement), &roots, &mut names) {
            Ok(statement) => out.push_str(&escape(&statement)),
            Err(detail) => {
                let (number, code) = (number + 1, Reason::NoSuchMethod.code());
                missing.push_str(&line([number.to_string(), code.to_string(), detail]));
            }
        }
        out.push('\n');
    }
    fs::write(reasons, missing).map_err(BuildError::at(reasons))?;
    fs::write(current, out).map_err(BuildError::at(current))
}

fn all_methods<'j>(julia: &'j Stopped, roots: &[Module<'j>]) -> Vec<Method<'j>> {
    walk::methods(&walk::method_tables(julia, &walk::modules(roots)))
}

/// Writes what the statements were found to be into `file`, as lines `number<TAB>statement<TAB>package…`:
/// which of the `packages`, root modules, it needs, each by name and uuid. Those that were not found, or have no lasting name,
/// are not in it. `methods` has a method instance for each statement, or `nothing`.
pub(crate) fn to_lasting<'j>(
    julia: &'j Stopped,
    modules: Array<'j>,
    packages: Array<'j>,
    methods: Array<'j>,
    file: &Path,
) -> Result<(), BuildError> {
    let roots = walk::root_modules(julia, modules);
    let sysimage = Sysimage::current();
    let of: Vec<Module<'j>> = packages.items().filter_map(Object::as_kind).collect();
    let mut packages = Packages::new(julia, &roots, sysimage.as_ref());
    let mut names = LastingNames::new(all_methods(julia, &roots), sysimage.as_ref());
    let mut out = String::new();
    for (number, method) in methods.places().enumerate() {
        let instance = method.and_then(Object::as_kind::<MethodInstance<'j>>);
        // Top-level code has no text.
        let Some(instance) = instance.filter(|instance| instance.method().is_some()) else { continue };
        let (text, owners) = statement_of(instance, &of, &mut packages, &mut names);
        let Ok(text) = text else { continue };
        let owners = owners.iter().map(|owner| format!("{} {}", owner.name, Hex(&owner.uuid)));
        out.push_str(&line([(number + 1).to_string(), text].into_iter().chain(owners)));
    }
    fs::write(file, out).map_err(BuildError::at(file))
}
