//! Frames of cached code in stack traces.
//!
//! Julia's `StackTraces.lookup` asks `jl_lookup_code_address` what lies at an address; for code in a
//! shared library that is not the sysimage the answer says "C", and every display leaves C frames out.
//! The rest of the answer is right (the library has DWARF from Julia's own code generator), so all
//! there is to do is to correct it. `docs/frames.md` says why this is done here and not elsewhere.
//!
//! Compiled Julia code calls C functions through import slots (ccall.cpp, `emit_plt_thunk`): writable
//! words of the sysimage's file, filled at the first call. `install` replaces the runtime's lookup in its
//! slots by `corrected_lookup`, which hands all addresses outside our libraries' code through.

use std::ffi::{c_char, c_int, c_void};
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use jl_sys::{jl_method_instance_t, jl_method_t, jl_svec_t, jl_sym_t, jl_value_t};

use crate::julia::jl_options;

type Value = *mut jl_value_t;
type LookupCodeAddress = unsafe extern "C" fn(*mut c_void, c_int) -> Value;

/// Does the address lie in the code of a linked library?
pub type Owns = unsafe extern "C" fn(*mut c_void) -> c_int;
/// The method instance whose code holds the address, or `nothing`. Must not allocate in Julia's heap.
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
    // SAFETY: the sysimage is never unloaded.
    let Some(words) = (unsafe { Sysimage::find() }) else {
        return Installed::NoSysimage;
    };
    let runtime: LookupCodeAddress = jl_lookup_code_address;
    let corrected: LookupCodeAddress = corrected_lookup;
    for word in words.import_words() {
        // A slot is an aligned word that compiled code reads with one load: any thread calls the
        // old or the new function, and both are right for it.
        let replaced =
            word.compare_exchange(runtime as usize, corrected as usize, Ordering::Release, Ordering::Relaxed);
        *installed |= replaced.is_ok();
    }
    if *installed {
        Installed::Yes
    } else {
        Installed::NoSlot
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
    // SAFETY: called as the runtime's function would have been. Nothing below allocates in Julia's
    // heap or reaches a safepoint (symbols live outside of it), so the fresh vectors need no root.
    unsafe {
        let frames = jl_lookup_code_address(address, skip_c);
        let Some(questions) = QUESTIONS.get() else {
            return frames;
        };
        if (questions.owns)(address) != 1 {
            return frames;
        }
        let instance = match questions.instance_at {
            Some(at) => at(address),
            None => jl_sys::jl_nothing,
        };
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
        crate::value::is(def, jl_sys::jl_method_type).then(|| (*def.cast::<jl_method_t>()).name.cast())
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

/// The writable words of the sysimage's file that are not part of the image of Julia's heap.
struct Sysimage {
    heap: usize,
    heap_end: usize,
    /// Half-open ranges, word-aligned.
    writable: [(usize, usize); 4],
}

impl Sysimage {
    /// # Safety
    /// The sysimage stays loaded while the result is used.
    unsafe fn find() -> Option<Self> {
        // SAFETY: RTLD_NOLOAD only finds what is loaded; a null or foreign path finds nothing. The two
        // symbols are what the runtime itself reads (staticdata.c, `jl_restore_system_image_from_handle`).
        let mut found = unsafe {
            let path = jl_options.image_file;
            if path.is_null() {
                return None;
            }
            let file = libc::dlopen(path, libc::RTLD_LAZY | libc::RTLD_NOLOAD);
            if file.is_null() {
                return None;
            }
            let heap = libc::dlsym(file, c"jl_system_image_data".as_ptr()) as usize;
            let size = libc::dlsym(file, c"jl_system_image_size".as_ptr()).cast::<usize>();
            libc::dlclose(file);
            if heap == 0 || size.is_null() {
                return None;
            }
            Self { heap, heap_end: heap.checked_add(*size)?, writable: [(0, 0); 4] }
        };
        // SAFETY: the callback gets `found` alone, for the duration of the call.
        let seen = unsafe { libc::dl_iterate_phdr(Some(writable_ranges), (&raw mut found).cast::<c_void>()) };
        (seen == 1).then_some(found)
    }

    /// All words that may be import slots, as atomics: compiled code of other threads reads them.
    fn import_words(&self) -> impl Iterator<Item = &'static AtomicUsize> + '_ {
        let before_heap = self.writable.iter().map(|&(from, to)| (from, to.min(self.heap & !7)));
        let after_heap = self.writable.iter().map(|&(from, to)| (from.max((self.heap_end + 7) & !7), to));
        before_heap.chain(after_heap).flat_map(|(from, to)| {
            (from..to).step_by(8).map(|word| {
                // SAFETY: aligned, mapped and writable for the life of the process (see `find`).
                unsafe { AtomicUsize::from_ptr(word as *mut usize) }
            })
        })
    }
}

/// For `dl_iterate_phdr`: fills `writable` and stops at the object that holds the heap image.
unsafe extern "C" fn writable_ranges(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    sysimage: *mut c_void,
) -> c_int {
    // SAFETY: the loader's own tables, valid during the call; `sysimage` is what `find` passed.
    let (object, sysimage, headers) = unsafe {
        let object = &*object;
        let headers: &[libc::Elf64_Phdr] = if object.dlpi_phdr.is_null() {
            &[]
        } else {
            slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum))
        };
        (object, &mut *sysimage.cast::<Sysimage>(), headers)
    };
    let range = |h: &libc::Elf64_Phdr| {
        let from = (object.dlpi_addr as usize).wrapping_add(h.p_vaddr as usize);
        (from, from.wrapping_add(h.p_memsz as usize))
    };
    let holds_heap = |h: &&libc::Elf64_Phdr| {
        let (from, to) = range(h);
        h.p_type == libc::PT_LOAD && from <= sysimage.heap && sysimage.heap < to
    };
    if !headers.iter().any(|h| holds_heap(&h)) {
        return 0;
    }
    // What the loader made read-only after relocation holds no slots and must not be written.
    let relro_end = headers.iter().filter(|h| h.p_type == libc::PT_GNU_RELRO).map(|h| range(h).1).max();
    let writable = headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W != 0);
    for (place, header) in sysimage.writable.iter_mut().zip(writable) {
        let (from, to) = range(header);
        *place = ((from.max(relro_end.unwrap_or(0)) + 7) & !7, to & !7);
    }
    1
}
