//! A part of a library, which is optimised and written by itself.

use std::path::Path;

use super::object;
use crate::error::CodegenError;
use crate::llvm::Module;
use crate::passes::{self, SlotLoads};
use crate::symbols::{symbol, HIDDEN_TLS_OFFSET};
use crate::target::Target;

use inkwell::llvm_sys::LLVMLinkage;

/// Some functions of a library.
#[derive(Debug)]
pub struct Part {
    module: Module,
    functions: Vec<String>,
}

impl Part {
    pub(super) fn new(module: Module, functions: Vec<String>) -> Self {
        Self { module, functions }
    }

    /// The names of its functions in the object file.
    #[must_use]
    pub fn functions(&self) -> &[String] {
        &self.functions
    }

    /// The text of the module. Besides it, the object depends only on the target and on this program.
    ///
    /// The numbers in linkage names are left out: they depend on what Julia's code generator emitted before, and the
    /// object does not contain these names.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        without_linkage_names(&self.module.text())
    }

    /// Runs Julia's passes and writes the object file.
    ///
    /// # Errors
    /// `Verify` if the part is not valid, and all errors of
    /// [`NativeModule::optimise`](crate::NativeModule::optimise) and
    /// [`NativeModule::emit_object`](crate::NativeModule::emit_object).
    pub fn write(mut self, target: &Target, path: &Path) -> Result<(), CodegenError> {
        self.module.verify()?;
        passes::optimise(&mut self.module, target, SlotLoads::BySymbol)?;
        if import_thread_state(&self.module)? {
            self.module.delete_unused();
        }
        object::write(&self.module, target, path)
    }
}

/// Replaces the variable that `LowerPTLS` defines in each module by the one of the whole library. Says whether there
/// was one.
fn import_thread_state(module: &Module) -> Result<bool, CodegenError> {
    let alias = module.alias(symbol::TLS_OFFSET);
    let Some((alias, real)) = alias.and_then(|alias| Some((alias, alias.variable()?))) else {
        return Ok(false);
    };
    let import = module.add_variable(real.value_type(), HIDDEN_TLS_OFFSET)?;
    import.hide();
    real.replace_all_uses_with(**import);
    alias.set_linkage(LLVMLinkage::LLVMInternalLinkage);
    // An alias must stand for something that is defined here.
    alias.set_variable(real);
    Ok(true)
}

/// Cuts the number off each `"julia_name_123"` behind `linkageName: `.
fn without_linkage_names(text: &[u8]) -> Vec<u8> {
    const FIELD: &[u8] = b"linkageName: \"";
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, FIELD) {
        let (before, behind) = rest.split_at(at + FIELD.len());
        kept.extend_from_slice(before);
        let end = behind.iter().position(|byte| *byte == b'"').unwrap_or(behind.len());
        let (name, after) = behind.split_at(end);
        let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        kept.extend_from_slice(name.get(..name.len() - digits).unwrap_or_default());
        rest = after;
    }
    kept.extend_from_slice(rest);
    kept
}
