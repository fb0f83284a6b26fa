//! Objects of Julia that code refers to: described when it is built, found again when it is loaded.

pub mod describe;
pub mod folded;
pub mod foreign;
pub mod inferred;
pub mod resolve;
