//! The object file.

use std::path::Path;
use std::sync::Once;

use inkwell::llvm_sys::support::LLVMParseCommandLineOptions;
use inkwell::module::FlagBehavior;
use inkwell::targets::FileType;

use crate::error::CodegenError;
use crate::llvm::Module;
use crate::target::Target;

/// Writes machine code for the module to `path`.
///
/// # Errors
/// `Target`, `Machine`, `Write`.
pub(crate) fn write(module: &Module, target: &Target, path: &Path) -> Result<(), CodegenError> {
    let machine = target.machine(module)?;
    prepare_calls(module);
    leave_out_linkage_names();
    let object = machine
        .write_to_memory_buffer(module.inkwell(), FileType::Object)
        .map_err(|text| CodegenError::Machine { text: text.to_string() })?;
    std::fs::write(path, object.as_slice())
        .map_err(|source| CodegenError::Write { path: path.to_owned(), source })
}

/// Makes calls out of the library go through the global offset table, which is filled at load, and not through the
/// procedure linkage table, which costs another jump. The just-in-time compiler calls absolute addresses, at the same
/// cost.
///
/// Must run after the passes, which declare functions of their own (`jl_gc_pool_alloc`).
fn prepare_calls(module: &Module) {
    for function in module.functions() {
        if function.is_declaration() && !function.is_intrinsic() {
            function.add_attribute("nonlazybind");
        }
    }
    // What the code generator itself calls (memcpy, 128-bit division) goes the same way.
    let one = module.inkwell().get_context().i32_type().const_int(1, false);
    module.inkwell().add_basic_value_flag("RtLibUseGOT", FlagBehavior::Warning, one);
}

/// Keeps names such as `julia_foo_1234` out of the debug information: the number depends on what the process compiled
/// before. The plain names, which Julia's stack traces show, stay; so do those of inlined functions.
fn leave_out_linkage_names() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let arguments = [c"nativecache".as_ptr(), c"-dwarf-linkage-names=Abstract".as_ptr()];
        // SAFETY: the strings live as long as the process, LLVM copies what it keeps. The option is one of
        // the code generator's; it concerns this process only, in which no code of the user runs.
        unsafe { LLVMParseCommandLineOptions(2, arguments.as_ptr(), c"".as_ptr()) };
    });
}
