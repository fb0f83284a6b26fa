//! The only crate that touches the running Julia: it looks at methods, specialisations and code
//! instances, describes objects so that another process can find them, finds them there, and
//! installs function pointers.
//!
//! Build side: [`inspect`] -> [`paths`] -> [`describe`], [`edges`]. Load side: [`trust`], [`library`] -> [`key`],
//! [`modules`] -> [`resolve`], [`tables`], [`specialisations`], [`roots`] -> [`verify`] -> [`install`], led by [`link`]. What is particular to one version of
//! Julia stands in [`julia`].

pub mod code_digest;
pub mod constants;
pub mod definitions;
pub mod describe;
pub mod edges;
pub mod elf;
pub mod error;
pub mod folded;
pub mod foreign;
pub mod frames;
pub mod gc;
pub mod generated;
pub mod generator;
pub mod growth;
pub mod imports;
pub mod inferred;
pub mod inspect;
pub mod install;
#[cfg_attr(feature = "julia-1-5", path = "julia_1_5.rs")]
pub mod julia;
pub mod key;
pub mod layout;
pub mod library;
pub mod link;
pub mod modules;
pub mod names;
pub mod objects;
pub mod origin;
pub mod packages;
pub mod paths;
pub mod pristine;
pub mod quick;
pub mod resolve;
pub mod roots;
pub mod specialisations;
pub mod statement;
pub mod steps;
pub mod sysimage;
pub mod tables;
pub mod trace;
pub mod value;
pub mod verify;
pub mod words;
