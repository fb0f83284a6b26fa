//! The third stage: the passes of the just-in-time compiler, in its order, with some of our own in between.
//!
//! * `pipeline`: Julia's passes, and when each of the others runs
//! * `invariants`: checks the rules of Julia's garbage collector before passes that abort where one is broken
//! * `gc_frame`, `slot_loads`, `arguments`: keep the collector's frames small, and the same in every process
//! * `thread_state`: how code finds the state of its thread

mod arguments;
mod gc_frame;
mod invariants;
mod pipeline;
mod slot_loads;
mod thread_state;

pub(crate) use pipeline::optimise;
pub(crate) use slot_loads::SlotLoads;
