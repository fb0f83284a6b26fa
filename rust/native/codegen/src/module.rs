//! The module of one build, from Julia's code generator to the object file.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::marker::PhantomData;
use std::path::Path;

use inkwell::llvm_sys::prelude::{LLVMModuleRef, LLVMValueRef};
use inkwell::llvm_sys::LLVMLinkage;

use crate::addresses::Addresses;
use crate::emitted::Rewritten;
use crate::error::CodegenError;
use crate::finish::{self, ExportedFunction, Finished, Tables};
use crate::function::remove_body;
use crate::handle::Handle;
use crate::object;
use crate::pipeline::{self, SlotLoads};
use crate::rewrite::Rewriter;
use crate::split::{Names, Part};
use crate::target::Target;
use crate::value::Value;

/// How far the module is.
#[derive(Debug)]
enum State {
    Emitted,
    Rewritten { placeholders: BTreeMap<u32, Value>, rewritten: Rewritten },
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
/// The steps, in this order: [`rewrite`](Self::rewrite), [`finish`](Self::finish),
/// [`optimise`](Self::optimise), [`emit_object`](Self::emit_object).
#[derive(Debug)]
pub struct NativeModule {
    handle: Handle,
    state: State,
    /// Slots whose content may change while code runs.
    mutable: BTreeSet<u32>,
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
    /// `module` is null, or a module that nobody has run a pass on. It and its context live as long as what
    /// is returned here, nobody else changes it meanwhile, and all calls come from the thread that runs
    /// Julia's code generator.
    pub unsafe fn from_raw(module: LLVMModuleRef) -> Result<Self, CodegenError> {
        if module.is_null() {
            return Err(CodegenError::NullModule);
        }
        // SAFETY: not null, and alive as long as the handle, as our caller promises.
        let handle = unsafe { Handle::new(module) };
        Ok(Self { handle, state: State::Emitted, mutable: BTreeSet::new(), _not_send: PhantomData })
    }

    /// Replaces every use of an address by the use of a slot: first in the thunks, then in every other
    /// function.
    ///
    /// An address that `addresses` does not know stays where it is, and is listed with its function.
    ///
    /// # Errors
    /// `Order` if it was called before.
    pub fn rewrite(&mut self, addresses: &mut dyn Addresses) -> Result<Rewritten, CodegenError> {
        let State::Emitted = self.state else { return Err(self.state.error("rewrite")) };
        let outcome = Rewriter::run(&self.handle, addresses);
        self.state =
            State::Rewritten { placeholders: outcome.placeholders, rewritten: outcome.rewritten.clone() };
        self.mutable = outcome.mutable;
        Ok(outcome.rewritten)
    }

    /// Keeps what the exported functions reach, deletes the rest, and gives it order, names and tables (see
    /// [`symbol`](crate::symbol)). Entry `i` of `nativecache_functions` is `exported[i]`.
    ///
    /// Afterwards no function that was known before is valid any longer: all are made anew, in an order that
    /// does not depend on this process's addresses.
    ///
    /// # Errors
    /// `Order`, `NotAFunction`, `SlotOutOfRange`, and `AddressLeft` if something that is exported holds an
    /// address. The module is as before then.
    pub fn finish(
        &mut self,
        exported: &[ExportedFunction],
        slots: u32,
        build_id: [u8; 16],
    ) -> Result<Finished, CodegenError> {
        let State::Rewritten { placeholders, rewritten } = &self.state else {
            return Err(self.state.error("finish"));
        };
        let tables = Tables { exported, slots, build_id, placeholders: placeholders.clone() };
        let finished = finish::finish(&self.handle, rewritten, tables)?;
        self.state = State::Finished;
        Ok(finished)
    }

