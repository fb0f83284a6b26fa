//! Why there is no library.

use std::io;
use std::path::{Path, PathBuf};

use nativecache_codegen::CodegenError;
use nativecache_image::ImageError;
use nativecache_runtime::error::{Rejected, Undescribable};
use thiserror::Error;

/// A build, or one of its steps, has failed as a whole.
#[derive(Debug, Error)]
pub(crate) enum BuildError {
    /// What src/worker.jl handed over is no array of Julia's.
    #[error("what should be an array is none")]
    NoArray,
    /// The request lacks something, or has it in another form.
    #[error("request: {key} is {value:?}")]
    Request { key: &'static str, value: String },
    /// A file refused.
    #[error("{}: {source}", what.display())]
    Io { what: PathBuf, source: io::Error },
    /// The array of methods and the file of statements do not belong together.
    #[error("{methods} methods were given for {statements} statements")]
    Mismatch { methods: usize, statements: usize },
    /// The linker could not be started.
    #[error("linker {linker:?}: {source}")]
    NoLinker { linker: String, source: io::Error },
    /// The linker has failed.
    #[error("linker {linker:?}: {status}: {said}")]
    Linker { linker: String, status: std::process::ExitStatus, said: String },
    /// The system gave no process, or no memory to share with one.
    #[error("no process to compile in: {0}")]
    Process(#[source] io::Error),
    /// What a process said that could not compile its part.
    #[error("{0}")]
    Part(String),
    /// This is not the Julia that was compiled for.
    #[error("Julia's code generator gave no module")]
    NoModule,
    /// Started without a sysimage of native code.
    #[error("the sysimage of this process has no native code to refer to")]
    NoSysimage,
    /// dladdr knows no file.
    #[error("the system does not say which file libjulia is")]
    NoLibjulia,
    /// Each round takes something out, and more rounds than there should be did not suffice.
    #[error("code with unknown addresses is left after {0} rounds")]
    Endless(usize),
    /// LLVM, or what was made of its module.
    #[error(transparent)]
    Codegen(#[from] CodegenError),
    /// The tables.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Something without which there are no tables.
    #[error(transparent)]
    Undescribable(#[from] Undescribable),
    /// No session could use the library that was made.
    #[error("the new library is of no use: {0}")]
    Unusable(#[from] Rejected),
    /// A library that was to be compared with another cannot be read.
    #[error("{}: {source}", library.display())]
    Incomparable { library: PathBuf, source: Rejected },
}

impl BuildError {
    /// For `map_err`: what happened to this file.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> BuildError + '_ {
        move |source| BuildError::Io { what: path.to_owned(), source }
    }
}
