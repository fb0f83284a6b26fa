//! What can go wrong with a profile file.

use std::io;
use std::path::{Path, PathBuf};

/// A profile could not be changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A file or folder refused.
    #[error("{path}: {cause}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A layer's name is part of a file's name.
    #[error("{0:?} is not the name of a layer: lower-case letters and digits")]
    BadLayer(String),
}

impl ProfileError {
    /// For `map_err`.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> ProfileError + '_ {
        move |cause| ProfileError::Io { path: path.to_owned(), cause }
    }
}
