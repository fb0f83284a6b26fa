//! What compiled code depends on: recorded when it is built, checked when it is loaded.

pub(crate) mod backedges;
pub(crate) mod check;
pub mod constants;
pub mod generator;
pub(crate) mod method_identity;
pub mod record;
pub(crate) mod table_growth;
pub mod tables;
pub mod untouched;
