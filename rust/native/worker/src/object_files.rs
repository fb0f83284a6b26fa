//! Object files of an earlier build, for parts that come out the same.
//!
//! One file: [`MAGIC`], then for each object its key, its length and its bytes, then the hash of all that. A file
//! that is damaged, or that others could have written, is as good as none.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nativecache_image::content_hash;
use nativecache_store::trust;

use crate::error::BuildError;

/// What an object was made of: see `parts::key_of`.
pub(crate) type Key = [u8; 16];

const MAGIC: &[u8; 8] = b"NCOBJ\x00\x00\x01";

/// Object files by key.
#[derive(Default)]
pub(crate) struct ObjectFiles(BTreeMap<Key, Vec<u8>>);

impl ObjectFiles {
    /// Those in the file; none if it is not there, not trusted, or not whole.
    pub(crate) fn read(path: &Path) -> Self {
        Self::trusted_bytes(path).as_deref().and_then(Self::parse).unwrap_or_default()
    }

    /// The content of a file that only this user or root can have written: it becomes code.
    fn trusted_bytes(path: &Path) -> Option<Vec<u8>> {
        let real = trust::check(path).ok()?;
        let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(&real);
        let mut file = open.ok()?;
        let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        trust::check_one(&real, &meta).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, hash) = bytes.split_last_chunk::<16>()?;
        if content_hash(body).0 != *hash {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let mut objects = BTreeMap::new();
        while !rest.is_empty() {
            let (key, behind) = rest.split_first_chunk::<16>()?;
            let (length, behind) = behind.split_first_chunk::<8>()?;
            let (object, behind) = behind.split_at_checked(u64::from_le_bytes(*length).try_into().ok()?)?;
            objects.insert(*key, object.to_vec());
            rest = behind;
        }
        Some(Self(objects))
    }

    /// The object that was made of this.
    pub(crate) fn get(&self, key: &Key) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// Adds an object.
    pub(crate) fn insert(&mut self, key: Key, object: Vec<u8>) {
        self.0.insert(key, object);
    }

    /// Writes a new file, for the next build.
    pub(crate) fn write(&self, path: &Path) -> Result<(), BuildError> {
        let mut bytes = MAGIC.to_vec();
        for (key, object) in &self.0 {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&(object.len() as u64).to_le_bytes());
            bytes.extend_from_slice(object);
        }
        let hash = content_hash(&bytes).0;
        bytes.extend_from_slice(&hash);
        // Not for others to write to, whatever the umask says: they would not be trusted.
        let open = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
        open.and_then(|mut file| file.write_all(&bytes)).map_err(BuildError::at(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut objects = ObjectFiles::default();
        objects.insert([1; 16], b"one".to_vec());
        objects.insert([2; 16], Vec::new());
        let path = std::env::temp_dir().join(format!("nativecache-objects-{}", std::process::id()));
        objects.write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let objects = ObjectFiles::parse(&written()).unwrap();
        assert_eq!(objects.get(&[1; 16]), Some(b"one".as_slice()));
        assert_eq!(objects.get(&[2; 16]), Some(b"".as_slice()));
        assert_eq!(objects.get(&[3; 16]), None);
    }

    #[test]
    fn a_damaged_file_is_none() {
        let bytes = written();
        for length in 0..bytes.len() {
            assert!(ObjectFiles::parse(&bytes[..length]).is_none(), "cut to {length} bytes");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(ObjectFiles::parse(&changed).is_none(), "byte {at} changed");
        }
    }

    #[test]
    fn lengths_are_checked_even_if_the_hash_is_right() {
        for length in [4_u64, u64::MAX, 1 << 40] {
            let mut bytes = [MAGIC.as_slice(), &[1; 16], &length.to_le_bytes(), b"one"].concat();
            let hash = content_hash(&bytes).0;
            bytes.extend_from_slice(&hash);
            assert!(ObjectFiles::parse(&bytes).is_none(), "{length}");
        }
    }
}
