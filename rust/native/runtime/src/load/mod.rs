//! A library in a session, from its file to installed function pointers.

pub mod frames;
pub mod imports;
pub mod install;
mod installer;
pub mod key;
pub mod library;
pub mod link;
pub mod loaded;
mod mapped;
pub mod moment;
pub mod outcomes;
pub mod stage_times;
pub(crate) mod state;
