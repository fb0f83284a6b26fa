//! Julia's compiler as the build process drives it: inference, and the code generator.

use std::ffi::{c_int, c_void, CStr};
use std::ptr::NonNull;

use jl_sys::{jl_array_t, jl_code_instance_t, jl_value_t};

use crate::handles::{make, Array, CodeInstance, MethodInstance, Module, Object};
use crate::julia_1_5::jl_set_typeinf_func;
use crate::kept::Kept;
use crate::stopped::Stopped;

/// Julia's type inference, called so that what it throws is caught.
pub struct Inference {
    call: Kept,
    typeinf_ext: Kept,
}

/// Why inference gave nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotInferred {
    /// It threw an exception of this type.
    Threw(String),
    /// It came to an end without a code instance.
    NoResult,
}

impl Inference {
    /// `None` if this Julia's compiler is not where that of 1.5 is.
    ///
    /// # Safety
    /// `roots` is a `Vector{Any}` that stays alive for as long as the result is used, and that nobody else changes.
    pub unsafe fn new(julia: &Stopped, roots: Array<'_>) -> Option<Self> {
        // jl_call runs in the newest world; inference belongs into its own, which nothing invalidates.
        let source = c"(mi, world) -> ccall(:jl_call_in_typeinf_world, Any, (Ptr{Any}, Cint), \
                       Any[Core.Compiler.typeinf_ext, mi, world], 3)";
        // SAFETY: the source is ours and does not throw when evaluated.
        let call = unsafe { Object::from_ptr(jl_sys::jl_eval_string(source.as_ptr())) }?;
        let compiler: Module<'_> = Module::core(julia).constant_named("Compiler")?.as_kind()?;
        let typeinf_ext = compiler.constant_named("typeinf_ext")?;
        // SAFETY: `roots` keeps the one, as the caller says, and a constant binding the other.
        unsafe {
            roots.push(call);
            Some(Inference { call: Kept::new(call), typeinf_ext: Kept::new(typeinf_ext) })
        }
    }

    /// Infers `instance`; its code instance afterwards, and the code that inference gave.
    ///
    /// # Safety
    /// Nothing else runs: generators of packages may, and what they do is part of what follows.
    pub unsafe fn infer<'j>(
        &self,
        julia: &'j Stopped,
        instance: MethodInstance<'j>,
    ) -> Result<(CodeInstance<'j>, Object<'j>), NotInferred> {
        let world = julia.world();
        let number = make::box_u64(julia, world as u64);
        // SAFETY: as the caller says.
        let source = unsafe { make::call(julia, self.call.get(julia), &[instance.object(), number]) };
        let source = source.ok_or_else(|| NotInferred::Threw(type_of_exception()))?;
        let code = instance.inferred_in(world).ok_or(NotInferred::NoResult)?;
        Ok((code, source))
    }

    /// Makes the newest world that of inference too: the code generator emits everything once for each of both worlds, and
    /// the older one is of no use to a build.
    ///
    /// # Safety
    /// No inference is needed in this process any more that a package could have invalidated.
    pub unsafe fn close(&self, julia: &Stopped) {
        // SAFETY: as the caller says.
        unsafe { jl_set_typeinf_func(self.typeinf_ext.get(julia).as_ptr()) };
    }
}

/// The name of the type of what was caught last.
fn type_of_exception() -> String {
    // SAFETY: null or an object that is alive until the next exception; the name lives as long as its type.
    unsafe {
        let exception = jl_sys::jl_exception_occurred();
        if exception.is_null() {
            return "an exception".to_owned();
        }
        CStr::from_ptr(jl_sys::jl_typeof_str(exception)).to_string_lossy().into_owned()
    }
}

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
    fn jl_get_llvm_module(native: *mut c_void) -> *mut c_void;
    fn jl_get_llvm_function(native: *mut c_void, index: u32) -> *mut c_void;
    fn jl_get_function_id(
        native: *mut c_void,
        ci: *mut jl_code_instance_t,
        function: *mut i32,
        specialised: *mut i32,
    );
}

/// What one run of the code generator made. Julia owns it, and it is never freed: the process ends.
pub struct GeneratedCode(*mut c_void);

/// A function of LLVM's, or a module: what its C functions take.
pub type LlvmPointer = NonNull<c_void>;

/// How the code of a code instance is entered with Julia's calling convention.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// By this function.
    Wrapper(LlvmPointer),
    /// By `jl_fptr_args`, which calls the specialised function.
    Args,
    /// By `jl_fptr_sparam`, which calls the specialised function.
    Sparam,
}

/// What code generation made of one code instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Functions {
    /// Its entry.
    pub entry: Entry,
    /// Its specialised function.
    pub specialised: Option<LlvmPointer>,
}

impl GeneratedCode {
    /// Emits these method instances and what they need.
    ///
    /// # Safety
    /// Nothing else runs, and all of them are inferred.
    pub unsafe fn of(julia: &Stopped, instances: &[MethodInstance<'_>]) -> Self {
        let list = Array::of_any(julia, instances.iter().map(|instance| Some(instance.object())));
        // SAFETY: as the caller says; jl_default_cgparams is initialised with the code generator.
        unsafe {
            // The tables of public names are for debuggers; frames need lines only.
            let params = CodegenParams { gnu_pubnames: 0, ..jl_default_cgparams };
            GeneratedCode(jl_create_native(list.as_ptr(), params, 0))
        }
    }

    /// Its LLVM module.
    pub fn module(&self) -> Option<LlvmPointer> {
        // SAFETY: the handle came from jl_create_native.
        NonNull::new(unsafe { jl_get_llvm_module(self.0) })
    }

    /// What was made of `code`, if anything.
    pub fn functions(&self, code: CodeInstance<'_>) -> Option<Functions> {
        let (mut entry, mut specialised) = (0, 0);
        // SAFETY: Julia 1.5 leaves both untouched when it knows nothing.
        unsafe { jl_get_function_id(self.0, code.as_ptr(), &raw mut entry, &raw mut specialised) };
        if entry == 0 && specialised == 0 {
            return None;
        }
        let entry = match self.function(entry) {
            Some(function) => Entry::Wrapper(function),
            // -1 stands for `jl_fptr_args`.
            None if entry == -2 => Entry::Sparam,
            None => Entry::Args,
        };
        Some(Functions { entry, specialised: self.function(specialised) })
    }

    /// The function of a number from 1.
    fn function(&self, number: i32) -> Option<LlvmPointer> {
        let index = u32::try_from(number).ok()?.checked_sub(1)?;
        // SAFETY: a number that jl_get_function_id gave.
        NonNull::new(unsafe { jl_get_llvm_function(self.0, index) })
    }
}
