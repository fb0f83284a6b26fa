//! Writes a library file with other bytes and right hashes, as a writer with a bug, another machine or a future
//! version would: `forge <library> <out> <old hex> <new hex>`. Every place where the old bytes stand gets the new
//! ones. Tests provoke with it what no damage of a file can, since damage is found by its hash.

use std::error::Error;

use nativecache_image::{content_hash, Trailer, TRAILER_SIZE};

/// Where the trailer has the hashes (docs/image-format.md).
const CODE_HASH: usize = 32;
const IMAGE_HASH: usize = 48;
const OWN_HASH: usize = 64;

fn bytes_of(hex: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digit = |c: char| c.to_digit(16).ok_or_else(|| format!("{c} is no hexadecimal digit"));
    let digits = hex.chars().map(digit).collect::<Result<Vec<_>, _>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("an odd number of hexadecimal digits".into());
    }
    Ok(pairs.iter().filter_map(|[high, low]| u8::try_from(high * 16 + low).ok()).collect())
}

/// Puts `new` wherever `old` stands; how often that was.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) -> usize {
    let mut count = 0;
    for at in 0..=bytes.len().saturating_sub(old.len()) {
        if bytes.get(at..at + old.len()) == Some(old) {
            bytes[at..at + old.len()].copy_from_slice(new);
            count += 1;
        }
    }
    count
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, out, old, new] = arguments.as_slice() else {
        return Err("usage: forge <library> <out> <old hex> <new hex>".into());
    };
    let (old, new) = (bytes_of(old)?, bytes_of(new)?);
    if old.is_empty() || old.len() != new.len() {
        return Err("the bytes must be as many as those that they replace, and some".into());
    }
    let mut file = std::fs::read(library)?;
    let trailer = Trailer::read(&file)?;
    let (image, end) = (usize::try_from(trailer.image_offset)?, file.len() - TRAILER_SIZE);
    if replace(&mut file[..end], &old, &new) == 0 {
        return Err("the bytes do not stand in it".into());
    }
    let hash = content_hash(&file[image..][..usize::try_from(trailer.image_len)?]).0;
    // The code has it too, as `nativecache_build_id`.
    replace(&mut file[..image], &trailer.image_hash.0, &hash);
    let code_hash = content_hash(&file[..image]).0;
    file[end + CODE_HASH..][..16].copy_from_slice(&code_hash);
    file[end + IMAGE_HASH..][..16].copy_from_slice(&hash);
    let own = content_hash(&file[end..end + OWN_HASH]).0;
    file[end + OWN_HASH..][..16].copy_from_slice(&own);
    std::fs::write(out, file)?;
    Ok(())
}
