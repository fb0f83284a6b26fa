//! The errors of a session. They are not shown when they happen: `nativecache_last_error` returns the text, and `status`
//! shows the state of the session.

use std::path::Path;

use nativecache_image::Reason;
use nativecache_julia::calls::Threw;
use nativecache_store::boundary;
use thiserror::Error;

/// Runs the body of a C function. On an error or a panic it returns `otherwise`, and keeps a text for
/// `nativecache_last_error`.
pub(crate) fn guard<T>(otherwise: T, body: impl FnOnce() -> Result<T, SessionError>) -> T {
    boundary::guard_as(otherwise, body)
}

/// Why a call into the session failed.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    /// A binding of Julia's Base or of NativeCache is missing.
    #[error("{0} is not defined")]
    NotDefined(String),
    /// A binding has an unexpected value.
    #[error("{0} is not what this version of Julia has there")]
    OtherKind(String),
    /// A function of Base threw an exception.
    #[error("a function of Julia's Base threw an exception")]
    Threw,
    /// Another thread has held a lock for seconds.
    #[error("another thread is {0}")]
    Busy(&'static str),
    /// `nativecache_start` has not been called.
    #[error("NativeCache was not started in this process")]
    NotStarted,
    /// The session does not use the cache.
    #[error("{}", .0.text())]
    Off(Reason),
    /// NativeCache could not start; the text says why.
    #[error("{0}")]
    Failed(String),
    /// No library has this number.
    #[error("no library {0}")]
    NoLibrary(i64),
    /// No depot can be written to.
    #[error("no depot can be written to")]
    NoDepot,
    /// libnativecache is not in a folder of NativeCache.
    #[error("the folder of NativeCache was not found")]
    NoHome,
    /// The package of a traced run was not loaded in it.
    #[error("package {0} was not loaded")]
    NotLoaded(String),
    /// A library cannot be used here.
    #[error(transparent)]
    Rejected(#[from] nativecache_runtime::error::Rejected),
    /// A profile could not be read or written.
    #[error(transparent)]
    Profile(#[from] nativecache_store::ProfileError),
    /// An operation on a file or a process failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl SessionError {
    /// For `map_err`: an error with the path of its file.
    pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SessionError + '_ {
        move |source| SessionError::Io { what: path.display().to_string(), source }
    }
}

impl From<Threw> for SessionError {
    fn from(_: Threw) -> Self {
        SessionError::Threw
    }
}
