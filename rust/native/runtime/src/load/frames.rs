//! Frames of cached code in stack traces.
//!
//! Julia's `StackTraces.lookup` asks the runtime what lies at an address; for code in a
//! shared library that is not the sysimage the answer says "C", and every display leaves C frames out.
//! The rest of the answer is right (the library has DWARF from Julia's own code generator), so all
//! there is to do is to correct it. `docs/frames.md` says why this is done here and not elsewhere.
//!
//! `install` replaces the runtime's lookup in the sysimage's import slots by `corrected_lookup`, which hands
//! all addresses outside our libraries' code through.

use std::ffi::{c_int, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

use nativecache_julia::frame_lookup::{have_julia_look_up, look_up, Frame, Lookup, RUNTIME};
use nativecache_julia::handles::{make, MethodInstance, Object, RawObject, Symbol};
use nativecache_julia::stopped::Stopped;
use nativecache_mutation::mutation;

use crate::load::imports;

/// Does the address lie in the code of a linked library?
pub type Owns = unsafe extern "C" fn(*mut c_void) -> c_int;
/// The method instance whose code holds the address, or null. It is rooted for the life of the process.
pub type InstanceAt = unsafe extern "C" fn(*mut c_void) -> RawObject;

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

const CORRECTED: Lookup = corrected_lookup;

/// Makes the frames of cached code show.
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

/// What a slot of a cached library gets for the C function at `address`. Libraries hold copies of sysimage code
/// that cached code calls, `StackTraces.lookup` among them, and those call through the library's own slots.
pub fn import(address: *mut c_void) -> *mut c_void {
    if address as usize == RUNTIME as usize {
        CORRECTED as *mut c_void
    } else {
        address
    }
}

/// Stands in for the runtime's look-up.
unsafe extern "C" fn corrected_lookup(address: *mut c_void, skip_c: c_int) -> RawObject {
    let questions = QUESTIONS.get();
    // SAFETY: `owns` may be called from any thread.
    let questions = questions.filter(|questions| unsafe { (questions.owns)(address) } == 1);
    let Some(questions) = questions else {
        // SAFETY: called as the runtime's function would have been.
        return unsafe { RUNTIME(address, skip_c) };
    };
    // Before the collector is stopped: it waits for another thread that links, at a safepoint.
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
    // A helper function of the library may follow the code of a method instance.
    let of_function =
        |instance: &MethodInstance<'j>| instance.method().is_some_and(|method| method.name() == function);
    if let Some(instance) = instance.filter(of_function).filter(|_| !inlined) {
        // SAFETY: no other thread has the frame.
        unsafe { frame.set_method_instance(instance) };
    }
    // Line -1: no debug information, so a calling-convention wrapper, which the runtime
    // calls C in JIT-compiled code too.
    let name = function.bytes();
    if frame.line() == Some(-1) || name.is_empty() {
        return;
    }
    // SAFETY: no other thread has the frame.
    unsafe { frame.set_is_julia() };
    // Code generation ends names of inlined functions with `;`; the runtime takes that off
    // only for what it holds for Julia code.
    if let (true, Some(end)) = (inlined, name.iter().position(|&b| b == b';')) {
        // SAFETY: no other thread has the frame.
        unsafe { frame.set_function(Symbol::from_bytes(julia, &name[..end])) };
    }
}
