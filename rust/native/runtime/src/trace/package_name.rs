//! Packages, by what names them in the store.

use nativecache_julia::handles::Module;

/// A package by what names it in the store.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PackageName {
    /// Its name.
    pub name: String,
    /// Its uuid; zero without one.
    pub uuid: [u8; 16],
}

impl PackageName {
    /// The name of a root module's package.
    pub fn of(module: Module<'_>) -> Self {
        PackageName { name: module.as_str().to_owned(), uuid: module.uuid() }
    }
}
