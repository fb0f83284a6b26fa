//! Lists that are read where they lie: a run of little-endian words, seen as identifiers.

use crate::ids::ListItem;
use std::fmt;
use std::marker::PhantomData;

/// A word as it lies in the image, with no assumption about its alignment.
pub(crate) type Word = [u8; 4];

/// A list borrowed from the image, decoded item by item as it is read.
pub struct List<'a, T> {
    words: &'a [Word],
    item: PhantomData<fn() -> T>,
}

impl<'a, T: ListItem> List<'a, T> {
    pub(crate) fn new(words: &'a [Word]) -> Self {
        Self { words, item: PhantomData }
    }

    /// How many items the list has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether the list has no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The item at `index`, or `None` behind the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        self.words.get(index).map(|word| T::from_word(u32::from_le_bytes(*word)))
    }

    /// All items in order.
    pub fn iter(&self) -> ListIter<'a, T> {
        ListIter { words: self.words.iter(), item: PhantomData }
    }

    /// The items, copied out.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        self.iter().collect()
    }
}

/// Iterator over the items of a [`List`].
#[derive(Clone, Debug)]
pub struct ListIter<'a, T> {
    words: std::slice::Iter<'a, Word>,
    item: PhantomData<fn() -> T>,
}

impl<T: ListItem> Iterator for ListIter<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.words.next().map(|word| T::from_word(u32::from_le_bytes(*word)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.words.size_hint()
    }
}

impl<T: ListItem> ExactSizeIterator for ListIter<'_, T> {}

impl<'a, T: ListItem> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = ListIter<'a, T>;

    fn into_iter(self) -> ListIter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T: ListItem + PartialEq> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl<T: ListItem + fmt::Debug> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
