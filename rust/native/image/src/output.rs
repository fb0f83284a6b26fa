//! Putting sections together to an image.

use crate::error::ImageError;
use crate::heap::count;
use crate::layout::{Section, DIRECTORY_ENTRY_SIZE, FORMAT_VERSION, HEADER_SIZE, IMAGE_MAGIC, SECTION_ALIGN};

/// Bytes before the first section.
const HEAD_SIZE: usize = HEADER_SIZE + Section::COUNT * DIRECTORY_ENTRY_SIZE;

/// The image as it grows, section by section.
#[derive(Default)]
pub(crate) struct Output {
    directory: Vec<u8>,
    sections: Vec<u8>,
}

impl Output {
    pub(crate) fn section(&mut self, section: Section, bytes: &[u8]) -> Result<(), ImageError> {
        let offset = count("image", "bytes", HEAD_SIZE + self.sections.len())?;
        let size = count("image", section.name(), bytes.len())?;
        let items = size / section.unit() as u32;
        for word in [section as u32, offset, items, size] {
            self.directory.extend_from_slice(&word.to_le_bytes());
        }
        self.sections.extend_from_slice(bytes);
        self.sections.resize(self.sections.len().next_multiple_of(SECTION_ALIGN), 0);
        Ok(())
    }

    pub(crate) fn finish(self, code_count: u32, base_world: u64) -> Result<Vec<u8>, ImageError> {
        let length = count("image", "bytes", HEAD_SIZE + self.sections.len())?;
        let mut image = Vec::with_capacity(length as usize);
        image.extend_from_slice(&IMAGE_MAGIC);
        for word in [FORMAT_VERSION, Section::COUNT as u32, length, code_count] {
            image.extend_from_slice(&word.to_le_bytes());
        }
        image.extend_from_slice(&base_world.to_le_bytes());
        image.extend_from_slice(&self.directory);
        image.extend_from_slice(&self.sections);
        Ok(image)
    }
}
