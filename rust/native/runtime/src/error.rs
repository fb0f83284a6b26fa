//! Why something of Julia's, or a whole library, cannot be used.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use nativecache_image::{ImageError, Reason};
use nativecache_julia::elf::LoadError;
use thiserror::Error;

use crate::load::key::KeyDifference;
use crate::objects::resolve::Missing;

/// Why an object cannot be put into an image.
#[derive(Clone, Debug, Error)]
#[error("{}: {detail}", reason.text())]
pub struct Undescribable {
    /// The kind of trouble.
    pub reason: Reason,
    /// What exactly.
    pub detail: String,
}

impl From<ImageError> for Undescribable {
    fn from(error: ImageError) -> Self {
        Undescribable { reason: Reason::UnknownObject, detail: error.to_string() }
    }
}

/// Why a whole library is not used in this session.
#[derive(Clone, Debug)]
pub enum Rejected {
    /// It cannot be read, or others could have written it.
    File(nativecache_store::Rejected),
    /// There is something else at its place: a folder, say.
    NoFile(PathBuf),
    /// The file is damaged, or none of ours.
    Damaged(PathBuf, Arc<ImageError>),
    /// Its tables are not well-formed.
    Tables(Arc<ImageError>),
    /// It is for another session than this one.
    Key(KeyDifference),
    /// Another file has taken its place while it was looked at.
    Replaced(PathBuf),
    /// Its code and its tables are of two builds.
    TwoBuilds,
    /// Where this process keeps a thread's state is not known.
    ThreadState,
    /// The loader refused it.
    LinkFailed(Arc<LoadError>),
    /// The loader does not list it among what is mapped.
    NotListed,
    /// It lacks a symbol that each library has.
    SymbolMissing(Arc<LoadError>),
    /// This Julia lacks what every library needs.
    NoResolver(Missing),
    /// No array of Julia's keeps its objects alive.
    Unrooted,
    /// Verify mode has not proved it: why.
    Unproved(String),
}

impl Rejected {
    /// The kind of trouble.
    pub fn reason(&self) -> Reason {
        match self {
            Rejected::File(rejected) => rejected.reason,
            Rejected::NoFile(_) => Reason::Unreadable,
            Rejected::Damaged(_, error) | Rejected::Tables(error) => error.reason(),
            Rejected::Key(difference) => difference.reason(),
            Rejected::Replaced(_) | Rejected::TwoBuilds => Reason::Replaced,
            Rejected::ThreadState => Reason::ThreadState,
            Rejected::LinkFailed(_) | Rejected::NotListed => Reason::LinkFailed,
            Rejected::SymbolMissing(_) => Reason::SymbolMissing,
            Rejected::NoResolver(_) | Rejected::Unrooted => Reason::Unresolved,
            Rejected::Unproved(_) => Reason::Unproved,
        }
    }

    /// What exactly, in words; may be empty.
    pub fn detail(&self) -> String {
        match self {
            Rejected::File(rejected) => rejected.detail.clone(),
            Rejected::NoFile(path) => format!("{}: no file", path.display()),
            Rejected::Damaged(path, error) => format!("{}: {error}", path.display()),
            Rejected::Tables(error) => error.to_string(),
            Rejected::Key(difference) => difference.to_string(),
            Rejected::Replaced(path) => path.display().to_string(),
            Rejected::TwoBuilds => "code and tables are of two builds".to_owned(),
            Rejected::ThreadState => String::new(),
            Rejected::LinkFailed(error) | Rejected::SymbolMissing(error) => error.to_string(),
            Rejected::NotListed => "the loader does not list the library".to_owned(),
            Rejected::NoResolver(missing) => missing.to_string(),
            Rejected::Unrooted => "nothing keeps its objects alive".to_owned(),
            Rejected::Unproved(why) => why.clone(),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason().text(), self.detail())
    }
}

impl std::error::Error for Rejected {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Rejected::Damaged(_, error) | Rejected::Tables(error) => Some(&**error),
            Rejected::LinkFailed(error) | Rejected::SymbolMissing(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<nativecache_store::Rejected> for Rejected {
    fn from(rejected: nativecache_store::Rejected) -> Self {
        Rejected::File(rejected)
    }
}

impl From<ImageError> for Rejected {
    fn from(error: ImageError) -> Self {
        Rejected::Tables(Arc::new(error))
    }
}

impl From<Missing> for Rejected {
    fn from(missing: Missing) -> Self {
        Rejected::NoResolver(missing)
    }
}

impl From<KeyDifference> for Rejected {
    fn from(difference: KeyDifference) -> Self {
        Rejected::Key(difference)
    }
}
