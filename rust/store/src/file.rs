//! Reads small text files, whatever is at their path, and creates folders and files that only this user can write to.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// No profile or preference file is this large, but a file with a hole may be.
const LARGEST: u64 = 64 << 20;

/// The content of a regular file. This does not wait for a pipe, and does not read a device.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_checked(path, |_| Ok(()))
}

/// Like [`read`], if `check` accepts the file.
pub fn read_checked(path: &Path, check: impl FnOnce(&Metadata) -> io::Result<()>) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    if meta.len() > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} bytes are too many", meta.len()),
        ));
    }
    check(&meta)?;
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Like [`read`], if only root and the owner of its folder can write to the file. The caller has checked who that owner
/// is, and who else can write to the folder.
pub fn read_own(path: &Path) -> io::Result<Vec<u8>> {
    let folder = path.parent().unwrap_or(path).metadata();
    read_checked(path, |meta| {
        let owner = folder?.uid();
        let untrusted = |what| Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        if meta.uid() != owner && meta.uid() != 0 {
            return untrusted(format!("it belongs to user {}, not to user {owner} or root", meta.uid()));
        }
        if meta.mode() & 0o022 != 0 {
            return untrusted(format!("others can write to it (mode {:o})", meta.mode() & 0o7777));
        }
        Ok(())
    })
}

/// Creates a file. Other users may at most read it, whatever the umask is.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)
}

/// Creates a folder and the folders above it. Other users may at most read them, whatever the umask is.
pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{symlink, PermissionsExt};

    #[test]
    fn only_plain_files_of_the_owner() {
        let own = tempfile::tempdir().unwrap();
        let folder = own.path().join("inner");
        create_folder(&folder).unwrap();
        let path = folder.join("file");
        fs::write(&path, "text").unwrap();
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert_eq!(read_own(&path).unwrap(), b"text");
        mode(0o646);
        assert!(read_own(&path).unwrap_err().to_string().contains("mode 646"));
        mode(0o664);
        assert!(read_own(&path).is_err());
        assert_eq!(read(&path).unwrap(), b"text");
        // A hole, a folder, a loop, a pipe that nobody writes to.
        let hole = folder.join("hole");
        create(&hole).unwrap().set_len(1 << 40).unwrap();
        symlink("loop", folder.join("loop")).unwrap();
        let pipe = folder.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for path in [&hole, &folder, &folder.join("loop"), &pipe, Path::new("/dev/zero")] {
            assert!(read(path).is_err(), "{}", path.display());
        }
    }
}
