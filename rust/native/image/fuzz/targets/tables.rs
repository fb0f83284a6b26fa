//! Whatever the bytes, the table reader gives an error with a text or an image that can be read from end to end.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use libfuzzer_sys::fuzz_target;
use nativecache_image::{Image, FORMAT_VERSION, IMAGE_MAGIC};

fuzz_target!(|bytes: &[u8]| {
    look(bytes);
    // So that a corpus outlives a new format version.
    let mut mended = bytes.to_vec();
    if let Some(head) = mended.get_mut(..12) {
        head[..8].copy_from_slice(&IMAGE_MAGIC);
        head[8..].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        look(&mended);
    }
});

fn look(bytes: &[u8]) {
    match Image::parse(bytes) {
        Ok(image) => {
            common::walk(&image);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
