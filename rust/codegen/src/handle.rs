//! The module as the other parts of this crate see it.

use std::mem::ManuallyDrop;

use inkwell::context::ContextRef;
use inkwell::llvm_sys::core::*;
use inkwell::llvm_sys::prelude::*;
use inkwell::llvm_sys::LLVMLinkage;
use inkwell::module::Module;

use crate::builder::Builder;
use crate::names;
use crate::value::{Block, Metadata, Type, Value};

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

    /// Another name, visible outside, for a variable that is only visible inside. So code in the library
    /// reaches the variable without going through the global offset table.
    pub(crate) fn export_alias(&self, global: Value, name: &str) {
        let Ok(name) = std::ffi::CString::new(name) else { return };
        llvm!(LLVMAddAlias(self.raw(), global.ty().raw(), global.raw(), name.as_ptr()));
    }

    /// A variable of the library that the loader writes to: zero in the file, exported as `name`.
    pub(crate) fn add_loader_variable(&self, ty: Type, name: &str) -> Value {
        let global = self.add_global(ty, &format!("{name}.real"));
        global.set_initializer(ty.null());
        global.set_linkage(LLVMLinkage::LLVMInternalLinkage);
        // No pass may conclude from the zero that it stays zero.
        llvm!(LLVMSetExternallyInitialized(global.raw(), 1));
        self.export_alias(global, name);
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

    pub(crate) fn attach(&self, instruction: Value, kind: u32, node: Metadata) {
        llvm!(LLVMSetMetadata(instruction.raw(), kind, LLVMMetadataAsValue(self.context(), node.raw())));
    }
}
