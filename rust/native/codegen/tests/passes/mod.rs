mod arguments;
mod gc_frame;
mod invariants;
mod slot_loads;
mod thread_state;
