//! The journal: each step is written to disk before it is done. It names the culprit if Julia's own compiler kills the
//! process.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::error::BuildError;

/// The file of steps.
pub(crate) struct Journal(File);

impl Journal {
    /// Opens the file to append to it.
    pub(crate) fn open(path: &Path) -> Result<Self, BuildError> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.map(Journal).map_err(BuildError::at(path))
    }

    /// Records a step. A write to the kernel survives the process. There is no fsync, since the machine does not crash.
    pub(crate) fn note(&mut self, step: &str) {
        // If the journal cannot be written, only the name of a culprit is lost.
        let _ = writeln!(self.0, "{step}");
    }
}
