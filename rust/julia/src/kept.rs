//! Objects that stay alive without a [`Stopped`].

use std::ptr::NonNull;

use jl_sys::jl_value_t;

use crate::handles::{Kind, Object};
use crate::stopped::Stopped;

/// An object that Julia itself keeps alive, for use from one stretch of work to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kept(NonNull<jl_value_t>);

impl Kept {
    /// # Safety
    /// The object can be reached from a root for as long as the result is used.
    pub unsafe fn new<'j>(object: impl Into<Object<'j>>) -> Self {
        Kept(object.into().as_non_null())
    }

    /// The object.
    pub fn get(self, _julia: &Stopped) -> Object<'_> {
        // SAFETY: it was an object when this was made, and its maker promised that it is one still.
        unsafe { Object::at(self.address()) }
    }

    /// The object if it is of this kind.
    pub fn as_kind<'j, K: Kind<'j>>(self, julia: &'j Stopped) -> Option<K> {
        self.get(julia).as_kind()
    }

    /// Where it lies.
    pub fn address(self) -> usize {
        self.0.as_ptr() as usize
    }
}

// SAFETY: an address; what is behind it is looked at only on Julia threads, which `Stopped` proves.
unsafe impl Send for Kept {}
// SAFETY: as for `Send`.
unsafe impl Sync for Kept {}