    /// As [`finish`](Self::finish), but each function gets into a part of the library that is optimised and written by
    /// itself, under a name that depends on `names` and not on what else is exported. What is left here are the
    /// tables: their object is written without any pass, and belongs into the library with those of the parts.
    ///
    /// # Errors
    /// As `finish`, and `Unsplittable`.
    pub fn finish_in_parts(
        &mut self,
        exported: &[ExportedFunction],
        slots: u32,
        build_id: [u8; 16],
        names: &Names,
    ) -> Result<Vec<Part>, CodegenError> {
        let State::Rewritten { placeholders, rewritten } = &self.state else {
            return Err(self.state.error("finish_in_parts"));
        };
        let tables = Tables { exported, slots, build_id, placeholders: placeholders.clone() };
        let is_mutable = |slot: u32| self.mutable.contains(&slot);
        let parts = finish::finish_in_parts(&self.handle, rewritten, tables, names, &is_mutable)?;
        self.state = State::Optimised;
        Ok(parts)
    }

    /// Takes the bodies of all other functions away. With that, a process that a pass has killed can be
    /// repeated for each function alone, to find the culprit. The object of an isolated module is not meant
    /// to be used.
    ///
    /// # Errors
    /// `Order` before `finish` and after `optimise`, `UnknownFunction`.
    pub fn isolate(&mut self, keep: &[&str]) -> Result<(), CodegenError> {
        let State::Finished = self.state else { return Err(self.state.error("isolate")) };
        let functions = self.handle.defined_functions();
        let keep: HashSet<&str> = keep.iter().copied().collect();
        let known: HashSet<String> = functions.iter().map(|function| function.name()).collect();
        if let Some(name) = keep.iter().find(|name| !known.contains(**name)) {
            return Err(CodegenError::UnknownFunction { name: (*name).to_owned() });
        }
        for function in functions {
            if keep.contains(function.name().as_str()) {
                // Those that called it are gone: it must be there all the same.
                function.set_linkage(LLVMLinkage::LLVMExternalLinkage);
            } else {
                // SAFETY: the list that it is in is not used for it again.
                unsafe { remove_body(&self.handle, function) };
            }
        }
        Ok(())
    }

    /// Runs Julia's passes for `target.level`.
    ///
    /// # Errors
    /// `Order`, `Target`, and `GcInvariant` where Julia's own pipeline would abort; the module is of no use
    /// then.
    pub fn optimise(&mut self, target: &Target) -> Result<(), CodegenError> {
        let State::Finished = self.state else { return Err(self.state.error("optimise")) };
        self.state = State::Optimised;
        pipeline::optimise(&self.handle, target, &SlotLoads::Table { mutable: &self.mutable })
    }

    /// Writes the object file. `target` must be the one that the module was optimised for.
    ///
    /// # Errors
    /// `Order`, `Target`, `Machine`, `Write`.
    pub fn emit_object(&mut self, target: &Target, path: &Path) -> Result<(), CodegenError> {
        let State::Optimised = self.state else { return Err(self.state.error("emit_object")) };
        self.state = State::Written;
        object::emit(&self.handle, target, path)
    }

    /// Asks LLVM's verifier.
    ///
    /// # Errors
    /// `Verify` with what it says.
    pub fn verify(&self) -> Result<(), CodegenError> {
        self.handle.module().verify().map_err(|text| CodegenError::Verify { text: text.to_string() })
    }

    /// The module as text, for people and tests.
    ///
    /// # Errors
    /// `Write`.
    pub fn write_ir(&self, path: &Path) -> Result<(), CodegenError> {
        let text = self.handle.module().print_to_string();
        std::fs::write(path, text.to_bytes())
            .map_err(|source| CodegenError::Write { path: path.to_owned(), source })
    }

    /// Names of the functions that are defined, in the order of the module.
    #[must_use]
    pub fn function_names(&self) -> Vec<String> {
        self.handle.defined_functions().into_iter().map(Value::name).collect()
    }

    /// The function of this name that is defined here, to be exported.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<LLVMValueRef> {
        self.handle.function(name).filter(|function| !function.is_declaration()).map(Value::raw)
    }
}

/// The name of a function, as [`Rewritten`] lists it.
///
/// # Safety
/// `value` is null or a value of a living module.
#[must_use]
pub unsafe fn value_name(value: LLVMValueRef) -> Option<String> {
    // SAFETY: as our caller promises.
    unsafe { Value::from_raw(value) }.map(Value::name)
}
