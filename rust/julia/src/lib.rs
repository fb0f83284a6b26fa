//! What NativeCache knows of the inside of Julia 1.5.
//!
//! [`julia_1_5`] has the functions and structs that jl-sys does not bind; [`handles`] are objects by their kinds, as long as
//! [`stopped::Stopped`] proves that the collector is off; [`walk`] and [`packages`] walk over what is alive; [`signature`]
//! writes signatures as text; [`compiler`] is Julia's inference and code generator.
//! Nothing here knows what a library of NativeCache is: that is `nativecache-runtime`.

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
pub mod layout;
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
