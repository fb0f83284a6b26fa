//! The file around the tables: trailer, lengths, hashes. A fuzzer cannot find a hash, so the input is tried as it is
//! and once more with the hashes that its own trailer asks for put right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nativecache_image::{content_hash, verify, Image, FORMAT_VERSION, TRAILER_SIZE};

fuzz_target!(|bytes: &[u8]| {
    look(bytes);
    if let Some(mended) = mend(bytes) {
        look(&mended);
    }
});

fn look(bytes: &[u8]) {
    match verify(bytes) {
        Ok(layout) => {
            assert!(layout.elf.end <= layout.image.start && layout.image.end + TRAILER_SIZE == bytes.len());
            let _ = Image::parse(layout.image_bytes(bytes));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The input with its hashes right: those of the parts as the trailer has them, then the trailer's own.
fn mend(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut file = bytes.to_vec();
    let (body, trailer) = file.split_last_chunk_mut::<TRAILER_SIZE>()?;
    let offset = usize::try_from(u64::from_le_bytes(trailer[8..16].try_into().ok()?)).ok()?;
    if let Some((before, image)) = body.split_at_checked(offset) {
        trailer[32..48].copy_from_slice(&content_hash(before).0);
        trailer[48..64].copy_from_slice(&content_hash(image).0);
    }
    trailer[84..88].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    let own = content_hash(&trailer[..64]);
    trailer[64..80].copy_from_slice(&own.0);
    Some(file)
}
