//! What is about to be done, on disk before it is done: the record that names the culprit when
//! Julia's own compiler kills the process.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::error::BuildError;

/// The file of steps.
pub(crate) struct Journal(File);

impl Journal {
    /// Goes on where the file ends.
    pub(crate) fn open(path: &Path) -> Result<Self, BuildError> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.map(Journal).map_err(BuildError::at(path))
    }

    /// Notes a step. A write to the kernel survives the process; no fsync, since the machine is not what dies.
    pub(crate) fn note(&mut self, step: &str) {
        // A journal that cannot be written costs only the name of a culprit.
        let _ = writeln!(self.0, "{step}");
    }
}
