//! Code that sessions and builds of the native engine share. [`objects`] are described in one process and found in another.
//! [`edges`] are recorded in one process and verified in another. [`load`] links a library in a session. [`trace`] finds what
//! a session has compiled.

pub mod edges;
pub mod error;
pub mod load;
pub mod objects;
pub mod trace;
