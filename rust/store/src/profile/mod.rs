//! Profiles: which methods of a package to compile, and from where that is known.
//!
//! A profile is a text file per package and layer ([`text`]): a header, then one `precompile(...)` line
//! for each method, sorted. [`merge`] puts two together, [`limits`] keeps one at a sensible size, and
//! [`update`] changes the file on disk so that sessions that end at once lose nothing.

pub mod limits;
pub mod merge;
pub mod text;
pub mod update;

pub use limits::Limits;
pub use merge::Mode;
pub use text::{Profile, Stats};
