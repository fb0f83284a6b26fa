//! What comes before the passes and behind them: a module that means the same in every process, and its object file.
//!
//! * `finish`: the second stage. What stays, in which order, under which names, and the tables for the loader
//! * `split`: the second stage where the library is made of parts; `compile_units`: their debug information
//! * `part`: one of them, from its text to its object
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
pub use split::Names;
