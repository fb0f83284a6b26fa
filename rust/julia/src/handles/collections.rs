//! Simple vectors and arrays.

use jl_sys::{jl_array_t, jl_svec_t, jl_value_t};

use super::{handle, Kind, Object};
use crate::julia_1_5::{jl_array_del_end, jl_array_ptr_1d_push, write_barrier};
use crate::stopped::Stopped;

handle! {
    /// A `Core.SimpleVector`.
    SVec, jl_svec_t, jl_simplevector_type
}

impl<'j> SVec<'j> {
    /// A new one with these items.
    pub fn new(_julia: &'j Stopped, items: &[Object<'j>]) -> Self {
        // SAFETY: a fresh vector has room for its items, and no collection sees it before they are written.
        unsafe {
            if items.is_empty() {
                return SVec::from_ptr_unchecked(jl_sys::jl_emptysvec);
            }
            let new = jl_sys::jl_alloc_svec(items.len());
            let data = new.add(1).cast::<*mut jl_value_t>();
            for (index, item) in items.iter().enumerate() {
                data.add(index).write(item.as_ptr());
            }
            SVec::from_ptr_unchecked(new)
        }
    }

    /// How many items it has.
    pub fn len(self) -> usize {
        self.raw().length
    }

    /// Has it no items?
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// An item; `None` where there is none, or none is assigned.
    pub fn get(self, index: usize) -> Option<Object<'j>> {
        // SAFETY: the items follow the length word (julia.h, `jl_svec_data`).
        (index < self.len())
            .then(|| unsafe { Object::from_ptr(*self.as_ptr().add(1).cast::<*mut jl_value_t>().add(index)) })
            .flatten()
    }

    /// The items, `None` for those that are not assigned.
    pub fn places(self) -> impl DoubleEndedIterator<Item = Option<Object<'j>>> + ExactSizeIterator {
        (0..self.len()).map(move |index| self.get(index))
    }

    /// The items that are assigned.
    pub fn items(self) -> impl DoubleEndedIterator<Item = Object<'j>> {
        self.places().flatten()
    }

    /// Puts `item` in a place.
    ///
    /// # Safety
    /// There is such a place, and no other thread sees the vector.
    pub unsafe fn set(self, index: usize, item: Object<'j>) {
        // SAFETY: as the caller says; the collector is told that the vector may be older than the item.
        unsafe {
            *self.as_ptr().add(1).cast::<*mut jl_value_t>().add(index) = item.as_ptr();
            write_barrier(self.object().as_ptr());
        }
    }
}

/// An `Array`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct Array<'j>(Object<'j>);

impl<'j> Kind<'j> for Array<'j> {
    fn of(object: Object<'j>) -> Option<Self> {
        // SAFETY: exists from start-up on.
        let array = unsafe { jl_sys::jl_array_typename };
        (object.type_of().name().as_ptr() == array).then_some(Array(object))
    }
}

impl<'j> From<Array<'j>> for Object<'j> {
    fn from(this: Array<'j>) -> Self {
        this.0
    }
}

impl<'j> Array<'j> {
    /// An array that Julia gave us; `None` if it is null.
    ///
    /// # Safety
    /// As [`Object::from_ptr`], of an array.
    pub unsafe fn from_ptr(pointer: *mut jl_array_t) -> Option<Self> {
        // SAFETY: as the caller says.
        unsafe { Object::from_ptr(pointer.cast()).map(Array) }
    }

    /// # Safety
    /// It is an array.
    pub(crate) unsafe fn from_object(object: Object<'j>) -> Self {
        Array(object)
    }

    /// A new `Vector{Any}` with these items; `None` stands for one that is not assigned.
    pub fn of_any(_julia: &'j Stopped, items: impl ExactSizeIterator<Item = Option<Object<'j>>>) -> Self {
        // SAFETY: a fresh vector has room for its items, and no collection sees it before they are written.
        unsafe {
            let array = jl_sys::jl_alloc_array_1d(jl_sys::jl_array_any_type.cast(), items.len());
            for (index, item) in items.take((*array).length).enumerate() {
                let place = (*array).data.cast::<*mut jl_value_t>().add(index);
                place.write(item.map_or(std::ptr::null_mut(), Object::as_ptr));
            }
            Array(Object::at(array as usize))
        }
    }

