//! The module as the other parts of this crate see it.

use std::ffi::CStr;
use std::mem::ManuallyDrop;

use inkwell::context::ContextRef;
use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::debuginfo::{LLVMGetMetadataKind, LLVMMetadataKind};
use inkwell::llvm_sys::prelude::*;
use inkwell::llvm_sys::{LLVMLinkage, LLVMValueKind, LLVMVisibility};
use inkwell::module::Module;

use crate::builder::Builder;
use crate::names;
use crate::value::{Block, Metadata, Type, Value};

/// The name of every module: it is in the object file.
const MODULE_NAME: &CStr = c"nativecache";

/// Julia's module, borrowed: `jl_native_code_desc_t` owns it, so inkwell must not dispose of it.
///
/// `'static`: the context is a global of libjulia and lives as long as the process; see
/// [`NativeModule::from_raw`](crate::NativeModule::from_raw) for what its caller promises.
#[derive(Debug)]
pub(crate) struct Handle {
    module: ManuallyDrop<Module<'static>>,
    context: ContextRef<'static>,
}

/// Calls LLVM.
///
/// # Safety
/// For all uses in this file: the module and its context are alive (promised to `Handle::new`), and values
/// that are passed belong to it.
macro_rules! llvm {
    ($($call:tt)*) => {
        // SAFETY: see the macro.
        unsafe { $($call)* }
    };
}

impl Handle {
    /// # Safety
    /// `raw` is a living module, and it and its context live as long as the handle. Nobody else changes the
    /// module meanwhile.
    pub(crate) unsafe fn new(raw: LLVMModuleRef) -> Self {
        // SAFETY: the module is alive, and is not disposed of here.
        let module = ManuallyDrop::new(unsafe { Module::new(raw) });
        let context = module.get_context();
        Self { module, context }
    }

    /// An empty module beside this one: for the same target, with the same flags.
    pub(crate) fn create_beside(&self) -> Self {
        // SAFETY: the context is alive; the new module is disposed of by its owner (`dispose`) or never.
        unsafe {
            let made = LLVMModuleCreateWithNameInContext(MODULE_NAME.as_ptr(), self.context());
            LLVMSetSourceFileName(made, MODULE_NAME.as_ptr(), MODULE_NAME.count_bytes());
            LLVMSetTarget(made, LLVMGetTarget(self.raw()));
            LLVMSetDataLayout(made, LLVMGetDataLayoutStr(self.raw()));
            let mut count = 0;
            let flags = LLVMCopyModuleFlagsMetadata(self.raw(), &raw mut count);
            for index in 0..count as u32 {
                let mut length = 0;
                let name = LLVMModuleFlagEntriesGetKey(flags, index, &raw mut length);
                let behaviour = LLVMModuleFlagEntriesGetFlagBehavior(flags, index);
                let value = LLVMModuleFlagEntriesGetMetadata(flags, index);
                LLVMAddModuleFlag(made, behaviour, name, length, value);
            }
            LLVMDisposeModuleFlagsMetadata(flags);
            Self::new(made)
        }
    }

    /// # Safety
    /// It was made by `create_beside`, no value of it is used any longer, and this is called once.
    pub(crate) unsafe fn dispose(&self) {
        llvm!(LLVMDisposeModule(self.raw()));
    }

    /// Names the module: the name is in the object file.
    pub(crate) fn set_module_name(&self) {
        let name = MODULE_NAME.to_string_lossy();
        self.module().set_name(&name);
        self.module().set_source_file_name(&name);
    }

    /// Is there assembly that belongs to no function?
    pub(crate) fn has_inline_assembly(&self) -> bool {
        let mut length = 0;
        llvm!(LLVMGetModuleInlineAsm(self.raw(), &raw mut length));
        length > 0
    }

