//! Frames of cached code in stack traces.
//!
//! Julia's `StackTraces.lookup` asks `jl_lookup_code_address` what lies at an address; for code in a
//! shared library that is not the sysimage the answer says "C", and every display leaves C frames out.
//! The rest of the answer is right (the library has DWARF from Julia's own code generator), so all
//! there is to do is to correct it. `docs/frames.md` says why this is done here and not elsewhere.
//!
//! `install` replaces the runtime's lookup in the sysimage's import slots by `corrected_lookup`, which hands
//! all addresses outside our libraries' code through.

use nativecache_mutation::mutation;
use std::ffi::{c_char, c_int, c_void};
use std::slice;
use std::sync::{Mutex, OnceLock, PoisonError};

use jl_sys::{jl_method_instance_t, jl_method_t, jl_svec_t, jl_sym_t, jl_value_t};

use crate::load::imports;

type Value = *mut jl_value_t;
type LookupCodeAddress = unsafe extern "C" fn(*mut c_void, c_int) -> Value;

/// Does the address lie in the code of a linked library?
pub type Owns = unsafe extern "C" fn(*mut c_void) -> c_int;
/// The method instance whose code holds the address, or `nothing`. It is rooted for the life of the process.
pub type InstanceAt = unsafe extern "C" fn(*mut c_void) -> Value;

/// What `install` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Installed {
    /// Frames of cached code show from now on (or did already).
    Yes = 0,
    /// The file of the sysimage is not loaded as a shared library, or holds no image.
    NoSysimage = 1,
    /// The sysimage has not called the runtime's lookup, so there is no slot that holds it.
    NoSlot = 2,
}

struct Questions {
    owns: Owns,
    instance_at: Option<InstanceAt>,
}

static QUESTIONS: OnceLock<Questions> = OnceLock::new();
static INSTALLED: Mutex<bool> = Mutex::new(false);

extern "C" {
    fn jl_lookup_code_address(address: *mut c_void, skip_c: c_int) -> Value;
    fn jl_symbol_name(symbol: *mut jl_sym_t) -> *const c_char;
}

/// Makes the frames of cached code show.
///
/// # Safety
/// Julia runs and the calling thread is one of its own, outside of a GC-safe region. `owns` and
/// `instance_at` stay callable for the life of the process, from any thread.
pub unsafe fn install(owns: Owns, instance_at: Option<InstanceAt>) -> Installed {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Installed::Yes;
    }
    QUESTIONS.get_or_init(|| Questions { owns, instance_at });
    // SAFETY: as the caller vouches.
    unsafe { fill_slots() };
    let runtime: LookupCodeAddress = jl_lookup_code_address;
    let corrected: LookupCodeAddress = corrected_lookup;
    // SAFETY: both are functions of this type, and either is right for every thread.
    match unsafe {
        imports::exchange(
            runtime as usize,
            mutation!("frames: Julia looks up addresses itself", corrected, runtime) as usize,
        )
    } {
        None => Installed::NoSysimage,
        Some(0) => Installed::NoSlot,
        Some(_) => {
            *installed = true;
            Installed::Yes
        }
    }
}

/// What a slot of a cached library gets for the C function at `address`. Libraries hold copies of sysimage code
/// that cached code calls, `StackTraces.lookup` among them, and those call through the library's own slots.
pub fn import(address: *mut c_void) -> *mut c_void {
    let runtime: LookupCodeAddress = jl_lookup_code_address;
    let corrected: LookupCodeAddress = corrected_lookup;
    if address as usize == runtime as usize {
        corrected as *mut c_void
    } else {
        address
    }
}

/// Compiled code fills an import slot when it first calls the function: looks an address up that is none.
///
/// # Safety
/// Julia runs and the calling thread is one of its own.
unsafe fn fill_slots() {
    // SAFETY: modules and functions of Base are constants and never freed; `jl_call1` roots its arguments and
    // catches what they throw.
    unsafe {
        let constant = |module: Value, name: &str| {
            let name = jl_sys::jl_symbol_n(name.as_ptr().cast(), name.len());
            jl_sys::jl_get_global(module.cast(), name)
        };
        let traces = constant(jl_sys::jl_base_module.cast(), "StackTraces");
        if traces.is_null() {
            return;
        }
        let lookup = constant(traces, "lookup");
        if !lookup.is_null() {
            jl_sys::jl_call1(lookup, jl_sys::jl_box_voidpointer(std::ptr::null_mut()));
        }
    }
}

