//! The request file that src/build/build.jl writes: lines `key<TAB>value…`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use nativecache_codegen::{OptLevel, Target};
use nativecache_image::Reason;
use nativecache_julia::process::text_option;
use nativecache_store::fields::{fields, lines, unescape};

use crate::error::BuildError;

/// Compile everything, or find out which functions kill the compiler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    Normal,
    Isolate,
}

/// What is to be built and where.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) output: PathBuf,
    pub(crate) workdir: PathBuf,
    pub(crate) journal: PathBuf,
    pub(crate) result: PathBuf,
    pub(crate) exclude: PathBuf,
    /// A library that the new one is to be compared with.
    pub(crate) compare: Option<PathBuf>,
    /// Object files of an earlier build.
    pub(crate) objects: Option<PathBuf>,
    pub(crate) mode: Mode,
    pub(crate) linker: String,
    pub(crate) opt: i32,
    /// One text for each method of the call.
    pub(crate) statements: Vec<String>,
    /// Why a statement has no method, by its number from 0.
    pub(crate) reasons: HashMap<usize, (Reason, String)>,
    /// Hash and names of the sets of modules under which the library may be used.
    pub(crate) module_sets: Vec<(u64, String)>,
    /// The newest world when this process began, 0 if that is not known.
    pub(crate) start_world: usize,
    /// Method instances, as text, that the compiler died of.
    pub(crate) excluded: Vec<String>,
}

impl Request {
    /// What this process's JIT compiles for, with the optimisation that is asked for.
    pub(crate) fn target(&self) -> Result<Target, BuildError> {
        let wanted = match text_option(|options| options.cpu_target) {
            [] => "native".into(),
            wanted => String::from_utf8_lossy(wanted),
        };
        Ok(Target::of_session(&wanted, OptLevel::try_from(self.opt)?))
    }

    /// Reads the file, and those that it names.
    pub(crate) fn read(path: &Path) -> Result<Self, BuildError> {
        let text = read(path)?;
        let mut known: HashMap<String, String> = HashMap::new();
        let mut module_sets = Vec::new();
        for line in lines(&text) {
            let mut fields = fields(line).into_iter();
            let (Some(key), Some(value)) = (fields.next(), fields.next()) else { continue };
            if key == "module_set" {
                let hash = u64::from_str_radix(value.trim_start_matches("0x"), 16)
                    .map_err(|_| BuildError::Request { key: "module_set", value })?;
                module_sets.push((hash, fields.next().unwrap_or_default()));
            } else {
                known.insert(key, value);
            }
        }
        let field = |key: &'static str| {
            let value = known.get(key).map(String::as_str);
            value.ok_or(BuildError::Request { key, value: "(absent)".to_owned() })
        };
        let mode = match field("mode")? {
            "normal" => Mode::Normal,
            "isolate" => Mode::Isolate,
            other => return Err(BuildError::Request { key: "mode", value: other.to_owned() }),
        };
        let opt = field("opt")?;
        let opt = opt.parse().map_err(|_| BuildError::Request { key: "opt", value: opt.to_owned() })?;
        let exclude = PathBuf::from(field("exclude")?);
        let excluded = if exclude.exists() { read(&exclude)? } else { String::new() };
        let statements = lines(&read(Path::new(field("statements")?))?).map(unescape).collect();
        let reasons = read(Path::new(field("reasons")?)).unwrap_or_default();
        Ok(Request {
            output: field("output")?.into(),
            workdir: field("workdir")?.into(),
            journal: field("journal")?.into(),
            result: field("result")?.into(),
            exclude,
            mode,
            objects: known.get("objects").map(PathBuf::from),
            compare: known.get("compare").map(PathBuf::from),
            linker: field("linker")?.to_owned(),
            opt,
            statements,
            reasons: lines(&reasons).filter_map(reason_line).collect(),
            module_sets,
            start_world: known.get("start_world").and_then(|text| text.parse().ok()).unwrap_or(0),
            excluded: lines(&excluded).map(unescape).collect(),
        })
    }
}

fn read(path: &Path) -> Result<String, BuildError> {
    fs::read_to_string(path).map_err(BuildError::at(path))
}

/// `number<TAB>code<TAB>detail`, numbers from 1.
fn reason_line(line: &str) -> Option<(usize, (Reason, String))> {
    let mut fields = fields(line).into_iter();
    let number: usize = fields.next()?.parse().ok()?;
    let reason = Reason::from_code(fields.next()?.parse().ok()?)?;
    Some((number.checked_sub(1)?, (reason, fields.next().unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_from_one() {
        let (index, (reason, detail)) = reason_line("3\t201\ta\\tb").unwrap();
        assert_eq!((index, reason, detail.as_str()), (2, Reason::NamesMain, "a\tb"));
        assert!(reason_line("0\t201\t").is_none());
        assert!(reason_line("x\t201\t").is_none());
        assert!(reason_line("1\t9999\t").is_none());
    }
}
