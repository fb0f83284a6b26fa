//! The library file: parts are found again; anything changed, cut off or added is noticed.

mod common;

use common::full_image;
use nativecache_image::{
    append, content_hash, read_verified, verify, Image, ImageError, Reason, Trailer, FORMAT_VERSION,
    IMAGE_ALIGN, TRAILER_MAGIC, TRAILER_SIZE,
};
use std::fs;
use std::path::PathBuf;

/// A folder of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("nativecache-image-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn elf(len: usize) -> Vec<u8> {
    let mut elf = b"\x7fELF\x02\x01\x01\0".to_vec();
    elf.resize(len, 0x5a);
    elf
}

fn library(name: &str, elf_len: usize) -> Vec<u8> {
    let folder = Folder::new(name);
    let (object, out) = (folder.file("object.so", &elf(elf_len)), folder.0.join("library.so"));
    append(&object, &full_image(), &out).unwrap();
    fs::read(out).unwrap()
}

#[test]
fn parts_are_found_again() {
    let image = full_image();
    for elf_len in [8, 63, 64, 65, 1000] {
        let file = library("parts", elf_len);
        let layout = verify(&file).unwrap();
        assert_eq!(layout.elf, 0..elf_len);
        assert_eq!(file[layout.elf.clone()], elf(elf_len));
        assert_eq!(layout.image.start % IMAGE_ALIGN, 0);
        assert!(layout.image.start - elf_len < IMAGE_ALIGN);
        assert_eq!(layout.image_bytes(&file), image);
        assert_eq!(layout.image_hash, content_hash(&image));
        assert_eq!(file.len(), layout.image.end + TRAILER_SIZE);
        Image::parse(layout.image_bytes(&file)).unwrap();
        assert!(layout.image_bytes(&file[..10]).is_empty());
    }
}

#[test]
fn the_trailer_can_be_read_alone() {
    let file = library("trailer", 100);
    let whole = Trailer::read(&file).unwrap();
    assert_eq!(Trailer::read(&file[file.len() - TRAILER_SIZE..]).unwrap(), whole);
    assert_eq!((whole.elf_len, whole.image_offset), (100, 128));
    assert_eq!(whole.file_len, file.len() as u64);
    assert_eq!(whole.image_hash, content_hash(&full_image()));
}

#[test]
fn equal_parts_give_equal_files() {
    assert_eq!(library("equal-1", 100), library("equal-2", 100));
    assert_ne!(library("equal-1", 100), library("equal-2", 101));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let mut file = library("bits", 100);
    let parts = verify(&file).unwrap();
    let trailer = parts.image.end;
    let mut reasons = std::collections::BTreeMap::<Reason, usize>::new();
    for at in 0..file.len() {
        for bit in 0..8 {
            file[at] ^= 1 << bit;
            let error = verify(&file).expect_err("accepted a flipped bit");
            if at < trailer + 80 {
                assert!(matches!(error, ImageError::HashMismatch { .. }), "byte {at}: {error}");
            }
            *reasons.entry(error.reason()).or_default() += 1;
            file[at] ^= 1 << bit;
        }
    }
    verify(&file).unwrap();
    // Behind the hashed part stand size, version and magic; without the magic this is an ELF file with its end lost.
    assert_eq!(
        reasons.into_iter().collect::<Vec<_>>(),
        [
            (Reason::Truncated, 64),
            (Reason::FormatVersion, 32),
            (Reason::HashMismatch, (trailer + 80) * 8),
            (Reason::Malformed, 32)
        ]
    );
}

#[test]
fn every_length_is_noticed() {
    let file = library("lengths", 100);
    for length in 0..file.len() {
        let error = verify(&file[..length]).expect_err("accepted a cut file");
        assert!(length < 4 || error.reason() == Reason::Truncated, "{length}: {error}");
        assert!(verify(&file[file.len() - length..]).is_err(), "accepted the last {length} bytes");
    }
    for more in 1..200 {
        let mut longer = file.clone();
        longer.resize(file.len() + more, 0);
        assert!(verify(&longer).is_err());
        // The trailer still at the end, something else before the beginning.
        let longer = [vec![0x7f; more], file.clone()].concat();
        assert!(verify(&longer).is_err());
    }
    // A piece missing from, or doubled in, the middle.
    assert!(verify(&[&file[..50], &file[51..]].concat()).is_err());
    assert!(verify(&[&file[..50], &file[49..]].concat()).is_err());
}

/// A reader that hands over as little as it likes, as files on a network do.
struct Slow<'a>(&'a [u8]);

impl std::io::Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.len().min(buffer.len()).min(1000);
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn piece_by_piece_says_the_same() {
    let same = |file: &[u8]| {
        let Ok(trailer) = Trailer::read(file) else { return };
        let read = read_verified(&mut Slow(file), &trailer, file.len() as u64).unwrap();
        match (verify(file), read) {
            (Ok(layout), Ok(image)) => assert_eq!(image, layout.image_bytes(file)),
            (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string()),
            (one, other) => panic!("{one:?} but {other:?}"),
        }
    };
    // One and several pieces of code.
    for elf_len in [100, 64 << 10, 200_001] {
        let mut file = library("pieces", elf_len);
        same(&file);
        for at in (0..file.len()).step_by(if elf_len > 100 { 997 } else { 1 }) {
            file[at] ^= 1;
            same(&file);
            file[at] ^= 1;
        }
        // Shorter than its trailer says it was when that was read.
        let trailer = Trailer::read(&file).unwrap();
        for missing in [1, TRAILER_SIZE, file.len() / 2] {
            let cut = &file[..file.len() - missing];
            let read = read_verified(&mut Slow(cut), &trailer, file.len() as u64);
            let lost = missing > TRAILER_SIZE;
            assert_eq!(read.is_err(), lost, "{missing} missing of {elf_len}");
            assert!(read_verified(&mut Slow(cut), &trailer, cut.len() as u64).unwrap().is_err());
        }
    }
}

