//! What can go wrong when live code is looked at.

use std::path::PathBuf;

/// Why nothing was traced or inserted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    /// The session did not say where Julia's fields lie.
    #[error("libnativecache was not started in this process")]
    NotStarted,
    /// The Julia side is of another version.
    #[error(
        "libnativecache was built from another version of NativeCache ({offsets} offsets, {types} types)"
    )]
    Layout {
        /// Offsets that Julia sent.
        offsets: usize,
        /// Types that Julia sent.
        types: usize,
    },
    /// This Julia lacks a field without which nothing can be said.
    #[error("this Julia has no field {0:?}")]
    Field(crate::layout::Field),
    /// The list of memory mappings could not be read.
    #[error("{path}: {cause}", path = path.display())]
    Mappings {
        /// Of which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}
