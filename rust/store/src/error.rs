//! The errors of profile files.

use std::io;
use std::path::{Path, PathBuf};

/// A profile could not be changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// An operation on a file or a folder failed.
    #[error("{path}: {cause}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// An invalid name of a layer, which is part of a file name.
    #[error("{0:?} is not the name of a layer: use lower-case letters and digits")]
    BadLayer(String),
}

impl ProfileError {
    /// For `map_err`.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> ProfileError + '_ {
        move |cause| ProfileError::Io { path: path.to_owned(), cause }
    }
}
