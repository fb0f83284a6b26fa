//! What must be equal between the process that built a library and the one that uses it.
//!
//! | component | why |
//! |---|---|
//! | `format`, `NativeCache` | what is in the tables, and what has made and checked it |
//! | `julia` | struct layouts, calling conventions, the code generator itself |
//! | `sysimage` | its methods, types and native code are referred to by name, not checked one by one |
//! | `threads build` | where a thread keeps its state |
//! | `optimization` … `polly` | command-line flags that change what Julia would compile |
//! | `cpu target` | `-C`, for the same reason |
//! | `cpu features` | the machine must have all that the code was compiled for |

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use nativecache_image::{content_hash, Reason, FORMAT_VERSION};
use nativecache_julia::process;
use nativecache_julia::sysimage::{gnu_build_id, sysimage_path};
use nativecache_mutation::mutation;
use nativecache_store::lines::key_lines;

/// The component that is compared as a set: the library's features must be among the machine's.
pub const CPU_FEATURES: &str = "cpu features";

/// This version of NativeCache, and a hash of the sources that its code generator was built from (deps/build.jl):
/// what another one has made may lack a check of this one, or a correction.
const BUILD: &str = match option_env!("NATIVECACHE_BUILD") {
    Some(build) => build,
    None => concat!(env!("CARGO_PKG_VERSION"), " (built without deps/build.jl)"),
};

/// The key of this process, in a fixed order; constant, so made once.
pub fn of_process() -> &'static [(String, String)] {
    static KEY: OnceLock<Vec<(String, String)>> = OnceLock::new();
    KEY.get_or_init(|| {
        let mut key = vec![
            ("format".to_owned(), FORMAT_VERSION.to_string()),
            ("NativeCache".to_owned(), BUILD.to_owned()),
        ];
        key.extend(of_julia());
        key
    })
}

/// A number that differs when the key of this process differs, for the name of the store's folder.
pub fn hash() -> u64 {
    let hash = content_hash(key_lines(of_process()).as_bytes()).0;
    hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// What this Julia and this machine add to the key, in a fixed order.
fn of_julia() -> Vec<(String, String)> {
    let (version, commit) = (process::version(), process::commit());
    let flags = process::compiler_flags();
    let target = String::from_utf8_lossy(process::text_option(|options| options.cpu_target));
    let mut key = vec![
        ("julia".to_owned(), format!("{version} {commit}")),
        ("sysimage".to_owned(), sysimage_identity()),
        ("machine".to_owned(), std::env::consts::ARCH.to_owned()),
        ("threads build".to_owned(), process::threads_of_build().to_string()),
    ];
    for (name, value) in [
        ("optimization (-O)", flags.optimization),
        ("debug info (-g)", flags.debug_info),
        ("bounds checks (--check-bounds)", flags.bounds_checks),
        ("inlining (--inline)", flags.inlining),
        ("math mode (--math-mode)", flags.math_mode),
        ("polly (--polly)", flags.polly),
    ] {
        key.push((name.to_owned(), value.to_string()));
    }
    key.push(("cpu target (-C)".to_owned(), target.into_owned()));
    let features = process::cpu_features().map_or_else(|| "unknown".to_owned(), |present| present.join(","));
    key.push((CPU_FEATURES.to_owned(), features));
    key
}

/// In what a library's key differs from a session's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyDifference {
    /// The library does not say what this component was.
    NotRecorded(String),
    /// A component has another value.
    Differs {
        /// Which one.
        name: String,
        /// Its value when the library was built.
        at_build: String,
        /// Its value in this session.
        now: String,
    },
    /// The library records a component that this session knows nothing of.
    Unknown(String),
    /// This machine lacks CPU features that the code was compiled for.
    CpuFeatures(Vec<String>),
}

impl KeyDifference {
    /// The kind of trouble.
    pub fn reason(&self) -> Reason {
        match self {
            KeyDifference::CpuFeatures(_) => Reason::CpuFeatures,
            _ => Reason::KeyDiffers,
        }
    }
}

