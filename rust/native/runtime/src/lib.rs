//! What a session and a build of the native engine share: [`objects`] are described in one process and found again in
//! another, [`edges`] are recorded in one and checked in another, [`load`] brings a library into a session, and [`trace`]
//! says what a session has compiled.

pub mod edges;
pub mod error;
pub mod load;
pub mod objects;
pub mod trace;
