//! A module of LLVM.

use std::ffi::{CStr, CString};
use std::mem::ManuallyDrop;

use inkwell::context::ContextRef;
use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::*;
use inkwell::llvm_sys::LLVMLinkage;
use inkwell::module::Module as InkwellModule;

use super::{Alias, Block, Builder, Function, Instruction, Metadata, Pass, PassList, Type, Value, Variable};
use crate::error::CodegenError;
use crate::names;

/// The name of every module. It ends up in the object file.
const MODULE_NAME: &CStr = c"nativecache";

/// Who frees a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Julia does, with its `jl_native_code_desc_t`.
    Julia,
    /// We do, when [`Module`] is dropped.
    Ours,
}

/// Who can see an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AliasVisibility {
    /// Everybody. The loader looks it up.
    Exported,
    /// Other objects of the same library.
    Hidden,
}

/// A module, Julia's or one that was made beside it.
///
/// inkwell's lifetime `'static` is that of the context, a global of libjulia that lives as long as the process. What
/// this crate hands out has the lifetime of a borrow of the module.
#[derive(Debug)]
pub(crate) struct Module {
    inner: ManuallyDrop<InkwellModule<'static>>,
    context: ContextRef<'static>,
    owner: Owner,
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.owner == Owner::Ours {
            // SAFETY: the module is ours and is not used again. Values of it have borrowed it, so none is left.
            unsafe { ManuallyDrop::drop(&mut self.inner) };
        }
    }
}

impl Module {
    /// The module that Julia's code generator made. It stays Julia's.
    ///
    /// # Safety
    /// `raw` is a living module. It lives as long as what is returned, its context as long as the process, and nobody
    /// else changes it meanwhile.
    pub(crate) unsafe fn of_julia(raw: LLVMModuleRef) -> Self {
        // SAFETY: our caller promises it.
        unsafe { Self::new(raw, Owner::Julia) }
    }

    /// A module that `owner` frees.
    ///
    /// # Safety
    /// `raw` is a living module that nobody but `owner` frees. It lives as long as what is returned, its context as long
    /// as the process, and nobody else changes it meanwhile.
    unsafe fn new(raw: LLVMModuleRef, owner: Owner) -> Self {
        // SAFETY: the module is alive, and `drop` decides whether it is disposed of.
        let inner = ManuallyDrop::new(unsafe { InkwellModule::new(raw) });
        let context = inner.get_context();
        Self { inner, context, owner }
    }

    /// Makes an empty module in the same context, for the same target and with the same flags.
    pub(crate) fn create_beside(&self) -> Result<Self, CodegenError> {
        // SAFETY: the context is alive, and LLVM copies the name.
        let made = unsafe { LLVMModuleCreateWithNameInContext(MODULE_NAME.as_ptr(), self.raw_context()) };
        if made.is_null() {
            return Err(CodegenError::OutOfMemory);
        }
        // SAFETY: a module that was just made for us, in a context that lives as long as the process.
        let beside = unsafe { Self::new(made, Owner::Ours) };
        // SAFETY: two living modules. LLVM copies the texts.
        unsafe {
            LLVMSetSourceFileName(made, MODULE_NAME.as_ptr(), MODULE_NAME.count_bytes());
            LLVMSetTarget(made, LLVMGetTarget(self.raw()));
            LLVMSetDataLayout(made, LLVMGetDataLayoutStr(self.raw()));
        }
        self.copy_flags(&beside);
        Ok(beside)
    }

    fn copy_flags(&self, to: &Self) {
        let mut count = 0;
        // SAFETY: a living module. LLVM copies the flags into an array that is ours.
        let flags = unsafe { LLVMCopyModuleFlagsMetadata(self.raw(), &raw mut count) };
        for index in 0..count as u32 {
            let mut length = 0;
            // SAFETY: the array has that many flags, and their metadata belongs to the context of both modules.
            unsafe {
                let name = LLVMModuleFlagEntriesGetKey(flags, index, &raw mut length);
                let behaviour = LLVMModuleFlagEntriesGetFlagBehavior(flags, index);
                let value = LLVMModuleFlagEntriesGetMetadata(flags, index);
                LLVMAddModuleFlag(to.raw(), behaviour, name, length, value);
            }
        }
        // SAFETY: the array came from LLVM, and is not used again.
        unsafe { LLVMDisposeModuleFlagsMetadata(flags) };
    }