impl fmt::Display for KeyDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyDifference::NotRecorded(name) => write!(f, "{name}: not recorded"),
            KeyDifference::Differs { name, at_build, now } => {
                write!(f, "{name}: built with {at_build}, this session has {now}")
            }
            KeyDifference::Unknown(name) => write!(f, "{name}: unknown here"),
            KeyDifference::CpuFeatures(missing) => f.write_str(&missing.join(", ")),
        }
    }
}

/// Compares a library's key with this process's.
pub fn check(library: &[(String, String)], session: &[(String, String)]) -> Result<(), KeyDifference> {
    for (name, now) in session {
        let Some((_, at_build)) = library.iter().find(|(n, _)| n == name) else {
            return Err(KeyDifference::NotRecorded(name.clone()));
        };
        if name == CPU_FEATURES {
            let is_missing = |feature: &&str| !feature.is_empty() && !now.split(',').any(|n| n == *feature);
            let missing: Vec<String> = at_build.split(',').filter(is_missing).map(str::to_owned).collect();
            if mutation!("key: more CPU features are as good", !missing.is_empty(), false) {
                return Err(KeyDifference::CpuFeatures(missing));
            }
        } else if mutation!("key: components are not compared", now != at_build, false) {
            let (name, at_build, now) = (name.clone(), at_build.clone(), now.clone());
            return Err(KeyDifference::Differs { name, at_build, now });
        }
    }
    match library.iter().find(|(name, _)| !session.iter().any(|(n, _)| n == name)) {
        Some((name, _)) => Err(KeyDifference::Unknown(name.clone())),
        None => Ok(()),
    }
}

/// Build ids of Core and Base, and what identifies the sysimage's file: PackageCompiler adds to a
/// sysimage without giving Base another build id.
fn sysimage_identity() -> String {
    let [core, base] = process::build_ids_of_core_and_base();
    let file = sysimage_path();
    let file_id = file.as_ref().and_then(|path| gnu_build_id(path)).or_else(|| {
        let meta = std::fs::metadata(file.as_ref()?).ok()?;
        Some(format!("{} bytes of {}", meta.size(), meta.mtime()))
    });
    format!("{core:x}-{base:x}-{}", file_id.unwrap_or_else(|| "unknown".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn each_component_must_be_equal() {
        let a = key(&[("julia", "1.5.3"), ("optimization (-O)", "2")]);
        assert!(check(&a, &a).is_ok());
        let b = key(&[("julia", "1.5.3"), ("optimization (-O)", "3")]);
        let error = check(&a, &b).unwrap_err();
        assert_eq!(error.reason(), Reason::KeyDiffers);
        assert_eq!(error.to_string(), "optimization (-O): built with 2, this session has 3");
        assert!(check(&a[..1], &a).is_err(), "a component that was not recorded is no match");
        assert!(check(&a, &a[..1]).is_err(), "a component unknown here is no match");
    }

    /// Every component by its name, whatever it is: another value is refused with that name and both values.
    #[test]
    fn each_component_is_named_when_it_differs() {
        let names = [
            "format",
            "julia",
            "sysimage",
            "machine",
            "threads build",
            "optimization (-O)",
            "debug info (-g)",
            "bounds checks (--check-bounds)",
            "inlining (--inline)",
            "math mode (--math-mode)",
            "polly (--polly)",
            "cpu target (-C)",
        ];
        let session: Vec<_> = names.iter().map(|name| ((*name).to_owned(), "now".to_owned())).collect();
        for (at, name) in names.iter().enumerate() {
            let mut library = session.clone();
            library[at].1 = "then".to_owned();
            let error = check(&library, &session).unwrap_err();
            assert_eq!(error.reason(), Reason::KeyDiffers);
            assert_eq!(error.to_string(), format!("{name}: built with then, this session has now"));
            library[at].1 = "now".to_owned();
            assert!(check(&library, &session).is_ok());
        }
    }

    #[test]
    fn cpu_features_must_be_a_subset() {
        let less = key(&[(CPU_FEATURES, "avx,sse2")]);
        let more = key(&[(CPU_FEATURES, "avx,avx2,sse2")]);
        assert!(check(&less, &more).is_ok());
        let error = check(&more, &less).unwrap_err();
        assert_eq!((error.reason(), error.to_string().as_str()), (Reason::CpuFeatures, "avx2"));
    }
}
