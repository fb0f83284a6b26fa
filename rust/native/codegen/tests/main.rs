//! The rooms of `src`, each with the tests of what is in it. `julia` drives the whole crate inside a running Julia.

mod common;
mod emit;
mod llvm;
mod native_module;
mod passes;
mod rewrite;
mod target;
