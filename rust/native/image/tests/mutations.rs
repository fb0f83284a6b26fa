//! Whatever the bytes, the reader gives an error or an image that can be walked from end to end.
//!
//! `NATIVECACHE_FUZZ_ROUNDS=10000000 cargo test --release --test mutations` looks longer.

mod common;

use common::{full_image, walk, Numbers};
use nativecache_image::Image;

#[derive(Default)]
struct Tally {
    refused: usize,
    accepted: usize,
}

impl Tally {
    /// Parses and, if that succeeds, reads everything; a panic in either fails the test.
    fn feed(&mut self, bytes: &[u8]) {
        match Image::parse(bytes) {
            Ok(image) => {
                walk(&image);
                self.accepted += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                self.refused += 1;
            }
        }
    }
}

#[test]
fn every_bit() {
    let mut bytes = full_image();
    let mut tally = Tally::default();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            tally.feed(&bytes);
            bytes[at] ^= 1 << bit;
        }
    }
    assert_eq!(bytes, full_image());
    // Flips in texts and payloads make other valid images; most others must be noticed.
    assert!(tally.refused > 5_000 && tally.accepted > 1_000, "{} {}", tally.refused, tally.accepted);
}

#[test]
fn every_word() {
    let original = full_image();
    let mut tally = Tally::default();
    for at in (0..original.len()).step_by(4) {
        let word = u32::from_le_bytes(original[at..at + 4].try_into().unwrap());
        for value in [
            0,
            1,
            2,
            0xff,
            0x7fff_ffff,
            0x8000_0000,
            u32::MAX - 1,
            u32::MAX,
            word.wrapping_add(1),
            word.wrapping_sub(1),
            word.wrapping_mul(2),
            original.len() as u32,
        ] {
            let mut bytes = original.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            tally.feed(&bytes);
        }
    }
    assert!(tally.refused > 3_000 && tally.accepted > 1_000, "{} {}", tally.refused, tally.accepted);
}

#[test]
fn every_length() {
    let bytes = full_image();
    for length in 0..bytes.len() {
        assert!(Image::parse(&bytes[..length]).is_err(), "accepted with {length} bytes");
    }
    for more in 1..100 {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + more, 0);
        assert!(Image::parse(&longer).is_err(), "accepted with {more} bytes more");
    }
}

#[test]
fn many_changes_at_once() {
    let original = full_image();
    let mut numbers = Numbers(1);
    let mut tally = Tally::default();
    let rounds = std::env::var("NATIVECACHE_FUZZ_ROUNDS").map_or(30_000, |rounds| rounds.parse().unwrap());
    for _ in 0..rounds {
        let mut bytes = original.clone();
        for _ in 0..=numbers.below(4) {
            let (at, from) = (numbers.below(bytes.len()), numbers.below(bytes.len()));
            let len = numbers.below(40).min(bytes.len() - at.max(from));
            match numbers.below(6) {
                0 => bytes[at] = numbers.next() as u8,
                1 => bytes[at] ^= 1 << numbers.below(8),
                2 => bytes.copy_within(from..from + len, at),
                3 => bytes[at..at + len].fill(if numbers.below(2) == 0 { 0 } else { 0xff }),
                4 => {
                    // A plausible number in a whole word.
                    let (at, value) = (at & !3, numbers.below(40) as u32);
                    if let Some(word) = bytes.get_mut(at..at + 4) {
                        word.copy_from_slice(&value.to_le_bytes());
                    }
                }
                _ => {
                    // A number from elsewhere in the image.
                    let (at, from) = (at & !3, from & !3);
                    if at.max(from) + 4 <= bytes.len() {
                        bytes.copy_within(from..from + 4, at);
                    }
                }
            }
        }
        tally.feed(&bytes);
    }
    assert!(tally.refused > 10_000 && tally.accepted > 500, "{} {}", tally.refused, tally.accepted);
}

#[test]
fn noise_behind_a_valid_header() {
    let original = full_image();
    let mut numbers = Numbers(2);
    let mut tally = Tally::default();
    for _ in 0..5_000 {
        let mut bytes = original.clone();
        let start = 32 + numbers.below(bytes.len() - 32);
        for byte in &mut bytes[start..] {
            *byte = numbers.next() as u8;
        }
        tally.feed(&bytes);
        bytes.truncate(numbers.below(start));
        tally.feed(&bytes);
    }
    assert!(tally.refused > 9_000, "{} {}", tally.refused, tally.accepted);
}
