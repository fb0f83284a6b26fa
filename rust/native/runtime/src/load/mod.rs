//! A library in a session, from its file to installed function pointers.

pub mod frames;
pub mod imports;
pub mod install;
pub mod key;
pub mod library;
pub mod link;
pub mod loaded;
pub mod stage_times;
