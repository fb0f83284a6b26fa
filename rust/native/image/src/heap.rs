//! What the writer keeps once: equal records under one number, equal strings and bytes in one place.

use crate::check::without_nul;
use crate::error::ImageError;
use crate::ids::NONE;
use crate::layout::Section;
use std::collections::HashMap;
use std::hash::Hash;

/// Numbers by first mention.
#[derive(Debug)]
pub(crate) struct Interned<T> {
    pub(crate) numbers: HashMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new() }
    }
}

impl<T: Eq + Hash> Interned<T> {
    pub(crate) fn len(&self) -> u32 {
        // `next` refuses to hand out more numbers than fit.
        self.numbers.len() as u32
    }

    pub(crate) fn find(&self, item: &T) -> Option<u32> {
        self.numbers.get(item).copied()
    }

    pub(crate) fn next(&self, section: Section) -> Result<u32, ImageError> {
        count("image", section.name(), self.numbers.len())
    }
}

/// A number of things; the largest word is kept for "none".
pub(crate) fn count(what: &'static str, section: &'static str, found: usize) -> Result<u32, ImageError> {
    u32::try_from(found).ok().filter(|count| *count < NONE).ok_or(ImageError::TooLarge {
        what,
        section,
        found: found as u64,
        limit: u64::from(NONE) - 1,
    })
}

/// Heaps of strings and bytes, each piece once.
#[derive(Debug, Default)]
pub(crate) struct HeapWriter {
    pub(crate) strings: String,
    string_places: HashMap<String, (u32, u32)>,
    pub(crate) bytes: Vec<u8>,
    byte_places: HashMap<Vec<u8>, (u32, u32)>,
}

impl HeapWriter {
    pub(crate) fn string(&mut self, text: &str) -> Result<(u32, u32), ImageError> {
        if let Some(place) = self.string_places.get(text) {
            return Ok(*place);
        }
        count("image", Section::Strings.name(), self.strings.len().saturating_add(text.len()))?;
        let place = (self.strings.len() as u32, text.len() as u32);
        self.strings.push_str(text);
        self.string_places.insert(text.to_owned(), place);
        Ok(place)
    }

    /// A string that Julia or the linker takes as a name, which ends at the first NUL there.
    pub(crate) fn name(
        &mut self,
        name: &str,
        section: Section,
        index: u32,
    ) -> Result<(u32, u32), ImageError> {
        without_nul("name", section, index, name.as_bytes())?;
        self.string(name)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(u32, u32), ImageError> {
        if let Some(place) = self.byte_places.get(bytes) {
            return Ok(*place);
        }
        count("image", Section::Bytes.name(), self.bytes.len().saturating_add(bytes.len()))?;
        let place = (self.bytes.len() as u32, bytes.len() as u32);
        self.bytes.extend_from_slice(bytes);
        self.byte_places.insert(bytes.to_vec(), place);
        Ok(place)
    }
}
