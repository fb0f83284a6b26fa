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
    /// src/processes/worker.jl did not pass a Julia array.
    #[error("an argument is not an array")]
    NoArray,
    /// The request lacks something, or has it in another form.
    #[error("request: {key} is {value:?}")]
    Request { key: &'static str, value: String },
    /// An operation on a file failed.
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
    /// The system could not create a process, or memory to share with it.
    #[error("no process to compile in: {0}")]
    Process(#[source] io::Error),
    /// The message of a process that could not compile its part.
    #[error("{0}")]
    Part(String),
    /// This is not the Julia for which the worker was built.
    #[error("Julia's code generator gave no module")]
    NoModule,
    /// The sysimage has no native code.
    #[error("the sysimage of this process has no native code to refer to")]
    NoSysimage,
    /// dladdr did not find the file.
    #[error("the file of libjulia was not found")]
    NoLibjulia,
    /// Unknown addresses remained after the maximum number of rounds.
    #[error("code with unknown addresses is left after {0} rounds")]
    Endless(usize),
    /// An error of LLVM, or of the code that rewrites its module.
    #[error(transparent)]
    Codegen(#[from] CodegenError),
    /// An error of the tables.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An object that the tables need cannot be described.
    #[error(transparent)]
    Undescribable(#[from] Undescribable),
    /// No session could use the new library.
    #[error("the new library cannot be used: {0}")]
    Unusable(#[from] Rejected),
    /// A library for a comparison cannot be read.
    #[error("{}: {source}", library.display())]
    Incomparable { library: PathBuf, source: Rejected },
}

impl BuildError {
    /// For `map_err`: an error with the path of its file.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> BuildError + '_ {
        move |source| BuildError::Io { what: path.to_owned(), source }
    }
}