    pub(crate) fn module(&self) -> &Module<'static> {
        &self.module
    }

    fn raw(&self) -> LLVMModuleRef {
        self.module.as_mut_ptr()
    }

    fn context(&self) -> LLVMContextRef {
        llvm!(LLVMGetModuleContext(self.raw()))
    }

    pub(crate) fn builder(&self) -> Builder {
        Builder::new(&self.context)
    }

    // ---- types ----

    /// `i64`: an address as a number.
    pub(crate) fn word(&self) -> Type {
        llvm!(Type::from_raw(LLVMInt64TypeInContext(self.context())))
    }

    /// `i32`
    pub(crate) fn half_word(&self) -> Type {
        llvm!(Type::from_raw(LLVMInt32TypeInContext(self.context())))
    }

    /// `i8`
    pub(crate) fn byte(&self) -> Type {
        llvm!(Type::from_raw(LLVMInt8TypeInContext(self.context())))
    }

    /// `i8*`: what a slot holds.
    pub(crate) fn byte_pointer(&self) -> Type {
        self.byte().pointer(0)
    }

    // ---- contents ----

    pub(crate) fn functions(&self) -> Vec<Value> {
        let mut functions = Vec::new();
        // SAFETY: the module is alive; the list does not change while it is walked.
        unsafe {
            let mut next = LLVMGetFirstFunction(self.raw());
            while let Some(function) = Value::from_raw(next) {
                functions.push(function);
                next = LLVMGetNextFunction(next);
            }
        }
        functions
    }

    /// The functions with a body, in the order in which Julia emitted them. The module has them in the order
    /// of the addresses of their code instances, which differs from process to process.
    pub(crate) fn defined_functions(&self) -> Vec<Value> {
        let mut functions: Vec<(String, Value)> = self
            .functions()
            .into_iter()
            .filter(|function| !function.is_declaration())
            .map(|function| (function.name(), function))
            .collect();
        functions.sort_by(|(a, _), (b, _)| names::emission_order(a).cmp(&names::emission_order(b)));
        functions.into_iter().map(|(_, function)| function).collect()
    }

    pub(crate) fn globals(&self) -> Vec<Value> {
        let mut globals = Vec::new();
        // SAFETY: the module is alive; the list does not change while it is walked.
        unsafe {
            let mut next = LLVMGetFirstGlobal(self.raw());
            while let Some(global) = Value::from_raw(next) {
                globals.push(global);
                next = LLVMGetNextGlobal(next);
            }
        }
        globals
    }

    pub(crate) fn function(&self, name: &str) -> Option<Value> {
        let name = std::ffi::CString::new(name).ok()?;
        llvm!(Value::from_raw(LLVMGetNamedFunction(self.raw(), name.as_ptr())))
    }

    pub(crate) fn global(&self, name: &str) -> Option<Value> {
        let name = std::ffi::CString::new(name).ok()?;
        llvm!(Value::from_raw(LLVMGetNamedGlobal(self.raw(), name.as_ptr())))
    }

    pub(crate) fn alias(&self, name: &str) -> Option<Value> {
        // LLVM 9 takes the length, but looks for the end of the string itself.
        let c_name = std::ffi::CString::new(name).ok()?;
        llvm!(Value::from_raw(LLVMGetNamedGlobalAlias(self.raw(), c_name.as_ptr(), name.len())))
    }

    /// The variable that an alias of this name stands for.
    pub(crate) fn aliased_variable(&self, name: &str) -> Option<Value> {
        let alias = self.alias(name)?;
        llvm!(Value::from_raw(LLVMAliasGetAliasee(alias.raw()))).filter(|real| real.is_global_variable())
    }

    // ---- making ----

    /// A variable that is only declared; LLVM makes its name unique.
    pub(crate) fn add_global(&self, ty: Type, name: &str) -> Value {
        let made = llvm!(Value::from_raw(LLVMAddGlobal(self.raw(), ty.raw(), c"".as_ptr())));
        let global = made.unwrap_or_else(|| std::process::abort()); // LLVM's constructors never return null
        global.set_name(name);
        global
    }

    /// A function that is only declared; LLVM makes its name unique.
    pub(crate) fn add_function(&self, ty: Type, name: &str) -> Value {
        let made = llvm!(Value::from_raw(LLVMAddFunction(self.raw(), c"".as_ptr(), ty.raw())));
        let function = made.unwrap_or_else(|| std::process::abort()); // LLVM's constructors never return null
        function.set_name(name);
        function
    }

    /// An empty block at the end of a function.
    pub(crate) fn append_block(&self, function: Value) -> Block {
        llvm!(Block::from_raw(LLVMAppendBasicBlockInContext(self.context(), function.raw(), c"".as_ptr())))
    }

    /// Another name for a variable that is only visible inside, or for a part of one. A visible name is for the
    /// loader, so that code in the library reaches the variable without going through the global offset table; a
    /// hidden one is for other objects of the same library.
    pub(crate) fn add_alias(&self, global: Value, name: &str, hidden: bool) {
        let Ok(name) = std::ffi::CString::new(name) else { return };
        // SAFETY: `global` belongs to the module, and its type is a pointer.
        unsafe {
            let alias = LLVMAddAlias(self.raw(), global.ty().raw(), global.raw(), name.as_ptr());
            if hidden {
                LLVMSetVisibility(alias, LLVMVisibility::LLVMHiddenVisibility);
            }
        }
    }

    /// A variable of the library that the loader writes to: zero in the file, exported as `name`.
    pub(crate) fn add_loader_variable(&self, ty: Type, name: &str) -> Value {
        let global = self.add_global(ty, &format!("{name}.real"));
        global.set_initializer(ty.null());
        global.set_linkage(LLVMLinkage::LLVMInternalLinkage);
        // No pass may conclude from the zero that it stays zero.
        llvm!(LLVMSetExternallyInitialized(global.raw(), 1));
        self.add_alias(global, name, false);
        global
    }

    // ---- data layout ----

    /// As text. inkwell's own copy is not used after the first change.
    pub(crate) fn data_layout(&self) -> String {
        // SAFETY: the module is alive; LLVM returns a C string that belongs to it and is copied here.
        let text = unsafe { std::ffi::CStr::from_ptr(LLVMGetDataLayoutStr(self.raw())) };
        text.to_string_lossy().into_owned()
    }

    /// `layout` must be a layout that the module had, or a part of one.
    pub(crate) fn set_data_layout(&self, layout: &str) {
        let Ok(layout) = std::ffi::CString::new(layout) else { return };
        llvm!(LLVMSetDataLayout(self.raw(), layout.as_ptr()));
    }

    // ---- metadata ----

    pub(crate) fn metadata_kind(&self, name: &str) -> u32 {
        self.context.get_kind_id(name)
    }

    pub(crate) fn metadata_string(&self, text: &str) -> Metadata {
        llvm!(Metadata::from_raw(LLVMMDStringInContext2(self.context(), text.as_ptr().cast(), text.len())))
    }

    pub(crate) fn metadata_number(&self, number: u64) -> Metadata {
        llvm!(Metadata::from_raw(LLVMValueAsMetadata(self.word().int(number).raw())))
    }

    pub(crate) fn metadata_node(&self, parts: &[Metadata]) -> Metadata {
        let mut raw: Vec<LLVMMetadataRef> = parts.iter().map(|part| part.raw()).collect();
        llvm!(Metadata::from_raw(LLVMMDNodeInContext2(self.context(), raw.as_mut_ptr(), raw.len())))
    }

    /// The constant that stands as metadata in an operand (`metadata i64* @x`).
    pub(crate) fn metadata_constant(&self, operand: Value) -> Option<Value> {
        if operand.kind() != LLVMValueKind::LLVMMetadataAsValueValueKind {
            return None;
        }
        // SAFETY: LLVM says that a value stands for one operand, itself, and writes as many as it counted.
        unsafe {
            let metadata = LLVMValueAsMetadata(operand.raw());
            let kind = LLVMGetMetadataKind(metadata);
            if kind as u32 != LLVMMetadataKind::LLVMConstantAsMetadataMetadataKind as u32 {
                return None;
            }
            let mut value = std::ptr::null_mut();
            LLVMGetMDNodeOperands(operand.raw(), &raw mut value);
            Value::from_raw(value)
        }
    }

    /// A constant as an operand that is metadata.
    pub(crate) fn constant_metadata(&self, constant: Value) -> Value {
        // SAFETY: a constant of this context; LLVM's constructors never return null.
        unsafe {
            let made = LLVMMetadataAsValue(self.context(), LLVMValueAsMetadata(constant.raw()));
            Value::from_raw(made).unwrap_or_else(|| std::process::abort())
        }
    }

    /// The operands of a metadata node that are metadata themselves.
    pub(crate) fn node_operands(&self, node: LLVMMetadataRef) -> Vec<LLVMMetadataRef> {
        // SAFETY: `node` is metadata of this context; LLVM writes as many operands as it counted, null for absent ones.
        unsafe {
            let value = LLVMMetadataAsValue(self.context(), node);
            let mut operands = vec![std::ptr::null_mut(); LLVMGetMDNodeNumOperands(value) as usize];
            LLVMGetMDNodeOperands(value, operands.as_mut_ptr());
            operands.retain(|operand| !operand.is_null());
            operands.into_iter().map(|operand| LLVMValueAsMetadata(operand)).collect()
        }
    }

    /// Says that the module's debug information has this compile unit.
    pub(crate) fn add_compile_unit(&self, unit: LLVMMetadataRef) {
        llvm!(LLVMAddNamedMetadataOperand(
            self.raw(),
            c"llvm.dbg.cu".as_ptr(),
            LLVMMetadataAsValue(self.context(), unit)
        ));
    }

    pub(crate) fn attach(&self, instruction: Value, kind: u32, node: Metadata) {
        llvm!(LLVMSetMetadata(instruction.raw(), kind, LLVMMetadataAsValue(self.context(), node.raw())));
    }
}
