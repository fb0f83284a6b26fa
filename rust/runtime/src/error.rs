//! What can go wrong when looking at, or changing, the running Julia.

use nativecache_image::{ImageError, Reason};
use thiserror::Error;

/// Why an object cannot be put into an image.
#[derive(Clone, Debug, Error)]
#[error("{}: {detail}", reason.text())]
pub struct Undescribable {
    /// The kind of trouble.
    pub reason: Reason,
    /// What exactly.
    pub detail: String,
}

impl From<ImageError> for Undescribable {
    fn from(error: ImageError) -> Self {
        Undescribable { reason: Reason::UnknownObject, detail: error.to_string() }
    }
}

/// Why a whole library is not used.
#[derive(Clone, Debug, Error)]
#[error("{}: {detail}", reason.text())]
pub struct Rejected {
    /// The kind of trouble.
    pub reason: Reason,
    /// What exactly.
    pub detail: String,
}

impl Rejected {
    /// A rejection for `reason`, with what exactly.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Rejected { reason, detail: detail.into() }
    }
}
