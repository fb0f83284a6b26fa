//! Checks who could have written a file. docs/trust.md describes the rules.
//!
//! A library is machine code that the session runs, and a profile holds expressions that a build evaluates. Both are
//! used only if nobody but this user and root can write them: the file and every folder above it belong to one of the
//! two, and nobody else can write to them. A folder with the sticky bit, such as `/tmp`, may be writable by all: only the
//! owner of an entry can rename or remove it there, and the entry itself is checked as well.

use nativecache_mutation::mutation;
use std::ffi::CStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::reason::Reason;
use crate::rejected::Rejected;
use libc::{c_char, gid_t, uid_t};

/// The path without links, if nobody else can change its target; `path` must exist.
///
/// # Errors
/// If a part of the path cannot be examined, or [`Reason::Untrusted`] with who could change what.
pub fn check(path: &Path) -> Result<PathBuf, Rejected> {
    let real = fs::canonicalize(path).map_err(|e| unreadable(path, &e))?;
    for place in real.ancestors() {
        let meta = fs::symlink_metadata(place).map_err(|e| unreadable(place, &e))?;
        check_one(place, &meta)?;
    }
    Ok(real)
}

/// Checks one file or folder, of which `meta` is the metadata, without the folders above it.
///
/// # Errors
/// [`Reason::Untrusted`] with who could change it.
pub fn check_one(place: &Path, meta: &Metadata) -> Result<(), Rejected> {
    let untrusted =
        |what: String| Err(Rejected::new(Reason::Untrusted, format!("{}: {what}", place.display())));
    // SAFETY: no preconditions.
    let user = unsafe { libc::geteuid() };
    if meta.uid() != user && meta.uid() != 0 {
        return untrusted(format!("it belongs to user {}, not to user {user} or root", meta.uid()));
    }
    let mode = meta.mode();
    if meta.is_dir() && mode & libc::S_ISVTX != 0 {
        return Ok(());
    }
    if mutation!("file: anybody may have written it", mode & libc::S_IWOTH != 0, false) {
        return untrusted(format!("everybody can write to it (mode {:o})", mode & 0o7777));
    }
    if mode & libc::S_IWGRP != 0 && !is_private(place, meta) {
        return untrusted(format!("group {} can write to it (mode {:o})", meta.gid(), mode & 0o7777));
    }
    Ok(())
}

/// The rejection of a `path` that could not be examined.
pub fn unreadable(path: &Path, error: &std::io::Error) -> Rejected {
    let reason =
        if error.kind() == std::io::ErrorKind::NotFound { Reason::NotFound } else { Reason::Unreadable };
    Rejected::new(reason, format!("{}: {error}", path.display()))
}

/// Is the owner the only member of the file's group? Many systems give each user a group of its own, and let it write to
/// the user's files (umask 002). An access control list can give other users the rights of the group.
fn is_private(place: &Path, meta: &Metadata) -> bool {
    !has_access_list(place) && Owner::of(meta.uid()).is_some_and(|owner| owner.is_alone_in(meta.gid()))
}

fn has_access_list(place: &Path) -> bool {
    let Ok(path) = std::ffi::CString::new(place.as_os_str().as_bytes()) else { return true };
    // SAFETY: both are NUL-terminated; size 0 asks only whether it is there.
    let size = unsafe {
        libc::getxattr(path.as_ptr(), c"system.posix_acl_access".as_ptr(), std::ptr::null_mut(), 0)
    };
    size >= 0
        || !matches!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ENODATA | libc::ENOTSUP))
}

/// A user from the system's database.
struct Owner {
    name: Vec<u8>,
    group: gid_t,
}

impl Owner {
    fn of(user: uid_t) -> Option<Self> {
        with_buffer(|buffer| {
            // SAFETY: plain old data; the call fills it, with pointers into `buffer`, which outlives their use.
            unsafe {
                let mut entry: libc::passwd = std::mem::zeroed();
                let mut found = std::ptr::null_mut();
                let code =
                    libc::getpwuid_r(user, &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found);
                if code != 0 || found.is_null() || entry.pw_name.is_null() {
                    return Err(code);
                }
                Ok(Owner { name: CStr::from_ptr(entry.pw_name).to_bytes().to_vec(), group: entry.pw_gid })
            }
        })
    }

