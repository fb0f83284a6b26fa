//! Object files -> shared object.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::BuildError;
use crate::lifetime;

/// Runs the C compiler driver as a linker. No shell is involved.
pub(crate) fn link(linker: &str, objects: &[PathBuf], out: &Path) -> Result<(), BuildError> {
    let mut command = Command::new(linker);
    // SAFETY: one system call, which is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            lifetime::end_with_parent();
            Ok(())
        });
    }
    let output = command
        .args(["-shared", "-nostdlib", "-Wl,-Bsymbolic", "-Wl,--build-id=none", "-Wl,-z,now"])
        .args(["-Wl,--gc-sections", "-Wl,--hash-style=gnu"])
        .arg("-o")
        .arg(out)
        .args(objects)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BuildError::NoLinker { linker: linker.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(BuildError::Linker { linker: linker.to_owned(), status: output.status, said })
}
