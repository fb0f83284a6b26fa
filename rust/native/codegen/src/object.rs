//! The object file.

use std::path::Path;
use std::sync::Once;

use inkwell::llvm_sys::support::LLVMParseCommandLineOptions;
use inkwell::module::FlagBehavior;
use inkwell::targets::FileType;

use crate::error::CodegenError;
use crate::function::add_attribute;
use crate::handle::Handle;
use crate::target::Target;

/// Writes machine code for the module to `path`.
pub(crate) fn emit(handle: &Handle, target: &Target, path: &Path) -> Result<(), CodegenError> {
    let machine = target.machine(handle)?;
    prepare_calls(handle);
    leave_out_linkage_names();
    let object = machine
        .write_to_memory_buffer(handle.module(), FileType::Object)
        .map_err(|text| CodegenError::Machine { text: text.to_string() })?;
    std::fs::write(path, object.as_slice())
        .map_err(|source| CodegenError::Write { path: path.to_owned(), source })
}

/// Calls out of the library go straight through the global offset table, which is filled at load, and not
/// through the procedure linkage table, one jump more. The just-in-time compiler calls absolute addresses;
/// this costs the same.
///
/// Only after the passes: they declare functions of their own (`jl_gc_pool_alloc`).
fn prepare_calls(handle: &Handle) {
    for function in handle.functions() {
        if function.is_declaration() && !function.is_intrinsic() {
            add_attribute(handle, function, "nonlazybind");
        }
    }
    // The same for what the code generator itself calls (memcpy, 128-bit division).
    let one = handle.module().get_context().i32_type().const_int(1, false);
    handle.module().add_basic_value_flag("RtLibUseGOT", FlagBehavior::Warning, one);
}

/// Keeps names such as `julia_foo_1234` out of the debug information: the number depends on what the process
/// compiled before. Julia's stack traces show the plain name, which stays, and so does that of what was
/// inlined.
fn leave_out_linkage_names() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let arguments = [c"nativecache".as_ptr(), c"-dwarf-linkage-names=Abstract".as_ptr()];
        // SAFETY: the strings live as long as the process, LLVM copies what it keeps. The option is one of
        // the code generator's; it concerns this process only, in which no code of the user runs.
        unsafe { LLVMParseCommandLineOptions(2, arguments.as_ptr(), c"".as_ptr()) };
    });
}
