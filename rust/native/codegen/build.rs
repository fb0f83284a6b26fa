//! The library takes LLVM's and Julia's symbols from the process that loads it. Tests are processes of their
//! own, so they are linked against the Julia that `JULIA_DIR` names (as for jl-sys).

use std::path::{Path, PathBuf};

/// Where Julia's libraries lie below its prefix: Debian's and the official builds.
const FOLDERS: [&str; 3] = ["lib/x86_64-linux-gnu", "lib/julia", "lib"];

fn main() {
    println!("cargo:rerun-if-env-changed=JULIA_DIR");
    let Some(prefix) = std::env::var_os("JULIA_DIR").map(PathBuf::from) else { return };
    for name in ["libLLVM-9.so", "libjulia.so"] {
        if let Some(library) = find(&prefix, name) {
            link(&library);
        }
    }
}

fn find(prefix: &Path, name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| prefix.join(folder).join(name)).find(|library| library.exists())
}

fn link(library: &Path) {
    println!("cargo:rustc-link-arg-tests={}", library.display());
    if let Some(folder) = library.parent() {
        // The old kind of run path also holds for the libraries that the library itself needs.
        println!("cargo:rustc-link-arg-tests=-Wl,--disable-new-dtags,-rpath,{}", folder.display());
    }
}
