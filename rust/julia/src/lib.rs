//! What NativeCache knows of the inside of Julia 1.5.
//!
//! [`julia_1_5`] has the functions and structs that jl-sys does not bind; [`object`] and [`layout`] read objects;
//! [`inspect`], [`root_modules`] and [`packages`] walk over what is alive; [`signature`] writes signatures as text.
//! Nothing here knows what a library of NativeCache is: that is `nativecache-runtime`.

pub mod addresses;
pub mod c_symbols;
pub mod code_digest;
pub mod collector;
pub mod compiler;
pub mod definitions;
pub mod elf;
pub mod frame_lookup;
pub mod handles;
pub mod inspect;
pub mod julia_1_5;
pub mod kept;
pub mod lasting_names;
pub mod layout;
pub mod loading;
pub mod made_up_names;
pub mod method_roots;
pub mod object;
pub mod object_addresses;
pub mod object_paths;
pub mod origin;
pub mod packages;
pub mod paths;
pub mod process;
pub mod raw_packages;
pub mod root_modules;
pub mod signature;
pub mod specialisations;
pub mod stopped;
pub mod symbols;
pub mod sysimage;
pub mod types;
pub mod walk;
