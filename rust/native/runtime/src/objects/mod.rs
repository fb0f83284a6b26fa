//! Julia objects to which code refers. They are described when code is built, and found again when it is loaded.

pub mod describe;
pub mod folded;
pub mod foreign;
pub mod inferred;
pub mod resolve;
