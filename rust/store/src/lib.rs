//! What both engines and both sides of the C boundary share, and what needs no Julia: profiles, the rules of trust,
//! settings, the reasons that users are told, and the lines in which Rust and Julia talk to each other.

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