    /// The pointer, for functions of Julia that are called elsewhere.
    pub fn as_ptr(self) -> *mut jl_array_t {
        self.0.as_ptr().cast()
    }

    /// The same as any object.
    pub fn object(self) -> Object<'j> {
        self.0
    }

    fn raw(self) -> &'j jl_array_t {
        // SAFETY: alive, and an array.
        unsafe { &*self.as_ptr() }
    }

    /// How many items it has.
    pub fn len(self) -> usize {
        self.raw().length
    }

    /// Has it no items?
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Are its items references?
    pub fn holds_references(self) -> bool {
        self.raw().flags.ptrarray() != 0
    }

    /// An item that is a reference; `None` where there is none, or none is assigned.
    pub fn get(self, index: usize) -> Option<Object<'j>> {
        if index >= self.len() || !self.holds_references() {
            return None;
        }
        // SAFETY: `data` has as many words as items; each is an object or null.
        unsafe { Object::from_ptr(*self.raw().data.cast::<*mut jl_value_t>().add(index)) }
    }

    /// The items, `None` for those that are not assigned; nothing if the items are no references.
    pub fn places(self) -> impl DoubleEndedIterator<Item = Option<Object<'j>>> + ExactSizeIterator {
        let count = if self.holds_references() { self.len() } else { 0 };
        (0..count).map(move |index| self.get(index))
    }

    /// The items that are assigned; nothing if the items are no references.
    pub fn items(self) -> impl DoubleEndedIterator<Item = Object<'j>> {
        self.places().flatten()
    }

    /// The first place with exactly this object.
    pub(crate) fn place_of_object(self, object: Object<'_>) -> Option<usize> {
        if self.is_empty() || !self.holds_references() {
            return None;
        }
        // SAFETY: `data` has as many words as items, and nobody changes them meanwhile.
        let words = unsafe { std::slice::from_raw_parts(self.raw().data.cast::<usize>(), self.len()) };
        // Eight at a time, without a branch for each.
        let wanted = object.address();
        let near =
            words.chunks(8).position(|items| items.iter().fold(false, |found, k| found | (*k == wanted)))?;
        words[8 * near..].iter().position(|k| *k == wanted).map(|place| 8 * near + place)
    }

    /// The bytes of items that are plain bits; empty if they are not.
    pub fn bytes(self) -> &'j [u8] {
        let bytes = self.len() * usize::from(self.raw().elsize);
        if bytes == 0 || self.holds_references() {
            return &[];
        }
        // SAFETY: items of `elsize` bytes lie one after another.
        unsafe { std::slice::from_raw_parts(self.raw().data.cast::<u8>(), bytes) }
    }

    /// Writes the items of a fresh array of plain bits. `None` if its items are references, or take another number of
    /// bytes.
    ///
    /// # Safety
    /// It was made in this stretch of work, and nobody else has it; its items may be any bits.
    pub unsafe fn fill_bytes(self, bytes: &[u8]) -> Option<()> {
        let length = self.len() * usize::from(self.raw().elsize);
        if self.holds_references() || length != bytes.len() {
            return None;
        }
        // SAFETY: items of `elsize` bytes lie one after another, and nobody has a reference to them.
        unsafe { self.raw().data.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), length) };
        Some(())
    }

    /// Appends to a `Vector{Any}`.
    ///
    /// # Safety
    /// It is one, and no other thread uses it.
    pub unsafe fn push(self, item: Object<'_>) {
        // SAFETY: as the caller says.
        unsafe { jl_array_ptr_1d_push(self.as_ptr(), item.as_ptr()) };
    }

    /// Takes the last item away.
    ///
    /// # Safety
    /// It is a `Vector` with at least one item, and no other thread uses it.
    pub unsafe fn drop_last(self) {
        // SAFETY: as the caller says.
        unsafe { jl_array_del_end(self.as_ptr(), 1) };
    }
}
