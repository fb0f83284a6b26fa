//! The stages before and after the passes: a module that means the same in every process, and its object file.
//!
//! * `finish`: the second stage; what stays, in which order, under which names, and the tables for the loader
//! * `split`: the second stage for a library in parts; `compile_units`: the debug information of a part
//! * `part`: a part, from its text to its object
//! * `object`: the last stage, the object file

mod compile_units;
mod finish;
mod object;
mod part;
mod split;

pub(crate) use finish::{finish, finish_in_parts, LoaderTables};
pub use finish::{ExportedFunction, FinalName, Finished};
pub(crate) use object::write;
pub use part::Part;
pub use split::StableNames;
