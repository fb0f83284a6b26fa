//! What compiled code depends on: recorded when it is built, checked when it is loaded.

pub mod backedges;
pub mod check;
pub mod constants;
pub mod generator;
pub mod method_identity;
pub mod record;
pub mod table_growth;
pub mod tables;
pub mod untouched;