    /// Is this the user's own group: the primary one, with the user's name and no other member?
    fn is_alone_in(&self, group: gid_t) -> bool {
        group == self.group
            && with_buffer(|buffer| {
                // SAFETY: as in `of`; the list of members ends with null.
                unsafe {
                    let mut entry: libc::group = std::mem::zeroed();
                    let mut found = std::ptr::null_mut();
                    let code = libc::getgrgid_r(
                        group,
                        &raw mut entry,
                        buffer.as_mut_ptr(),
                        buffer.len(),
                        &raw mut found,
                    );
                    if code != 0 || found.is_null() || entry.gr_name.is_null() {
                        return Err(code);
                    }
                    let is_mine = |name: *const c_char| CStr::from_ptr(name).to_bytes() == self.name;
                    let mut member = entry.gr_mem;
                    while !member.is_null() && !(*member).is_null() {
                        if !is_mine(*member) {
                            return Ok(false);
                        }
                        member = member.add(1);
                    }
                    Ok(is_mine(entry.gr_name))
                }
            })
            .unwrap_or(false)
    }
}

/// Repeats a look-up with larger buffers, as long as the buffer is too small.
fn with_buffer<T>(mut look_up: impl FnMut(&mut Vec<c_char>) -> Result<T, i32>) -> Option<T> {
    let mut size = 1 << 10;
    while size <= 1 << 20 {
        match look_up(&mut vec![0; size]) {
            Ok(found) => return Some(found),
            Err(libc::ERANGE) => size *= 4,
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{symlink, PermissionsExt};
    use tempfile::TempDir;

    /// A folder, and a file in a folder in it.
    fn folder_and_file() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner");
        fs::create_dir_all(&path).unwrap();
        set(&path, 0o755);
        set(folder.path(), 0o755);
        let path = path.join("file");
        fs::write(&path, "").unwrap();
        set(&path, 0o644);
        (folder, path)
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refused(path: &Path, word: &str) -> bool {
        check(path).is_err_and(|e| e.reason == Reason::Untrusted && e.detail.contains(word))
    }

    #[test]
    fn what_others_can_write_is_refused() {
        let (folder, file) = folder_and_file();
        assert_eq!(check(&file).unwrap(), fs::canonicalize(&file).unwrap());
        for place in [file.as_path(), file.parent().unwrap(), folder.path()] {
            let before = fs::metadata(place).unwrap().permissions();
            set(place, 0o757);
            assert!(refused(&file, "everybody can write"), "{}", place.display());
            assert!(refused(&file, place.to_str().unwrap()));
            fs::set_permissions(place, before).unwrap();
        }
        // The sticky bit keeps others from replacing an entry, and means nothing on a file.
        set(folder.path(), 0o1777);
        assert!(check(&file).is_ok());
        set(&file, 0o1666);
        assert!(refused(&file, "everybody can write"));
    }

    #[test]
    fn links_are_followed_to_what_they_lead_to() {
        let (folder, file) = folder_and_file();
        let link = folder.path().join("link");
        symlink(file.parent().unwrap(), &link).unwrap();
        assert_eq!(check(&link.join("file")).unwrap(), fs::canonicalize(&file).unwrap());
        set(file.parent().unwrap(), 0o777);
        assert!(refused(&link.join("file"), "everybody can write"));
        let looping = folder.path().join("loop");
        symlink(&looping, &looping).unwrap();
        assert_eq!(check(&looping).unwrap_err().reason, Reason::Unreadable);
        assert_eq!(check(&folder.path().join("none")).unwrap_err().reason, Reason::NotFound);
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused() {
        let (_folder, file) = folder_and_file();
        if std::os::unix::fs::chown(&file, Some(4242), None).is_err() {
            return; // only root can give files away
        }
        assert!(refused(&file, "user 4242"));
        std::os::unix::fs::chown(&file, Some(0), None).unwrap();
        std::os::unix::fs::chown(file.parent().unwrap(), Some(4242), None).unwrap();
        assert!(refused(&file, "user 4242"));
    }

    #[test]
    fn a_group_must_be_the_owners_own() {
        let (_folder, file) = folder_and_file();
        set(&file, 0o664);
        let meta = fs::metadata(&file).unwrap();
        let own = Owner::of(meta.uid()).is_some_and(|owner| owner.is_alone_in(meta.gid()));
        assert_eq!(check(&file).is_ok(), own);
        if std::os::unix::fs::chown(&file, None, Some(4242)).is_ok() {
            assert!(refused(&file, "group 4242 can write"));
            set(&file, 0o644);
            assert!(check(&file).is_ok());
        }
    }
}
