//! Where libjulia is. jl-sys leaves the link line to others when it takes the bindings that it brings.

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
