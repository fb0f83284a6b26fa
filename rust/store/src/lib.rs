//! Code that both engines share and that needs no Julia: profiles, the rules of trust, settings, the reasons that users
//! see, and the lines in which Rust and Julia exchange data.

pub mod boundary;
pub mod error;
pub mod fields;
pub mod file;
pub mod hex;
pub mod lines;
pub mod profile;
pub mod reason;
pub mod rejected;
pub mod settings;
pub mod trust;

pub use error::ProfileError;
pub use hex::Hex;
pub use profile::{Limits, Mode, Profile, Stats};
pub use reason::{Reason, Stage};
pub use rejected::Rejected;
