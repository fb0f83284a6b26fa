//! Why a file of the store, or all that is in it, is not used.

use thiserror::Error;

use crate::reason::Reason;

/// Why a whole library or companion is not used.
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
