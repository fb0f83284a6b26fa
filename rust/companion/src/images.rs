//! The addresses of objects of system and package images: they are in mapped files, where the collector never allocates.

use std::fs;
use std::path::Path;

use crate::error::TraceError;

/// Address ranges of mapped files, sorted.
pub(crate) struct Images(Vec<(usize, usize)>);

impl Images {
    /// The current mappings. They come from the kernel and not from the loader, whose lock an interrupted thread may hold.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub(crate) fn current() -> Result<Self, TraceError> {
        let path = Path::new("/proc/self/maps");
        let text = fs::read(path).map_err(|cause| TraceError::Mappings { path: path.to_owned(), cause })?;
        Ok(Self::parse(&String::from_utf8_lossy(&text)))
    }

    fn parse(text: &str) -> Self {
        let mut ranges: Vec<(usize, usize)> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (start, end) = words.next()?.split_once('-')?;
                let path = words.nth(4)?;
                let range = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
                path.starts_with('/').then_some(range)
            })
            .collect();
        ranges.sort_unstable();
        Images(ranges)
    }

    pub(crate) fn contain(&self, address: usize) -> bool {
        let at = self.0.partition_point(|(start, _)| *start <= address);
        at.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|(_, end)| address < *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_count() {
        let images = Images::parse(
            "1000-2000 r--p 00000000 fe:00 12 /usr/lib/a b.so\n3000-4000 rw-p 00000000 00:00 0 [heap]\n5000-6000 rw-p 00000000 00:00 0\n",
        );
        assert!(images.contain(0x1000) && images.contain(0x1fff));
        assert!(
            !images.contain(0x2000)
                && !images.contain(0x3500)
                && !images.contain(0x5500)
                && !images.contain(0)
        );
    }
}
