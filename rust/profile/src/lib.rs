//! Profiles: which methods of a package to compile, and from where that is known.
//!
//! A profile is a text file per package and layer ([`text`]): a header, then one `precompile(...)` line
//! for each method, sorted. [`merge`] puts two together, [`limits`] keeps one at a sensible size, and
//! [`store`] changes the file on disk so that sessions that end at once lose nothing. There is no Julia
//! here.

pub mod error;
pub mod file;
pub mod limits;
pub mod lines;
pub mod merge;
pub mod store;
pub mod text;

pub use error::ProfileError;
pub use limits::Limits;
pub use merge::Mode;
pub use store::update;
pub use text::{Profile, Stats};
