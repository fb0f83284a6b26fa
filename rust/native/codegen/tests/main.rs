//! The rooms of `src`, each with the tests of what is in it. `julia` drives the whole crate inside a running Julia.
//!
//! The IR that a test expects stands in it. Where it changes on purpose, `cargo insta review` (`cargo install cargo-insta`)
//! puts the new one in its place.

mod common;
mod emit;
mod llvm;
mod native_module;
mod passes;
mod rewrite;
mod target;
