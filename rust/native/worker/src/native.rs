//! Julia's code generator: method instances in, one LLVM module and its code instances out.

use std::ffi::{c_int, c_void};

use jl_sys::{jl_array_t, jl_code_instance_t, jl_method_instance_t, jl_value_t};
use nativecache_codegen::llvm_sys::prelude::{LLVMModuleRef, LLVMValueRef};
use nativecache_image::Reason;
use nativecache_julia::inspect::constant;
use nativecache_julia::julia_1_5::{
    jl_array_ptr_1d_push, jl_get_world_counter, jl_rettype_inferred, jl_set_typeinf_func,
};
use nativecache_julia::object::{is, symbol, Value};

/// `jl_cgparams_t` of 1.5's julia.h: six numbers and five hooks.
#[repr(C)]
#[derive(Clone, Copy)]
struct CodegenParams {
    track_allocations: c_int,
    code_coverage: c_int,
    static_alloc: c_int,
    prefer_specsig: c_int,
    gnu_pubnames: c_int,
    debug_info_kind: c_int,
    hooks: [*mut jl_value_t; 5],
}

extern "C" {
    static jl_default_cgparams: CodegenParams;
    fn jl_create_native(methods: *mut jl_array_t, params: CodegenParams, policy: c_int) -> *mut c_void;
    fn jl_get_llvm_module(native: *mut c_void) -> LLVMModuleRef;
    fn jl_get_llvm_function(native: *mut c_void, index: u32) -> LLVMValueRef;
    fn jl_get_function_id(
        native: *mut c_void,
        ci: *mut jl_code_instance_t,
        function: *mut i32,
        specialised: *mut i32,
    );
}

/// What code generation made of one code instance: 1-based indices, or -1 and -2 for Julia's own entry
/// points (`jl_fptr_args`, `jl_fptr_sparam`), 0 for nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FunctionIds {
    pub(crate) function: i32,
    pub(crate) specialised: i32,
}

/// The result of one run of the code generator. Julia owns it, and it is never freed: the process ends.
pub(crate) struct Native(*mut c_void);

impl Native {
    /// Emits these method instances and what they need.
    ///
    /// # Safety
    /// The collector is off, no other Julia code runs, all method instances are live and inferred.
    pub(crate) unsafe fn create(methods: &[*mut jl_method_instance_t]) -> Self {
        // SAFETY: a fresh array of boxed elements; jl_default_cgparams is initialised with the code generator.
        unsafe {
            let array = jl_sys::jl_alloc_array_1d(jl_sys::jl_array_any_type.cast(), methods.len());
            for (i, mi) in methods.iter().enumerate() {
                *(*array).data.cast::<Value>().add(i) = mi.cast();
            }
            // The tables of public names are for debuggers; frames need lines only.
            let params = CodegenParams { gnu_pubnames: 0, ..jl_default_cgparams };
            Native(jl_create_native(array, params, 0))
        }
    }

    /// Its module.
    pub(crate) fn module(&self) -> LLVMModuleRef {
        // SAFETY: the handle came from jl_create_native.
        unsafe { jl_get_llvm_module(self.0) }
    }

    /// What was made of `ci`, if anything.
    ///
    /// # Safety
    /// `ci` is a live code instance.
    pub(crate) unsafe fn ids(&self, ci: *mut jl_code_instance_t) -> Option<FunctionIds> {
        let (mut function, mut specialised) = (0, 0);
        // SAFETY: as the caller says; 1.5 leaves both untouched when it knows nothing.
        unsafe { jl_get_function_id(self.0, ci, &raw mut function, &raw mut specialised) };
        (function != 0 || specialised != 0).then_some(FunctionIds { function, specialised })
    }

    /// The LLVM function of a 1-based index.
    ///
    /// # Safety
    /// `index` came from [`Native::ids`] and is positive.
    pub(crate) unsafe fn function(&self, index: i32) -> LLVMValueRef {
        // SAFETY: as the caller says.
        unsafe { jl_get_llvm_function(self.0, (index - 1).cast_unsigned()) }
    }
}

/// Julia's type inference, called so that what it throws is caught.
pub(crate) struct Inference {
    call: Value,
    typeinf_ext: Value,
}

impl Inference {
    /// # Safety
    /// On a Julia thread; `rooted` is a rooted `Vector{Any}`, which keeps what is made here.
    pub(crate) unsafe fn new(rooted: *mut jl_array_t) -> Option<Self> {
        // jl_call runs in the newest world; inference belongs into its own, which nothing invalidates.
        let source = c"(mi, world) -> ccall(:jl_call_in_typeinf_world, Any, (Ptr{Any}, Cint), \
                       Any[Core.Compiler.typeinf_ext, mi, world], 3)";
        // SAFETY: the source is ours and does not throw when evaluated.
        unsafe {
            let call = jl_sys::jl_eval_string(source.as_ptr());
            if call.is_null() {
                return None;
            }
            jl_array_ptr_1d_push(rooted, call);
            let compiler = constant(jl_sys::jl_core_module, symbol("Compiler"))?;
            let typeinf_ext = constant(compiler.cast(), symbol("typeinf_ext"))?;
            Some(Inference { call, typeinf_ext })
        }
    }

    /// Infers `mi`; its code instance afterwards, and the code that inference gave.
    ///
    /// # Safety
    /// `mi` is live, the collector is off.
    pub(crate) unsafe fn infer(
        &self,
        mi: *mut jl_method_instance_t,
    ) -> Result<(*mut jl_code_instance_t, Value), (Reason, String)> {
        // SAFETY: as the caller says.
        unsafe {
            let world = jl_get_world_counter();
            let source = jl_sys::jl_call2(self.call, mi.cast(), jl_sys::jl_box_uint64(world as u64));
            if source.is_null() {
                let exception = jl_sys::jl_exception_occurred();
                let what = if exception.is_null() {
                    "an exception".to_owned()
                } else {
                    let name = std::ffi::CStr::from_ptr(jl_sys::jl_typeof_str(exception));
                    name.to_string_lossy().into_owned()
                };
                return Err((Reason::CompilerThrew, what));
            }
            let ci = jl_rettype_inferred(mi, world, world);
            if !is(ci, jl_sys::jl_code_instance_type) {
                return Err((Reason::NotInferred, String::new()));
            }
            Ok((ci.cast(), source))
        }
    }

    /// Makes the newest world that of inference too: `jl_create_native` emits everything once for each
    /// of both worlds, and the older one is of no use here.
    ///
    /// # Safety
    /// No inference is needed in this process any more that a package could have invalidated.
    pub(crate) unsafe fn close(&self) {
        // SAFETY: as the caller says.
        unsafe { jl_set_typeinf_func(self.typeinf_ext) };
    }
}
