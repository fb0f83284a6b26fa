//! Profiles: the methods of a package to compile, by the source that named them.
//!
//! A profile is a text file per package and layer ([`text`]): a header, then one `precompile(...)` line
//! for each method, sorted. [`merge`] merges two profiles, [`limits`] limits the size of one, and [`update`] changes the
//! file on disk, so that sessions that end at the same time lose nothing.

pub mod limits;
pub mod merge;
pub mod text;
pub mod update;

pub use limits::Limits;
pub use merge::Mode;
pub use text::{Profile, Stats};
