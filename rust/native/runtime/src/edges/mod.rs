//! Edges: what compiled code depends on. They are recorded when code is built, and verified when it is loaded.

pub(crate) mod backedges;
pub(crate) mod check;
pub mod constants;
pub mod generator;
pub(crate) mod method_identity;
pub mod record;
pub(crate) mod table_growth;
pub mod tables;
pub mod untouched;
