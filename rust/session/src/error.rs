//! What can go wrong in a session. Nothing of it is shown as it happens: `nativecache_last_error` hands the text out, and
//! `status` says what state the session is in.

use std::path::Path;

use nativecache_image::Reason;
use nativecache_julia::calls::Threw;
use nativecache_store::boundary;
use thiserror::Error;

/// Runs the body of a C function; an error or a panic becomes `otherwise`, and a text for `nativecache_last_error`.
pub(crate) fn guard<T>(otherwise: T, body: impl FnOnce() -> Result<T, SessionError>) -> T {
    boundary::guard_as(otherwise, body)
}

/// Why a question to the session has no answer, or a task was not done.
#[derive(Debug, Error)]
pub enum SessionError {
    /// A binding that is part of Julia's Base or of NativeCache's sources.
    #[error("{0} is not defined")]
    NotDefined(String),
    /// It is bound to something else than expected.
    #[error("{0} is not what this version of Julia has there")]
    OtherKind(String),
    /// A function of Base threw an exception.
    #[error("a function of Julia's Base threw an exception")]
    Threw,
    /// A lock was not given back in seconds.
    #[error("another thread is {0}")]
    Busy(&'static str),
    /// `nativecache_start` has not been called.
    #[error("NativeCache was not started in this process")]
    NotStarted,
    /// The session does not use the cache.
    #[error("{}", .0.text())]
    Off(Reason),
    /// The session could not begin; the text says why.
    #[error("{0}")]
    Failed(String),
    /// No library has this number.
    #[error("no library {0}")]
    NoLibrary(i64),
    /// No depot can be written to.
    #[error("no depot can be written to")]
    NoDepot,
    /// The library lies in no folder of NativeCache.
    #[error("NativeCache lies nowhere")]
    NoHome,
    /// The package of a traced run was not loaded in it.
    #[error("package {0} was not loaded")]
    NotLoaded(String),
    /// A library is of no use here.
    #[error(transparent)]
    Rejected(#[from] nativecache_runtime::error::Rejected),
    /// A profile could not be read or written.
    #[error(transparent)]
    Profile(#[from] nativecache_store::ProfileError),
    /// A file or process of the machine.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl SessionError {
    /// For `map_err`: what was done to which file.
    pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SessionError + '_ {
        move |source| SessionError::Io { what: path.display().to_string(), source }
    }
}

impl From<Threw> for SessionError {
    fn from(_: Threw) -> Self {
        SessionError::Threw
    }
}
