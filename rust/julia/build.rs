//! Tells the linker where libjulia is. With its bundled bindings, jl-sys does not do that.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=JULIA_DIR");
    println!("cargo:rustc-link-lib=julia");
    let Some(prefix) = env::var_os("JULIA_DIR").map(PathBuf::from) else {
        return;
    };
    let lib = prefix.join("lib");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    for dir in [lib.clone(), lib.join(format!("{arch}-linux-gnu")), lib.join("julia")] {
        if dir.join("libjulia.so").exists() {
            println!("cargo:rustc-link-search=native={}", dir.display());
        }
    }
}
