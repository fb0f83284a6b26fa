//! The stages of a build, from the module of Julia's code generator to the object file.

use std::collections::{BTreeMap, HashSet};
use std::marker::PhantomData;
use std::path::Path;

use inkwell::llvm_sys::prelude::{LLVMModuleRef, LLVMValueRef};
use inkwell::llvm_sys::LLVMLinkage;

use crate::emit::{self, ExportedFunction, Finished, LoaderTables, Part, StableNames};
use crate::error::CodegenError;
use crate::llvm::{remove_body, Module, Value};
use crate::passes::{self, SlotLoads};
use crate::rewrite::addresses::Addresses;
use crate::rewrite::findings::Rewritten;
use crate::rewrite::rewrite;
use crate::target::Target;

/// How far the module is.
#[derive(Debug)]
enum State {
    Emitted,
    /// `placeholders` has the names of the variables that stand for slots. The values themselves cannot be kept here,
    /// because they borrow the module.
    Rewritten {
        placeholders: BTreeMap<u32, String>,
        rewritten: Rewritten,
    },
    Finished,
    Optimised,
    Written,
}

impl State {
    fn describe(&self) -> &'static str {
        match self {
            Self::Emitted => "not rewritten yet",
            Self::Rewritten { .. } => "rewritten, but not finished",
            Self::Finished => "finished, but not optimised",
            Self::Optimised => "optimised already",
            Self::Written => "written already",
        }
    }

    fn error(&self, step: &'static str) -> CodegenError {
        CodegenError::Order { step, state: self.describe() }
    }
}

/// The LLVM module that `jl_create_native` made. Julia owns it; nothing is freed here.
///
/// The steps, in this order: [`rewrite`](Self::rewrite), [`finish`](Self::finish), [`optimise`](Self::optimise),
/// [`emit_object`](Self::emit_object). With [`finish_in_parts`](Self::finish_in_parts) the parts are optimised and
/// written by themselves.
#[derive(Debug)]
pub struct NativeModule {
    module: Module,
    state: State,
    /// LLVM's contexts belong to one thread.
    _not_send: PhantomData<*mut ()>,
}

impl NativeModule {
    /// Takes the module that `jl_get_llvm_module` returned.
    ///
    /// # Errors
    /// `NullModule` for a null pointer.
    ///
    /// # Safety
    /// `module` is null, or a module that nobody has run a pass on. It lives as long as what is returned here, its
    /// context as long as the process, nobody else changes it meanwhile, and all calls come from the thread that runs
    /// Julia's code generator.
    pub unsafe fn from_raw(module: LLVMModuleRef) -> Result<Self, CodegenError> {
        if module.is_null() {
            return Err(CodegenError::NullModule);
        }
        // SAFETY: not null, and our caller promises the rest.
        let module = unsafe { Module::of_julia(module) };
        Ok(Self { module, state: State::Emitted, _not_send: PhantomData })
    }

    /// Replaces every use of an address by a load from a slot, first in the thunks, then in all other functions.
    ///
    /// Addresses that `addresses` does not know stay, and are listed with their functions.
    ///
    /// # Errors
    /// `Order` if it was called before, `OutOfMemory`.
    pub fn rewrite(&mut self, addresses: &mut dyn Addresses) -> Result<Rewritten, CodegenError> {
        let State::Emitted = self.state else { return Err(self.state.error("rewrite")) };
        let outcome = rewrite(&self.module, addresses)?;
        let rewritten = outcome.rewritten.clone();
        self.state = State::Rewritten { placeholders: outcome.placeholders, rewritten };
        Ok(outcome.rewritten)
    }

    /// Deletes what the exported functions do not reach, and gives the rest its order, names and tables (see
    /// [`symbol`](crate::symbol)). Entry `i` of `nativecache_functions` is `exported[i]`.
    ///
    /// All functions are replaced by new ones, in an order that does not depend on addresses of this process. Pointers
    /// to the old ones are invalid afterwards.
    ///
    /// # Errors
    /// `Order`, `NotAFunction`, `SlotOutOfRange`, and `AddressLeft` if something that is exported holds an address. The
    /// module is as before then. `OutOfMemory` leaves it half done.
    pub fn finish(
        &mut self,
        exported: &[ExportedFunction],
        slots: u32,
        build_id: [u8; 16],
    ) -> Result<Finished, CodegenError> {
        let State::Rewritten { placeholders, rewritten } = &self.state else {
            return Err(self.state.error("finish"));
        };
        let tables = LoaderTables { exported, slots, build_id, placeholders };
        let finished = emit::finish(&self.module, rewritten, &tables)?;
        self.state = State::Finished;
        Ok(finished)
    }