#[test]
fn strangers_are_told_apart() {
    let reason = |bytes: &[u8]| verify(bytes).unwrap_err().reason();
    assert_eq!(reason(b""), Reason::Truncated);
    assert_eq!(reason(b"short"), Reason::Truncated);
    assert_eq!(reason(&[b'x'; 1000]), Reason::BadMagic);
    assert_eq!(reason(&elf(1000)), Reason::Truncated);
    assert_eq!(reason(&TRAILER_MAGIC), Reason::Truncated);
    // A later version may have another trailer: only its last 16 bytes can be relied on.
    let mut later = vec![0x33; 500];
    later.extend_from_slice(&(FORMAT_VERSION + 1).to_le_bytes());
    later.extend_from_slice(&TRAILER_MAGIC);
    assert_eq!(
        verify(&later).unwrap_err().to_string(),
        format!("library file has format version {}, expected {FORMAT_VERSION}", FORMAT_VERSION + 1)
    );
}

/// A trailer with a right hash of its own over fields of our choosing.
fn forged(file: &[u8], change: impl Fn(&mut [u64; 4])) -> Vec<u8> {
    let (body, trailer) = file.split_at(file.len() - TRAILER_SIZE);
    let mut numbers = [0; 4];
    for (number, bytes) in numbers.iter_mut().zip(trailer.as_chunks::<8>().0) {
        *number = u64::from_le_bytes(*bytes);
    }
    change(&mut numbers);
    let mut fields: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    fields.extend_from_slice(&trailer[32..64]);
    let hash = content_hash(&fields);
    [body, &fields, &hash.0, &trailer[80..]].concat()
}

#[test]
fn numbers_of_a_trailer_are_not_trusted() {
    let file = library("forged", 100);
    verify(&forged(&file, |_| {})).unwrap();
    let mut tried = 0;
    for field in 0..4 {
        for value in [0, 1, 99, 101, 127, 129, 192, 1 << 31, 1 << 32, 1 << 63, u64::MAX - 63, u64::MAX] {
            // An ELF length of 99 or 101 is padded to the same place: only the lengths say otherwise.
            let harmless = field == 0 && (65..=128).contains(&value);
            let result = verify(&forged(&file, |numbers| numbers[field] = value));
            assert_eq!(result.is_ok(), harmless, "field {field} set to {value}: {result:?}");
            tried += 1;
        }
    }
    assert_eq!(tried, 48);
    // Both moved together, so that they agree with each other but not with the file.
    for offset in [0, 64, 192, 1 << 40, u64::MAX - 63] {
        assert!(verify(&forged(&file, |numbers| (numbers[0], numbers[1]) = (offset, offset))).is_err());
    }
}

#[test]
fn nothing_is_written_over_or_left_behind() {
    let folder = Folder::new("append");
    let image = full_image();
    let object = folder.file("object.so", &elf(100));
    let there = folder.file("there.so", b"a library in use");
    let error = append(&object, &image, &there).unwrap_err();
    assert_eq!(error.reason(), Reason::Unreadable);
    assert!(error.to_string().starts_with(&format!("cannot create {}: ", there.display())), "{error}");
    assert_eq!(fs::read(&there).unwrap(), b"a library in use");
    assert!(append(&object, &image, &object).is_err());
    assert_eq!(fs::read(&object).unwrap(), elf(100));

    let out = folder.0.join("out.so");
    let error = append(&folder.0.join("absent.so"), &image, &out).unwrap_err();
    assert_eq!(error.reason(), Reason::NotFound);
    let script = folder.file("script", b"#!/bin/sh");
    assert_eq!(append(&script, &image, &out).unwrap_err().reason(), Reason::BadMagic);
    assert_eq!(append(&folder.file("empty", b""), &image, &out).unwrap_err().reason(), Reason::BadMagic);
    let mut wrong = image.clone();
    wrong[9] = 7;
    assert_eq!(append(&object, &wrong, &out).unwrap_err().reason(), Reason::FormatVersion);
    assert!(!out.exists());
    append(&object, &image, &out).unwrap();
    verify(&fs::read(&out).unwrap()).unwrap();
}

#[test]
fn a_place_that_cannot_be_written_is_an_error() {
    let folder = Folder::new("unwritable");
    let object = folder.file("object.so", &elf(100));
    let error = append(&object, &full_image(), &folder.0.join("absent/out.so")).unwrap_err();
    assert!(matches!(error, ImageError::Io { action: "create", .. }), "{error}");
}

#[test]
fn the_hash_is_the_published_one() {
    // XXH3-128 of nothing, from the specification's test vectors.
    assert_eq!(content_hash(b"").to_string(), "99aa06d3014798d86001c324468d497f");
}