/// Stands in for `jl_lookup_code_address`: a simple vector with one simple vector (function, file, line,
/// linfo, from_c, inlined) for each frame at the address, innermost first.
unsafe extern "C" fn corrected_lookup(address: *mut c_void, skip_c: c_int) -> Value {
    // SAFETY: called as the runtime's function would have been. Nothing behind its call allocates in Julia's
    // heap or reaches a safepoint (symbols live outside of it), so the fresh vectors need no root.
    unsafe {
        let questions = match QUESTIONS.get() {
            Some(questions) if (questions.owns)(address) == 1 => questions,
            _ => return jl_lookup_code_address(address, skip_c),
        };
        // Before there are vectors: it waits for another thread that links, at a safepoint. Method instances of
        // linked libraries are rooted.
        let instance = match questions.instance_at {
            Some(at) => at(address),
            None => jl_sys::jl_nothing,
        };
        let frames = jl_lookup_code_address(address, skip_c);
        for &frame in items(frames) {
            if let [func, _, line, _, _, inlined] = *items(frame) {
                let inlined = inlined == jl_sys::jl_true;
                // A helper function of the library may follow the code of a method instance.
                if !inlined && name_of(instance) == Some(func) {
                    set_item(frame, 3, instance);
                }
                // Line -1: no debug information, so a calling-convention wrapper, which the runtime
                // calls C in JIT-compiled code too.
                let name = symbol_bytes(func);
                if jl_sys::jl_unbox_int64(line) == -1 || name.is_empty() {
                    continue;
                }
                set_item(frame, 4, jl_sys::jl_false);
                // Code generation ends names of inlined functions with `;`; the runtime takes that off
                // only for what it holds for Julia code.
                if let (true, Some(end)) = (inlined, name.iter().position(|&b| b == b';')) {
                    set_item(frame, 0, jl_sys::jl_symbol_n(name.as_ptr().cast(), end).cast());
                }
            }
        }
        frames
    }
}

/// The name of the method that a method instance is of.
///
/// # Safety
/// `instance` is a live method instance or `nothing`.
unsafe fn name_of(instance: Value) -> Option<Value> {
    // SAFETY: as the caller says; `def` is read as what its tag says.
    unsafe {
        if instance == jl_sys::jl_nothing {
            return None;
        }
        let def = (*instance.cast::<jl_method_instance_t>()).def.value;
        nativecache_julia::object::is(def, jl_sys::jl_method_type)
            .then(|| (*def.cast::<jl_method_t>()).name.cast())
    }
}

/// # Safety
/// `vector` is a live simple vector without unassigned elements.
unsafe fn items<'a>(vector: Value) -> &'a [Value] {
    // SAFETY: the elements follow the length (julia.h, `jl_svec_data`).
    unsafe {
        let header = vector.cast::<jl_svec_t>();
        slice::from_raw_parts(header.add(1).cast::<Value>(), (*header).length)
    }
}

/// # Safety
/// `vector` is a live simple vector longer than `index` that no other thread sees; `item` is a live object.
unsafe fn set_item(vector: Value, index: usize, item: Value) {
    // SAFETY: julia.h, `jl_svecset` with `jl_gc_wb`: an old marked parent that gets a child that is not
    // marked goes to the remembered set. The tag is the word before an object, its low two bits the GC's.
    unsafe {
        *vector.cast::<Value>().add(1 + index) = item;
        let bits = |object: Value| *object.cast::<usize>().sub(1) & 3;
        if bits(vector) == 3 && bits(item) & 1 == 0 {
            jl_sys::jl_gc_queue_root(vector);
        }
    }
}

/// # Safety
/// `symbol` is a symbol.
unsafe fn symbol_bytes<'a>(symbol: Value) -> &'a [u8] {
    // SAFETY: symbols are never freed; names end with NUL.
    unsafe { std::ffi::CStr::from_ptr(jl_symbol_name(symbol.cast())).to_bytes() }
}
