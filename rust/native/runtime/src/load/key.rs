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

use nativecache_julia::sysimage::{gnu_build_id, sysimage_path};
use nativecache_mutation::mutation;
use std::ffi::CStr;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use libc::c_char;
use nativecache_image::{content_hash, Reason, FORMAT_VERSION};
use nativecache_store::lines::key_lines;

use crate::error::Rejected;
use nativecache_julia::elf::global_symbol;
use nativecache_julia::julia_1_5::{
    jl_git_commit, jl_module_build_id, jl_options, jl_threading_enabled, jl_ver_string,
};

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
    let [a, b, c, d, e, f, g, h, ..] = content_hash(key_lines(of_process()).as_bytes()).0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// What this Julia and this machine add to the key, in a fixed order.
fn of_julia() -> Vec<(String, String)> {
    // SAFETY: jl_options and the version strings are constant once Julia runs.
    let options = unsafe { &jl_options };
    let text = |p: *const c_char| {
        if p.is_null() {
            String::new()
        } else {
            // SAFETY: libjulia's strings are NUL-terminated.
            unsafe { CStr::from_ptr(p) }.to_string_lossy().into_owned()
        }
    };
    // SAFETY: no preconditions.
    let julia = unsafe { format!("{} {}", text(jl_ver_string()), text(jl_git_commit())) };
    let mut key = vec![
        ("julia".to_owned(), julia),
        ("sysimage".to_owned(), sysimage_identity()),
        ("machine".to_owned(), std::env::consts::ARCH.to_owned()),
        // SAFETY: no preconditions.
        ("threads build".to_owned(), unsafe { jl_threading_enabled() }.to_string()),
    ];
    for (name, value) in [
        ("optimization (-O)", options.opt_level),
        ("debug info (-g)", options.debug_level),
        ("bounds checks (--check-bounds)", options.check_bounds),
        ("inlining (--inline)", options.can_inline),
        ("math mode (--math-mode)", options.fast_math),
        ("polly (--polly)", options.polly),
    ] {
        key.push((name.to_owned(), value.to_string()));
    }
    key.push(("cpu target (-C)".to_owned(), text(options.cpu_target)));
    key.push((CPU_FEATURES.to_owned(), cpu_features()));
    key
}

/// Compares a library's key with this process's.
pub fn check(library: &[(String, String)], session: &[(String, String)]) -> Result<(), Rejected> {
    for (name, now) in session {
        let Some((_, then)) = library.iter().find(|(n, _)| n == name) else {
            return Err(Rejected::new(Reason::KeyDiffers, format!("{name}: not recorded")));
        };
        if name == CPU_FEATURES {
            let missing: Vec<&str> =
                then.split(',').filter(|f| !f.is_empty() && !now.split(',').any(|n| n == *f)).collect();
            if mutation!("key: more CPU features are as good", !missing.is_empty(), false) {
                return Err(Rejected::new(Reason::CpuFeatures, missing.join(", ")));
            }
        } else if mutation!("key: components are not compared", now != then, false) {
            return Err(Rejected::new(
                Reason::KeyDiffers,
                format!("{name}: built with {then}, this session has {now}"),
            ));
        }
    }
    match library.iter().find(|(name, _)| !session.iter().any(|(n, _)| n == name)) {
        Some((name, _)) => Err(Rejected::new(Reason::KeyDiffers, format!("{name}: unknown here"))),
        None => Ok(()),
    }
}

/// Build ids of Core and Base, and what identifies the sysimage's file: PackageCompiler adds to a
/// sysimage without giving Base another build id.
fn sysimage_identity() -> String {
    // SAFETY: both modules exist from start-up on.
    let (core, base) =
        unsafe { (jl_module_build_id(jl_sys::jl_core_module), jl_module_build_id(jl_sys::jl_base_module)) };
    let file = sysimage_path();
    let file_id = file.as_ref().and_then(|path| gnu_build_id(path)).or_else(|| {
        let meta = std::fs::metadata(file.as_ref()?).ok()?;
        Some(format!("{} bytes of {}", meta.size(), meta.mtime()))
    });
    format!("{core:x}-{base:x}-{}", file_id.unwrap_or_else(|| "unknown".to_owned()))
}

/// What LLVM says of this machine's CPU, as a sorted list; the LLVM that libjulia has loaded is asked.
fn cpu_features() -> String {
    type GetFeatures = unsafe extern "C" fn() -> *mut c_char;
    type Dispose = unsafe extern "C" fn(*mut c_char);
    // SAFETY: libLLVM is in the process's global scope since libjulia links to it; both functions
    // have had these signatures since LLVM 8.
    unsafe {
        let get = global_symbol(c"LLVMGetHostCPUFeatures");
        let dispose = global_symbol(c"LLVMDisposeMessage");
        if get.is_null() || dispose.is_null() {
            return "unknown".to_owned();
        }
        let get: GetFeatures = std::mem::transmute(get);
        let dispose: Dispose = std::mem::transmute(dispose);
        let text = get();
        if text.is_null() {
            return "unknown".to_owned();
        }
        let features = CStr::from_ptr(text).to_string_lossy().into_owned();
        dispose(text);
        let mut present: Vec<&str> = features.split(',').filter_map(|f| f.strip_prefix('+')).collect();
        present.sort_unstable();
        present.join(",")
    }
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
        assert_eq!(error.reason, Reason::KeyDiffers);
        assert_eq!(error.detail, "optimization (-O): built with 2, this session has 3");
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
            assert_eq!(error.reason, Reason::KeyDiffers);
            assert_eq!(error.detail, format!("{name}: built with then, this session has now"));
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
        assert_eq!((error.reason, error.detail.as_str()), (Reason::CpuFeatures, "avx2"));
    }
}
