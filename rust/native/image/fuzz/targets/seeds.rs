//! Writes what fuzzing begins with into a corpus folder: an image with one of everything, a small one, and both in
//! library files.

// The coverage counters of this build want the fuzzer's runtime.
use libfuzzer_sys as _;

#[path = "../../tests/common/mod.rs"]
mod common;

use nativecache_image::{append, ImageBuilder};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let corpus = std::env::args().nth(1).ok_or("usage: seeds CORPUS")?;
    let corpus = Path::new(&corpus);
    let elf = std::env::temp_dir().join(format!("nativecache-seeds-{}", std::process::id()));
    std::fs::write(&elf, b"\x7fELF and no more")?;
    for (name, image) in [("full", common::full_image()), ("empty", ImageBuilder::new().finish()?)] {
        std::fs::write(corpus.join("tables").join(name), &image)?;
        let library = corpus.join("library").join(name);
        let _ = std::fs::remove_file(&library);
        append(&elf, &image, &library)?;
    }
    std::fs::remove_file(&elf)?;
    Ok(())
}
