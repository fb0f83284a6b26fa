//! Why a file of the store is not used.

use thiserror::Error;

use crate::reason::Reason;

/// Why a whole library or companion is not used.
#[derive(Clone, Debug, Error)]
#[error("{}: {detail}", reason.text())]
pub struct Rejected {
    /// The reason.
    pub reason: Reason,
    /// More about it.
    pub detail: String,
}

impl Rejected {
    /// A rejection for `reason`, with more about it.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Rejected { reason, detail: detail.into() }
    }
}
