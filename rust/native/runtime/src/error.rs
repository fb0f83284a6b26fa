//! What can go wrong when looking at, or changing, the running Julia.

use nativecache_image::{ImageError, Reason};
pub use nativecache_store::Rejected;
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
