//! What a module defines or declares by name: functions, variables, aliases.

use std::ops::Deref;

use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::{LLVMLinkage, LLVMValueKind, LLVMVisibility};

use super::{Type, Value};

/// A function, a global variable or an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Global<'m>(Value<'m>);

/// A global variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Variable<'m>(Global<'m>);

/// Another name for a global value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Alias<'m>(Global<'m>);

impl<'m> Deref for Global<'m> {
    type Target = Value<'m>;

    fn deref(&self) -> &Value<'m> {
        &self.0
    }
}

impl<'m> Deref for Variable<'m> {
    type Target = Global<'m>;

    fn deref(&self) -> &Global<'m> {
        &self.0
    }
}

impl<'m> Deref for Alias<'m> {
    type Target = Global<'m>;

    fn deref(&self) -> &Global<'m> {
        &self.0
    }
}

impl<'m> Value<'m> {
    pub(crate) fn as_global(self) -> Option<Global<'m>> {
        use LLVMValueKind::*;
        matches!(self.kind(), LLVMFunctionValueKind | LLVMGlobalVariableValueKind | LLVMGlobalAliasValueKind)
            .then_some(Global(self))
    }

    pub(crate) fn as_variable(self) -> Option<Variable<'m>> {
        (self.kind() == LLVMValueKind::LLVMGlobalVariableValueKind).then_some(Variable(Global(self)))
    }

    pub(super) fn as_alias(self) -> Option<Alias<'m>> {
        (self.kind() == LLVMValueKind::LLVMGlobalAliasValueKind).then_some(Alias(Global(self)))
    }
}

impl<'m> Global<'m> {
    /// Is it only declared here, without a body or an initialiser?
    pub(crate) fn is_declaration(self) -> bool {
        // SAFETY: a living global value.
        unsafe { LLVMIsDeclaration(self.raw()) != 0 }
    }

    pub(crate) fn linkage(self) -> LLVMLinkage {
        // SAFETY: a living global value.
        unsafe { LLVMGetLinkage(self.raw()) }
    }

    pub(crate) fn set_linkage(self, linkage: LLVMLinkage) {
        // SAFETY: a living global value.
        unsafe { LLVMSetLinkage(self.raw(), linkage) };
    }

    /// Makes it visible to other objects of the same library only.
    pub(crate) fn hide(self) {
        self.set_linkage(LLVMLinkage::LLVMExternalLinkage);
        self.set_hidden();
    }

    pub(super) fn set_hidden(self) {
        // SAFETY: a living global value.
        unsafe { LLVMSetVisibility(self.raw(), LLVMVisibility::LLVMHiddenVisibility) };
    }

    /// The type of the function or of the content. The value itself is a pointer to that.
    pub(crate) fn value_type(self) -> Type<'m> {
        // SAFETY: a living global value; the type belongs to its context.
        unsafe { Type::from_raw(LLVMGlobalGetValueType(self.raw())) }
    }

    /// Copies the section of another function or variable, if it has one.
    pub(super) fn copy_section(self, from: Global<'_>) {
        // SAFETY: both are living functions or variables. LLVM's text ends with a NUL and is copied.
        unsafe {
            let section = LLVMGetSection(from.raw());
            if !section.is_null() && *section != 0 {
                LLVMSetSection(self.raw(), section);
            }
        }
    }
}

impl<'m> Variable<'m> {
    /// The variable that LLVM has just added to a module.
    ///
    /// # Safety
    /// `value` is a global variable.
    pub(super) unsafe fn added(value: Value<'m>) -> Self {
        Self(Global(value))
    }

    pub(crate) fn initializer(self) -> Option<Value<'m>> {
        // SAFETY: a living variable; null if it is only declared.
        unsafe { Value::from_raw(LLVMGetInitializer(self.raw())) }
    }

    /// Defines the variable here. The constant must have the type of its content.
    pub(crate) fn set_initializer(self, constant: Value<'m>) {
        // SAFETY: a living variable and a living constant.
        unsafe { LLVMSetInitializer(self.raw(), constant.raw()) };
    }

    /// Is it marked as constant?
    pub(crate) fn is_constant_data(self) -> bool {
        // SAFETY: a living variable.
        unsafe { LLVMIsGlobalConstant(self.raw()) != 0 }
    }

    /// Marks it as constant.
    pub(crate) fn set_constant_data(self) {
        // SAFETY: a living variable.
        unsafe { LLVMSetGlobalConstant(self.raw(), 1) };
    }

    /// Marks it as initialised from outside of the module, before any code runs.
    pub(super) fn set_externally_initialized(self) {
        // SAFETY: a living variable.
        unsafe { LLVMSetExternallyInitialized(self.raw(), 1) };
    }

    /// Copies the properties of another variable of the same type, but neither its content nor its linkage.
    pub(crate) fn copy_properties(self, from: Variable<'_>) {
        // SAFETY: both are living variables.
        unsafe {
            LLVMSetVisibility(self.raw(), LLVMGetVisibility(from.raw()));
            LLVMSetGlobalConstant(self.raw(), LLVMIsGlobalConstant(from.raw()));
            LLVMSetUnnamedAddress(self.raw(), LLVMGetUnnamedAddress(from.raw()));
            LLVMSetAlignment(self.raw(), LLVMGetAlignment(from.raw()));
            LLVMSetThreadLocalMode(self.raw(), LLVMGetThreadLocalMode(from.raw()));
            LLVMSetExternallyInitialized(self.raw(), LLVMIsExternallyInitialized(from.raw()));
        }
        self.copy_section(*from);
    }

    /// Copies the properties and the content of another variable of the same type, but not its linkage.
    pub(crate) fn copy_from(self, from: Variable<'m>) {
        self.copy_properties(from);
        if let Some(initializer) = from.initializer() {
            self.set_initializer(initializer);
        }
    }

    /// Removes it from its module and frees it.
    ///
    /// # Safety
    /// Nothing uses the variable, and nobody keeps it.
    pub(crate) unsafe fn delete(self) {
        // SAFETY: it is alive and has no uses.
        unsafe { LLVMDeleteGlobal(self.raw()) };
    }
}

impl<'m> Alias<'m> {
    /// The alias that LLVM has just added to a module.
    ///
    /// # Safety
    /// `value` is an alias.
    pub(super) unsafe fn added(value: Value<'m>) -> Self {
        Self(Global(value))
    }

    /// The variable that it stands for.
    pub(crate) fn variable(self) -> Option<Variable<'m>> {
        // SAFETY: a living alias, and what it stands for is alive too.
        unsafe { Value::from_raw(LLVMAliasGetAliasee(self.raw())) }?.as_variable()
    }

    /// Makes it stand for a variable of its type.
    pub(crate) fn set_variable(self, variable: Variable<'m>) {
        // SAFETY: a living alias and a living variable.
        unsafe { LLVMAliasSetAliasee(self.raw(), variable.raw()) };
    }
}
