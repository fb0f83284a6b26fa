//! Frames of cached code in stack traces.
//!
//! Julia's `StackTraces.lookup` calls the runtime to look up an address. For code in a shared library that is not the
//! sysimage, the answer says "C", and every display leaves C frames out. The rest of the answer is right, since the library
//! has DWARF from Julia's own code generator. So only the answer has to be corrected. `docs/frames.md` says why this is done
//! here and not elsewhere.
//!
//! `install` replaces the runtime's lookup in the sysimage's import slots by `corrected_lookup`, which changes nothing for
//! addresses outside of cached libraries.

use std::ffi::{c_int, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

use nativecache_julia::frame_lookup::{have_julia_look_up, look_up, Frame, Lookup, RUNTIME};
use nativecache_julia::handles::{make, MethodInstance, Object, RawObject, Symbol};
use nativecache_julia::stopped::Stopped;
use nativecache_mutation::mutation;

use crate::load::imports;

/// Is the address in the code of a linked library?
pub type Owns = unsafe extern "C" fn(*mut c_void) -> c_int;
/// The method instance whose code holds the address, or null. It is rooted for the life of the process.
pub type InstanceAt = unsafe extern "C" fn(*mut c_void) -> RawObject;

/// The result of `install`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Installed {
    /// Frames of cached code are visible from now on (or were already).
    Yes = 0,
    /// The sysimage is not loaded as a shared library, or its file has no image.
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

const CORRECTED: Lookup = corrected_lookup;

/// Makes frames of cached code visible.
///
/// # Safety
/// Julia runs and the calling thread is one of its own, outside of a GC-safe region, and holds no lock that Julia code may
/// need. `owns` and `instance_at` stay callable for the life of the process, from any thread.
pub unsafe fn install(owns: Owns, instance_at: Option<InstanceAt>) -> Installed {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Installed::Yes;
    }
    QUESTIONS.get_or_init(|| Questions { owns, instance_at });
    // SAFETY: on a Julia thread; no lock is held that Julia code may need.
    unsafe { have_julia_look_up(&Stopped::new()) };
    let ours = mutation!("frames: Julia looks up addresses itself", CORRECTED, RUNTIME);
    // SAFETY: both are functions of this type, and either is right for every thread.
    match unsafe { imports::exchange(RUNTIME as usize, ours as usize) } {
        None => Installed::NoSysimage,
        Some(0) => Installed::NoSlot,
        Some(_) => {
            *installed = true;
            Installed::Yes
        }
    }
}

/// The value of a cached library's slot for the C function at `address`. Libraries hold copies of sysimage functions that
/// cached code calls, possibly `StackTraces.lookup`, and these copies call through the library's own slots.
pub fn import(address: *mut c_void) -> *mut c_void {
    if address as usize == RUNTIME as usize {
        CORRECTED as *mut c_void
    } else {
        address
    }
}

/// Replaces the runtime's look-up.
unsafe extern "C" fn corrected_lookup(address: *mut c_void, skip_c: c_int) -> RawObject {
    let questions = QUESTIONS.get();
    // SAFETY: `owns` may be called from any thread.
    let questions = questions.filter(|questions| unsafe { (questions.owns)(address) } == 1);
    let Some(questions) = questions else {
        // SAFETY: called as the runtime's function would have been.
        return unsafe { RUNTIME(address, skip_c) };
    };
    // This comes before the collector is stopped: it may wait, at a safepoint, for another thread that links.
    // SAFETY: `instance_at` may be called from any thread.
    let instance = questions.instance_at.map(|at| unsafe { at(address) });
    // SAFETY: called by Julia, on one of its threads. Nothing is freed that is looked at: the frames are new.
    let julia = unsafe { Stopped::new() };
    // SAFETY: null, or an object that is rooted for the life of the process.
    let instance = instance.and_then(|instance| unsafe { Object::from_ptr(instance) });
    let instance = instance.and_then(Object::as_kind::<MethodInstance<'_>>);
    match look_up(&julia, address as usize, skip_c) {
        Some(frames) => {
            // SAFETY: no other thread has them.
            Frame::of(frames).for_each(|frame| unsafe { correct(&julia, frame, instance) });
            frames.object().as_ptr()
        }
        None => make::nothing(&julia).as_ptr(),
    }
}

/// Corrects one frame at an address in a library, in the code of `instance`.
///
/// # Safety
/// No other thread has the frame.
unsafe fn correct<'j>(julia: &'j Stopped, frame: Frame<'j>, instance: Option<MethodInstance<'j>>) {
    let Some(function) = frame.function() else { return };
    let inlined = frame.is_inlined();
    // After the code of a method instance, there may be a helper function of the library.
    let of_function =
        |instance: &MethodInstance<'j>| instance.method().is_some_and(|method| method.name() == function);
    if let Some(instance) = instance.filter(of_function).filter(|_| !inlined) {
        // SAFETY: no other thread has the frame.
        unsafe { frame.set_method_instance(instance) };
    }
    // Line -1 means that there is no debug information: this is a calling-convention wrapper, which is a C frame in
    // JIT-compiled code, too.
    let name = function.bytes();
    if frame.line() == Some(-1) || name.is_empty() {
        return;
    }
    // SAFETY: no other thread has the frame.
    unsafe { frame.set_is_julia() };
    // The code generator ends names of inlined functions with `;`. The runtime only removes that from frames that it
    // recognises as Julia code.
    if let (true, Some(end)) = (inlined, name.iter().position(|&b| b == b';')) {
        // SAFETY: no other thread has the frame.
        unsafe { frame.set_function(Symbol::from_bytes(julia, &name[..end])) };
    }
}
