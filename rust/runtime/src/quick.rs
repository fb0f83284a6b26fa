//! Maps whose keys are addresses, numbers that are hashes already, or names in a table that was checked: nobody chooses
//! them to collide, so one multiplication for each word is enough. While a library is linked, tens of thousands of
//! look-ups are made.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map of addresses, hashes or names.
pub type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// Mixes word by word.
#[derive(Clone, Copy, Default)]
pub struct Quick(u64);

impl Quick {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        let last = rest.iter().fold(rest.len() as u64, |sum, byte| sum << 8 | u64::from(*byte));
        self.mix(last);
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    /// The map takes the lowest bits for the place, and a product has mixed only its upper ones well: both halves of a
    /// wide one go in.
    fn finish(&self) -> u64 {
        let product = u128::from(self.0) * 0xd6e8_feb8_6659_fd93;
        product as u64 ^ (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread() {
        let place = |key: u64| {
            let mut hasher = Quick::default();
            hasher.write_u64(key);
            hasher.finish() & 0xfff
        };
        // Addresses of objects of one size, one behind the other.
        for step in [16, 64, 4096, 1 << 20] {
            let mut taken: Vec<u64> = (0..4096).map(|i| place(0x7f00_0000_0000 + i * step)).collect();
            taken.sort_unstable();
            taken.dedup();
            assert!(taken.len() > 2000, "{} places for steps of {step}", taken.len());
        }
        let mut names = QuickMap::default();
        for i in 0..1000 {
            names.insert(format!("name{i}"), i);
        }
        assert!((0..1000).all(|i| names.get(format!("name{i}").as_str()) == Some(&i)));
        assert_eq!(names.get("name1000"), None);
    }
}
