//! The errors of a trace.

use std::path::PathBuf;

/// Why nothing was traced or inserted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    /// The session has not sent the layout of Julia's objects.
    #[error("libnativecache was not started in this process")]
    NotStarted,
    /// The Julia side belongs to another version.
    #[error(
        "libnativecache was built from another version of NativeCache ({offsets} offsets, {types} types)"
    )]
    Layout {
        /// Offsets that Julia sent.
        offsets: usize,
        /// Types that Julia sent.
        types: usize,
    },
    /// This Julia lacks a field that the trace needs.
    #[error("this Julia has no field {0:?}")]
    Field(crate::layout::Field),
    /// The list of memory mappings could not be read.
    #[error("{path}: {cause}", path = path.display())]
    Mappings {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}
