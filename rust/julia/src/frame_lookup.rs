//! What the runtime says about a code address: the frames that a stack trace shows for it.

use std::ffi::{c_int, c_void};

use jl_sys::jl_value_t;

use crate::handles::{MethodInstance, Module, Object, RawObject, SVec, Symbol};
use crate::stopped::Stopped;

/// The runtime's look-up: of the address, with C frames left out or not. It gives a vector of frames, innermost first.
pub type Lookup = unsafe extern "C" fn(*mut c_void, c_int) -> RawObject;

extern "C" {
    fn jl_lookup_code_address(address: *mut c_void, skip_c: c_int) -> *mut jl_value_t;
}

/// The look-up that Julia comes with.
pub const RUNTIME: Lookup = jl_lookup_code_address;

/// Asks it.
pub fn look_up(_julia: &Stopped, address: usize, skip_c: c_int) -> Option<SVec<'_>> {
    // SAFETY: takes any address, and gives a new vector.
    unsafe { Object::from_ptr(jl_lookup_code_address(address as *mut c_void, skip_c)) }?.as_kind()
}

/// One frame: function, file, line, method instance, whether it is C's, whether it is inlined.
#[derive(Clone, Copy)]
pub struct Frame<'j>(SVec<'j>);

impl<'j> Frame<'j> {
    /// The frames that a look-up gave.
    pub fn of(found: SVec<'j>) -> impl Iterator<Item = Self> {
        found.items().filter_map(Object::as_kind::<SVec<'j>>).filter(|frame| frame.len() == 6).map(Frame)
    }

    /// The name of its function.
    pub fn function(self) -> Option<Symbol<'j>> {
        self.0.get(0)?.as_kind()
    }

    /// The line; -1 without debug information.
    pub fn line(self) -> Option<i64> {
        self.0.get(2)?.as_i64()
    }

    /// Is it the frame of a call that was inlined?
    pub fn is_inlined(self) -> bool {
        // SAFETY: exists from start-up on.
        self.0.get(5).map(Object::as_ptr) == Some(unsafe { jl_sys::jl_true })
    }

    /// Says which function it is of.
    ///
    /// # Safety
    /// It is fresh: no other thread has it.
    pub unsafe fn set_function(self, name: Symbol<'j>) {
        // SAFETY: as the caller says; a frame has this place.
        unsafe { self.0.set(0, name.object()) };
    }

    /// Says which method instance it is of.
    ///
    /// # Safety
    /// As [`Frame::set_function`].
    pub unsafe fn set_method_instance(self, instance: MethodInstance<'j>) {
        // SAFETY: as the caller says; a frame has this place.
        unsafe { self.0.set(3, instance.object()) };
    }

    /// Says that it is of Julia code.
    ///
    /// # Safety
    /// As [`Frame::set_function`].
    pub unsafe fn set_is_julia(self) {
        // SAFETY: as the caller says; a frame has this place, and `false` exists from start-up on.
        unsafe { self.0.set(4, Object::at(jl_sys::jl_false as usize)) };
    }
}

/// Makes Julia's own compiled code look up an address that is none, through its import slot, which is filled by that.
///
/// # Safety
/// No lock is held that Julia code may need.
pub unsafe fn have_julia_look_up(julia: &Stopped) {
    let traces = Module::base(julia).constant(Symbol::new(julia, "StackTraces"));
    let traces = traces.and_then(Object::as_kind::<Module<'_>>);
    let lookup = traces.and_then(|traces| traces.constant(Symbol::new(julia, "lookup")));
    let Some(lookup) = lookup else { return };
    // SAFETY: allocates and nothing else.
    let nowhere = unsafe { Object::at(jl_sys::jl_box_voidpointer(std::ptr::null_mut()) as usize) };
    // SAFETY: as the caller says.
    unsafe { crate::handles::make::call(julia, lookup, &[nowhere]) };
}
