//! Errors: each leads to a reason that a user can be told.

use nativecache_image::{Hash, ImageError, Reason};
use std::io;

fn failed(kind: io::ErrorKind) -> ImageError {
    ImageError::Io { action: "read", path: "/some/where".into(), source: kind.into() }
}

#[test]
fn each_has_its_reason() {
    let (found, expected) = (Hash([0xab; 16]), Hash([0; 16]));
    for (error, reason) in [
        (ImageError::Truncated { part: "image", found: 1, expected: 2 }, Reason::Truncated),
        (ImageError::BadMagic { part: "image", found: [1].into(), expected: b"2" }, Reason::BadMagic),
        (ImageError::FormatVersion { part: "image", found: 1, expected: 2 }, Reason::FormatVersion),
        (ImageError::HashMismatch { part: "image", found, expected }, Reason::HashMismatch),
        (ImageError::NotUtf8 { offset: 1 }, Reason::Malformed),
        (ImageError::Surplus { what: "a", section: "b", index: 0, because: "c" }, Reason::Malformed),
        (failed(io::ErrorKind::NotFound), Reason::NotFound),
        (failed(io::ErrorKind::PermissionDenied), Reason::Unreadable),
    ] {
        assert_eq!(error.reason(), reason, "{error}");
    }
}

#[test]
fn hashes_and_paths_are_readable() {
    let error = ImageError::HashMismatch { part: "image", found: Hash([0xab; 16]), expected: Hash([1; 16]) };
    assert_eq!(
        error.to_string(),
        "image has content hash abababababababababababababababab, expected 01010101010101010101010101010101"
    );
    let text = failed(io::ErrorKind::PermissionDenied).to_string();
    assert!(text.starts_with("cannot read /some/where: "), "{text}");
}
