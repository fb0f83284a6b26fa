//! What is particular to Julia 1.5: functions of libjulia that jl-sys does not bind, structs that
//! julia.h hides from bindgen, and constants of its C sources. Everything else is written once.

use jl_sys::{
    jl_array_t, jl_code_instance_t, jl_method_instance_t, jl_method_t, jl_methtable_t, jl_module_t,
    jl_svec_t, jl_sym_t, jl_value_t,
};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use libc::{c_char, c_int, c_uint, c_void, size_t};

/// `jl_binding_t` of julia.h; anonymous there, so bindgen drops it.
#[repr(C)]
pub struct Binding {
    pub name: *mut jl_sym_t,
    pub value: *mut jl_value_t,
    pub globalref: *mut jl_value_t,
    pub owner: *mut jl_module_t,
    pub constp: u8,
    /// exportp:1, imported:1, deprecated:2
    pub bits: u8,
}

/// `HT_NOTFOUND` of htable.h: an empty place in `jl_module_t.bindings`.
pub const HT_NOTFOUND: *mut c_void = std::ptr::without_provenance_mut(1);

/// `JL_RTLD_LAZY | JL_RTLD_DEEPBIND` as ccall.cpp's `jl_get_library` opens libraries (julia.h, `JL_RTLD_DEFAULT`).
pub const JL_RTLD_DEFAULT: c_uint = 4 | 64;

/// The last entries of the enum in gf.c's `jl_invoke_api`.
pub const INVOKE_API_CONST: c_int = 2;

/// `const_flags` of `jl_set_method_inferred` (gf.c): the value is constant, and calling returns it.
pub const CONST_VALUE: i32 = 2;
pub const CONST_RETURN: i32 = 3;

/// `jl_options_t` of julia.h as 1.5 lays it out (base/options.jl mirrors it).
#[repr(C)]
pub struct Options {
    pub quiet: i8,
    pub banner: i8,
    pub julia_bindir: *const c_char,
    pub julia_bin: *const c_char,
    pub cmds: *const *const c_char,
    pub image_file: *const c_char,
    pub cpu_target: *const c_char,
    pub nthreads: i32,
    pub nprocs: i32,
    pub machine_file: *const c_char,
    pub project: *const c_char,
    pub isinteractive: i8,
    pub color: i8,
    pub historyfile: i8,
    pub startupfile: i8,
    pub compile_enabled: i8,
    pub code_coverage: i8,
    pub malloc_log: i8,
    pub opt_level: i8,
    pub debug_level: i8,
    pub check_bounds: i8,
    pub depwarn: i8,
    pub warn_overwrite: i8,
    pub can_inline: i8,
    pub polly: i8,
    pub trace_compile: *const c_char,
    pub fast_math: i8,
    pub worker: i8,
    pub cookie: *const c_char,
    pub handle_signals: i8,
    pub use_sysimage_native_code: i8,
    pub use_compiled_modules: i8,
    pub bindto: *const c_char,
    pub outputbc: *const c_char,
    pub outputunoptbc: *const c_char,
    pub outputo: *const c_char,
    pub outputasm: *const c_char,
    pub outputji: *const c_char,
    pub output_code_coverage: *const c_char,
    pub incremental: i8,
    pub image_file_specified: i8,
    pub warn_scope: i8,
}

