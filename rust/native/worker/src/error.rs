//! Why there is no library.

use std::path::PathBuf;

use nativecache_codegen::CodegenError;
use nativecache_image::ImageError;
use nativecache_runtime::error::{Rejected, Undescribable};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum BuildError {
    #[error("request: {key} is {value:?}")]
    Request { key: &'static str, value: String },
    #[error("{}: {error}", what.display())]
    Io { what: PathBuf, error: String },
    #[error("{methods} methods were given for {statements} statements")]
    Mismatch { methods: usize, statements: usize },
    #[error("linker {linker:?}: {error}")]
    Linker { linker: String, error: String },
    #[error("no process to compile in: {0}")]
    Process(std::io::Error),
    #[error("{0}")]
    Part(String),
    #[error("Julia's code generator gave no module")]
    NoModule,
    #[error("the sysimage of this process has no native code to refer to")]
    NoSysimage,
    #[error("the system does not say which file libjulia is")]
    NoLibjulia,
    #[error("code with unknown addresses is left after {0} rounds")]
    Endless(usize),
    #[error(transparent)]
    Codegen(#[from] CodegenError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Undescribable(#[from] Undescribable),
    #[error("the new library is of no use: {0}")]
    Unusable(#[from] Rejected),
}
