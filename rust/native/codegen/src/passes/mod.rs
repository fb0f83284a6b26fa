//! The third stage: the passes that the just-in-time compiler would run, in its order, and some of our own in between.
//!
//! * `pipeline`: Julia's passes, and when each of the others runs
//! * `invariants`: the rules of Julia's garbage collector, asked before passes that abort where one is broken
//! * `gc_frame`, `slot_loads`, `arguments`: what the pass that makes the collector's frames is given, so that frames
//!   are small and the same in every process
//! * `thread_state`: how code finds the state of its thread

mod arguments;
mod gc_frame;
mod invariants;
mod pipeline;
mod slot_loads;
mod thread_state;

pub(crate) use pipeline::optimise;
pub(crate) use slot_loads::SlotLoads;
