//! Everything that NativeCache knows about the internals of Julia 1.5.
//!
//! - [`julia_1_5`] has functions and structs that jl-sys does not bind.
//! - [`handles`] has typed handles of objects, valid while [`stopped::Stopped`] proves that the collector is off.
//! - [`walk`] and [`packages`] walk over modules, methods and packages.
//! - [`signature`] writes signatures as text.
//! - [`compiler`] calls Julia's inference and code generator.
//!
//! Nothing here knows about libraries of NativeCache: those are in `nativecache-runtime`.

pub mod c_symbols;
pub mod calls;
pub mod code_digest;
pub mod compiler;
pub mod definitions;
pub mod elf;
pub mod ending;
pub mod frame_lookup;
pub mod handles;
pub mod julia_1_5;
pub mod kept;
pub mod lasting_names;
mod layout;
pub mod loading;
pub mod method_roots;
pub mod object_addresses;
pub mod object_paths;
pub mod origin;
pub mod packages;
pub mod process;
pub mod signature;
pub mod specialisations;
pub mod stopped;
pub mod symbols;
pub mod sysimage;
pub mod walk;