    /// Sets the name. All modules have the same one, because it ends up in the object file.
    pub(crate) fn set_name(&self) {
        let name = MODULE_NAME.to_string_lossy();
        self.inner.set_name(&name);
        self.inner.set_source_file_name(&name);
    }

    /// Does it have assembly outside of functions?
    pub(crate) fn has_inline_assembly(&self) -> bool {
        let mut length = 0;
        // SAFETY: a living module.
        unsafe { LLVMGetModuleInlineAsm(self.raw(), &raw mut length) };
        length > 0
    }

    /// Asks LLVM's verifier.
    ///
    /// # Errors
    /// `Verify` with what it says.
    pub(crate) fn verify(&self) -> Result<(), CodegenError> {
        self.inner.verify().map_err(|text| CodegenError::Verify { text: text.to_string() })
    }

    /// The module as text.
    pub(crate) fn text(&self) -> Vec<u8> {
        self.inner.print_to_string().to_bytes().to_vec()
    }

    /// inkwell's module, for what has nothing to do with single values.
    pub(crate) fn inkwell(&self) -> &InkwellModule<'static> {
        &self.inner
    }

    pub(super) fn raw(&self) -> LLVMModuleRef {
        self.inner.as_mut_ptr()
    }

    fn raw_context(&self) -> LLVMContextRef {
        // SAFETY: a living module.
        unsafe { LLVMGetModuleContext(self.raw()) }
    }

    pub(crate) fn builder(&self) -> Builder<'_> {
        Builder::new(&self.context)
    }

    // ---- types ----

    /// `i64`: an address as a number.
    pub(crate) fn word(&self) -> Type<'_> {
        // SAFETY: the context is alive.
        unsafe { Type::from_raw(LLVMInt64TypeInContext(self.raw_context())) }
    }

    /// `i32`
    pub(crate) fn half_word(&self) -> Type<'_> {
        // SAFETY: the context is alive.
        unsafe { Type::from_raw(LLVMInt32TypeInContext(self.raw_context())) }
    }

    /// `i8`
    pub(crate) fn byte(&self) -> Type<'_> {
        // SAFETY: the context is alive.
        unsafe { Type::from_raw(LLVMInt8TypeInContext(self.raw_context())) }
    }

    /// `i8*`: what a slot holds.
    pub(crate) fn byte_pointer(&self) -> Type<'_> {
        self.byte().pointer(0)
    }

    // ---- contents ----

    /// All functions, in the order of the module.
    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        let mut functions = Vec::new();
        // SAFETY: a living module, whose functions live as long.
        let mut next = unsafe { Value::from_raw(LLVMGetFirstFunction(self.raw())) };
        while let Some(function) = next {
            functions.extend(function.as_function());
            // SAFETY: a living function, and the list does not change meanwhile.
            next = unsafe { Value::from_raw(LLVMGetNextFunction(function.raw())) };
        }
        functions
    }

    /// The functions with a body, in the order in which Julia emitted them.
    ///
    /// The module has them in the order of the addresses of their code instances, which differs from process to
    /// process.
    pub(crate) fn defined_functions(&self) -> Vec<Function<'_>> {
        let mut functions: Vec<(String, Function<'_>)> = self
            .functions()
            .into_iter()
            .filter(|function| !function.is_declaration())
            .map(|function| (function.name(), function))
            .collect();
        functions.sort_by(|(a, _), (b, _)| names::emission_order(a).cmp(&names::emission_order(b)));
        functions.into_iter().map(|(_, function)| function).collect()
    }

    /// All global variables, in the order of the module.
    pub(crate) fn variables(&self) -> Vec<Variable<'_>> {
        let mut variables = Vec::new();
        // SAFETY: a living module, whose variables live as long.
        let mut next = unsafe { Value::from_raw(LLVMGetFirstGlobal(self.raw())) };
        while let Some(variable) = next {
            variables.extend(variable.as_variable());
            // SAFETY: a living variable, and the list does not change meanwhile.
            next = unsafe { Value::from_raw(LLVMGetNextGlobal(variable.raw())) };
        }
        variables
    }

    pub(crate) fn function(&self, name: &str) -> Option<Function<'_>> {
        let name = CString::new(name).ok()?;
        // SAFETY: a living module, whose functions live as long.
        unsafe { Value::from_raw(LLVMGetNamedFunction(self.raw(), name.as_ptr())) }?.as_function()
    }

    pub(crate) fn variable(&self, name: &str) -> Option<Variable<'_>> {
        let name = CString::new(name).ok()?;
        // SAFETY: a living module, whose variables live as long.
        unsafe { Value::from_raw(LLVMGetNamedGlobal(self.raw(), name.as_ptr())) }?.as_variable()
    }

    pub(crate) fn alias(&self, name: &str) -> Option<Alias<'_>> {
        // LLVM 9 takes the length, but looks for the end of the string itself.
        let c_name = CString::new(name).ok()?;
        // SAFETY: a living module, whose aliases live as long.
        unsafe { Value::from_raw(LLVMGetNamedGlobalAlias(self.raw(), c_name.as_ptr(), name.len())) }?
            .as_alias()
    }

    // ---- making ----

    /// Declares a variable. LLVM makes its name unique.
    pub(crate) fn add_variable(&self, ty: Type<'_>, name: &str) -> Result<Variable<'_>, CodegenError> {
        // SAFETY: a living module and a living type. The name is set below.
        let made = unsafe { Value::made(LLVMAddGlobal(self.raw(), ty.raw(), c"".as_ptr())) }?;
        made.set_name(name);
        // SAFETY: LLVM adds a variable and nothing else here.
        Ok(unsafe { Variable::added(made) })
    }

    /// Declares a function. LLVM makes its name unique.
    pub(crate) fn add_function(&self, ty: Type<'_>, name: &str) -> Result<Function<'_>, CodegenError> {
        // SAFETY: a living module and a living function type. The name is set below.
        let made = unsafe { Value::made(LLVMAddFunction(self.raw(), c"".as_ptr(), ty.raw())) }?;
        made.set_name(name);
        made.as_function().ok_or(CodegenError::OutOfMemory)
    }

    /// Adds an empty block at the end of a function.
    pub(crate) fn append_block<'m>(&'m self, function: Function<'m>) -> Result<Block<'m>, CodegenError> {
        // SAFETY: a living function, whose blocks live as long.
        let made = unsafe {
            let raw = LLVMAppendBasicBlockInContext(self.raw_context(), function.raw(), c"".as_ptr());
            Block::from_raw(raw)
        };
        made.ok_or(CodegenError::OutOfMemory)
    }

    /// Adds another name for `target`: a variable that is only visible inside the library, or an element of one.
    ///
    /// The loader finds the variable by the exported alias. Code of the library reaches it directly, not through the
    /// global offset table.
    pub(crate) fn add_alias(
        &self,
        target: Value<'_>,
        name: &str,
        visibility: AliasVisibility,
    ) -> Result<(), CodegenError> {
        let Ok(name) = CString::new(name) else { return Ok(()) };
        // SAFETY: a living module and a living constant of it, which is a pointer.
        let made =
            unsafe { Value::made(LLVMAddAlias(self.raw(), target.ty().raw(), target.raw(), name.as_ptr())) }?;
        if visibility == AliasVisibility::Hidden {
            // SAFETY: LLVM adds an alias and nothing else here.
            unsafe { Alias::added(made) }.set_hidden();
        }
        Ok(())
    }

    /// Adds a variable for the loader to write to. It is zero in the file, and exported as `name`.
    pub(crate) fn add_loader_variable(&self, ty: Type<'_>, name: &str) -> Result<Variable<'_>, CodegenError> {
        let variable = self.add_variable(ty, &format!("{name}.real"))?;
        variable.set_initializer(ty.null()?);
        variable.set_linkage(LLVMLinkage::LLVMInternalLinkage);
        // No pass may conclude from the zero that it stays zero.
        variable.set_externally_initialized();
        self.add_alias(**variable, name, AliasVisibility::Exported)?;
        Ok(variable)
    }

    /// Deletes what is only visible in the module and used nowhere.
    pub(crate) fn delete_unused(&mut self) {
        let passes = PassList::new();
        passes.add(Pass::GLOBAL_DCE);
        passes.run(self);
    }

    // ---- data layout ----

    /// The data layout as text. inkwell's own copy is not used after the first change.
    pub(crate) fn data_layout(&self) -> CString {
        // SAFETY: a living module. LLVM returns a C string that belongs to it and is copied here.
        unsafe { CStr::from_ptr(LLVMGetDataLayoutStr(self.raw())) }.to_owned()
    }

    /// Sets the data layout: one that the module had, or a part of one.
    pub(crate) fn set_data_layout(&self, layout: &CStr) {
        // SAFETY: a living module, and LLVM copies the text.
        unsafe { LLVMSetDataLayout(self.raw(), layout.as_ptr()) };
    }

    // ---- metadata ----

    /// The number of a kind of metadata that instructions can have.
    pub(crate) fn metadata_kind(&self, name: &str) -> u32 {
        self.context.get_kind_id(name)
    }

    pub(crate) fn metadata_string(&self, text: &str) -> Result<Metadata<'_>, CodegenError> {
        // SAFETY: the context is alive. LLVM copies as many bytes as the text has.
        let made = unsafe {
            Metadata::from_raw(LLVMMDStringInContext2(self.raw_context(), text.as_ptr().cast(), text.len()))
        };
        made.ok_or(CodegenError::OutOfMemory)
    }

    pub(crate) fn metadata_number(&self, number: u64) -> Result<Metadata<'_>, CodegenError> {
        let number = self.word().int(number)?;
        // SAFETY: a living constant.
        unsafe { Metadata::from_raw(LLVMValueAsMetadata(number.raw())) }.ok_or(CodegenError::OutOfMemory)
    }

    pub(crate) fn metadata_node(&self, parts: &[Metadata<'_>]) -> Result<Metadata<'_>, CodegenError> {
        let mut raw: Vec<LLVMMetadataRef> = parts.iter().map(|part| part.raw()).collect();
        // SAFETY: the context is alive, and so is the metadata of which the node is made.
        let made = unsafe {
            Metadata::from_raw(LLVMMDNodeInContext2(self.raw_context(), raw.as_mut_ptr(), raw.len()))
        };
        made.ok_or(CodegenError::OutOfMemory)
    }

    /// Metadata as a value.
    fn metadata_value(&self, metadata: Metadata<'_>) -> LLVMValueRef {
        // SAFETY: the context and its metadata are alive.
        unsafe { LLVMMetadataAsValue(self.raw_context(), metadata.raw()) }
    }

    /// A constant as an operand that is metadata.
    pub(crate) fn constant_as_metadata<'m>(&'m self, constant: Value<'m>) -> Result<Value<'m>, CodegenError> {
        // SAFETY: a living constant, and there is one context for all modules of a process.
        unsafe { Value::made(LLVMMetadataAsValue(self.raw_context(), LLVMValueAsMetadata(constant.raw()))) }
    }

    /// The operands of a metadata node, without those that are absent.
    pub(crate) fn node_operands<'m>(&'m self, node: Metadata<'m>) -> Vec<Metadata<'m>> {
        let node = self.metadata_value(node);
        // SAFETY: a living node.
        let mut operands = vec![std::ptr::null_mut(); unsafe { LLVMGetMDNodeNumOperands(node) } as usize];
        // SAFETY: a living node. LLVM writes as many operands as it has just counted, null for absent ones.
        unsafe { LLVMGetMDNodeOperands(node, operands.as_mut_ptr()) };
        operands.retain(|operand| !operand.is_null());
        operands
            .into_iter()
            // SAFETY: a living value of the context, and its metadata lives as long.
            .filter_map(|operand| unsafe { Metadata::from_raw(LLVMValueAsMetadata(operand)) })
            .collect()
    }

    /// Adds a compile unit to the module's debug information.
    pub(crate) fn add_compile_unit(&self, unit: Metadata<'_>) {
        let unit = self.metadata_value(unit);
        // SAFETY: a living module and a living node of its context.
        unsafe { LLVMAddNamedMetadataOperand(self.raw(), c"llvm.dbg.cu".as_ptr(), unit) };
    }

    /// Attaches metadata of this kind to an instruction.
    pub(crate) fn attach(&self, instruction: Instruction<'_>, kind: u32, node: Metadata<'_>) {
        let node = self.metadata_value(node);
        // SAFETY: a living instruction and a living node of its context.
        unsafe { LLVMSetMetadata(instruction.raw(), kind, node) };
    }
}