    /// Moves the functions that the exported ones reach to parts of the library, which are optimised and written by
    /// themselves. Their new names depend on `names`, and not on what else is exported. The tables stay in this module.
    /// Its object is written without any pass, and is linked with those of the parts.
    ///
    /// # Errors
    /// All those of [`finish`](Self::finish), and `Unsplittable`, which leaves the module half split.
    pub fn finish_in_parts(
        &mut self,
        exported: &[ExportedFunction],
        slots: u32,
        build_id: [u8; 16],
        names: &StableNames,
    ) -> Result<Vec<Part>, CodegenError> {
        let State::Rewritten { placeholders, rewritten } = &self.state else {
            return Err(self.state.error("finish_in_parts"));
        };
        let tables = LoaderTables { exported, slots, build_id, placeholders };
        let parts = emit::finish_in_parts(&mut self.module, rewritten, &tables, names)?;
        self.state = State::Optimised;
        Ok(parts)
    }

    /// Removes the bodies of all functions except those to `keep`. If a pass has killed the process, compiling each
    /// function alone finds the culprit. The object of an isolated module must not be used.
    ///
    /// # Errors
    /// `Order` before `finish` and after `optimise`, `UnknownFunction`, `OutOfMemory`.
    pub fn isolate(&mut self, keep: &[&str]) -> Result<(), CodegenError> {
        let State::Finished = self.state else { return Err(self.state.error("isolate")) };
        let functions = self.module.defined_functions();
        let keep: HashSet<&str> = keep.iter().copied().collect();
        let known: HashSet<String> = functions.iter().map(|function| function.name()).collect();
        if let Some(name) = keep.iter().find(|name| !known.contains(**name)) {
            return Err(CodegenError::UnknownFunction { name: (*name).to_owned() });
        }
        for function in functions {
            if keep.contains(function.name().as_str()) {
                // Its callers are gone, but it must stay.
                function.set_linkage(LLVMLinkage::LLVMExternalLinkage);
            } else {
                // SAFETY: the list that it is in ends here.
                unsafe { remove_body(&self.module, function) }?;
            }
        }
        Ok(())
    }

    /// Runs Julia's passes for `target.level`.
    ///
    /// # Errors
    /// `Order`, `Target`, `OutOfMemory`, and `GcInvariant` where Julia's own pipeline would abort; the module is of no
    /// use then.
    pub fn optimise(&mut self, target: &Target) -> Result<(), CodegenError> {
        let State::Finished = self.state else { return Err(self.state.error("optimise")) };
        self.state = State::Optimised;
        passes::optimise(&mut self.module, target, SlotLoads::FromTable)
    }

    /// Writes the object file. `target` must be the one that the module was optimised for.
    ///
    /// # Errors
    /// `Order`, `Target`, `Machine`, `Write`.
    pub fn emit_object(&mut self, target: &Target, path: &Path) -> Result<(), CodegenError> {
        let State::Optimised = self.state else { return Err(self.state.error("emit_object")) };
        self.state = State::Written;
        emit::write(&self.module, target, path)
    }

    /// Asks LLVM's verifier.
    ///
    /// # Errors
    /// `Verify` with what it says.
    pub fn verify(&self) -> Result<(), CodegenError> {
        self.module.verify()
    }

    /// Writes the module as text, for people and tests.
    ///
    /// # Errors
    /// `Write`.
    pub fn write_ir(&self, path: &Path) -> Result<(), CodegenError> {
        std::fs::write(path, self.module.text())
            .map_err(|source| CodegenError::Write { path: path.to_owned(), source })
    }

    /// Names of the functions that are defined, in the order of emission.
    #[must_use]
    pub fn function_names(&self) -> Vec<String> {
        self.module.defined_functions().into_iter().map(|function| function.name()).collect()
    }

    /// The function of this name that is defined here, to be exported.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<LLVMValueRef> {
        let function = self.module.function(name).filter(|function| !function.is_declaration())?;
        Some(function.raw())
    }
}

/// The name of a function, as [`Rewritten`] lists it.
///
/// # Safety
/// `value` is null or a value of a living module.
#[must_use]
pub unsafe fn value_name(value: LLVMValueRef) -> Option<String> {
    // SAFETY: our caller promises it.
    unsafe { Value::from_raw(value) }.map(Value::name)
}