extern "C" {
    /// Between the two, Ctrl-C waits (julia.h, `JL_SIGATOMIC_BEGIN`); the second throws it.
    pub fn jl_sigatomic_begin();
    pub fn jl_sigatomic_end();
    /// Not 0 while a Ctrl-C waits for that (safepoint.c).
    pub static jl_signal_pending: AtomicI32;
    /// Ends the process as `exit` does.
    pub fn jl_exit(code: c_int) -> !;
    /// Where a thread waits for a collection that another has begun.
    pub fn jl_gc_safepoint();
    pub static jl_options: Options;

    pub fn jl_get_world_counter() -> size_t;
    pub fn jl_generating_output() -> c_int;
    /// 1 if libjulia was built for more than one thread.
    pub fn jl_threading_enabled() -> c_int;
    pub fn jl_has_free_typevars(ty: *mut jl_value_t) -> c_int;
    pub fn jl_ver_string() -> *const c_char;
    pub fn jl_git_commit() -> *const c_char;

    /// The name of the intrinsic with this number (builtins.c).
    pub fn jl_intrinsic_name(number: c_int) -> *const c_char;
    /// What the module's table has under the name, or null; it resolves nothing and warns of nothing.
    pub fn jl_get_module_binding(module: *mut jl_module_t, name: *mut jl_sym_t) -> *mut Binding;
    pub fn jl_module_exports_p(module: *mut jl_module_t, name: *mut jl_sym_t) -> c_int;
    pub fn jl_get_binding(module: *mut jl_module_t, name: *mut jl_sym_t) -> *mut Binding;
    pub fn jl_module_build_id(module: *mut jl_module_t) -> u64;
    pub fn jl_get_root_symbol() -> *mut jl_sym_t;

    pub fn jl_new_bits(ty: *mut jl_value_t, data: *mut c_void) -> *mut jl_value_t;
    pub fn jl_has_empty_intersection(a: *mut jl_value_t, b: *mut jl_value_t) -> c_int;
    pub fn jl_types_equal(a: *mut jl_value_t, b: *mut jl_value_t) -> c_int;

    pub fn jl_apply_tuple_type_v(params: *mut *mut jl_value_t, count: size_t) -> *mut jl_value_t;
    pub fn jl_method_table_for(sig: *mut jl_value_t) -> *mut jl_value_t;
    pub fn jl_methtable_lookup(
        table: *mut jl_methtable_t,
        sig: *mut jl_value_t,
        world: size_t,
    ) -> *mut jl_value_t;
    pub fn jl_new_method_instance_uninit() -> *mut jl_method_instance_t;
    pub fn jl_specializations_get_linfo(
        method: *mut jl_method_t,
        spec_types: *mut jl_value_t,
        sparams: *mut jl_svec_t,
    ) -> *mut jl_method_instance_t;
    pub fn jl_rettype_inferred(
        mi: *mut jl_method_instance_t,
        min_world: size_t,
        max_world: size_t,
    ) -> *mut jl_value_t;
    pub fn jl_set_method_inferred(
        mi: *mut jl_method_instance_t,
        rettype: *mut jl_value_t,
        inferred_const: *mut jl_value_t,
        inferred: *mut jl_value_t,
        const_flags: i32,
        min_world: size_t,
        max_world: size_t,
    ) -> *mut jl_code_instance_t;
    pub fn jl_method_instance_add_backedge(
        callee: *mut jl_method_instance_t,
        caller: *mut jl_method_instance_t,
    );
    pub fn jl_method_table_add_backedge(
        table: *mut jl_methtable_t,
        sig: *mut jl_value_t,
        caller: *mut jl_value_t,
    );
    pub fn jl_matching_methods(
        signature: *mut jl_sys::jl_datatype_t,
        limit: c_int,
        include_ambiguous: c_int,
        world: size_t,
        min_world: *mut size_t,
        max_world: *mut size_t,
    ) -> *mut jl_value_t;
    pub fn jl_invoke_api(ci: *mut jl_code_instance_t) -> c_int;
    pub fn jl_uncompress_ir(
        method: *mut jl_method_t,
        metadata: *mut jl_code_instance_t,
        data: *mut jl_array_t,
    ) -> *mut jl_value_t;
    pub fn jl_compress_ir(method: *mut jl_method_t, code: *mut jl_value_t) -> *mut jl_array_t;
    pub fn jl_ir_flag_inlineable(data: *mut jl_array_t) -> u8;
    pub fn jl_array_del_end(array: *mut jl_array_t, count: size_t);
    pub fn jl_array_ptr_1d_push(array: *mut jl_array_t, item: *mut jl_value_t);

    // Calling conventions of code instances; only their addresses are used.
    pub fn jl_fptr_args();
    pub fn jl_fptr_sparam();
    pub fn jl_fptr_const_return();

    pub fn jl_gc_enable_conservative_gc_support() -> c_int;
    pub fn jl_gc_get_total_bytes(bytes: *mut i64);
    pub fn jl_gc_internal_obj_base_ptr(p: *mut c_void) -> *mut jl_value_t;

    pub fn jl_load_dynamic_library(name: *const c_char, flags: c_uint, throw: c_int) -> *mut c_void;
    pub fn jl_dlsym(
        handle: *mut c_void,
        symbol: *const c_char,
        value: *mut *mut c_void,
        throw: c_int,
    ) -> c_int;

    pub fn jl_call_in_typeinf_world(args: *mut *mut jl_value_t, nargs: c_int) -> *mut jl_value_t;
    pub fn jl_set_typeinf_func(f: *mut jl_value_t);
}

/// A lock of Julia's own (julia_locks.h, `jl_mutex_wait` and `jl_mutex_unlock`). No Julia code, and nothing that throws,
/// may run while it is held.
pub struct RuntimeLock {
    owner: *mut u64,
    count: *mut u32,
}

impl RuntimeLock {
    /// A method's `writelock`, which protects its roots and specialisations.
    ///
    /// # Safety
    /// On a Julia thread with the collector off: it does not stop to let a collection begin. `method` is live
    /// and outlives the lock.
    pub unsafe fn of_method(method: *mut jl_method_t) -> Self {
        // SAFETY: a field of a live method.
        unsafe { Self::take(&raw mut (*method).writelock) }
    }

    /// A module's `lock`, which protects its bindings.
    ///
    /// # Safety
    /// As [`RuntimeLock::of_method`], of a module.
    pub unsafe fn of_module(module: *mut jl_module_t) -> Self {
        // SAFETY: a field of a live module.
        unsafe { Self::take(&raw mut (*module).lock) }
    }

    unsafe fn take(lock: *mut jl_sys::jl_mutex_t) -> Self {
        // SAFETY: the fields of a lock; the owner is written atomically by all.
        unsafe {
            let taken = RuntimeLock {
                owner: (&raw mut (*lock).owner).cast(),
                count: (&raw mut (*lock).count).cast(),
            };
            let this = libc::pthread_self();
            let owner = AtomicU64::from_ptr(taken.owner);
            if owner.load(Ordering::Acquire) == this {
                *taken.count += 1;
                return taken;
            }
            while owner.compare_exchange(0, this, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                std::hint::spin_loop();
            }
            *taken.count = 1;
            taken
        }
    }
}

impl Drop for RuntimeLock {
    fn drop(&mut self) {
        // SAFETY: this thread holds the lock.
        unsafe {
            *self.count -= 1;
            if *self.count == 0 {
                AtomicU64::from_ptr(self.owner).store(0, Ordering::Release);
            }
        }
    }
}

/// Tells the collector that an old object may now refer to a young one (julia.h, `jl_gc_wb_back`).
///
/// # Safety
/// `object` is live.
pub unsafe fn write_barrier(object: *mut jl_value_t) {
    // SAFETY: the two lowest bits of the tag are the collector's; 3 is old and marked.
    unsafe {
        if *object.cast::<usize>().sub(1) & 3 == 3 {
            jl_sys::jl_gc_queue_root(object);
        }
    }
}
