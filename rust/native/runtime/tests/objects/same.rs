//! What it means that an object came back.

use std::collections::HashMap;

use nativecache_julia::handles::{Array, DataType, Expr, Object, SVec, TypeVar, Union, UnionAll};

/// Compares objects with those that came back. They must be `===`, but for what is made anew each time: type variables,
/// expressions and their arrays. Of these each has one counterpart, wherever it stands.
#[derive(Default)]
pub(crate) struct Same<'j> {
    there: HashMap<Object<'j>, Object<'j>>,
    back: HashMap<Object<'j>, Object<'j>>,
}

impl<'j> Same<'j> {
    pub(crate) fn are(&mut self, a: Object<'j>, b: Object<'j>) -> bool {
        if a == b {
            return true;
        }
        if a.type_of() != b.type_of() {
            return false;
        }
        if let (Some(a), Some(b)) = (a.as_kind::<TypeVar<'j>>(), b.as_kind::<TypeVar<'j>>()) {
            let bounds = a.bounds().into_iter().zip(b.bounds());
            return a.name() == b.name()
                && self.correspond(a.into(), b.into())
                && all(bounds, |(a, b)| self.are(a, b));
        }
        if let (Some(a), Some(b)) = (a.as_kind::<Expr<'j>>(), b.as_kind::<Expr<'j>>()) {
            return a.head() == b.head()
                && self.correspond(a.into(), b.into())
                && self.are_lists(a.argument_places(), b.argument_places());
        }
        if let (Some(a), Some(b)) = (a.as_kind::<Array<'j>>(), b.as_kind::<Array<'j>>()) {
            return a.len() == b.len()
                && a.bytes() == b.bytes()
                && self.correspond(a.into(), b.into())
                && self.are_lists(a.places(), b.places());
        }
        if a.is_type() {
            return self.are_types(a, b);
        }
        if let (Some(a), Some(b)) = (a.as_kind::<SVec<'j>>(), b.as_kind::<SVec<'j>>()) {
            return self.are_lists(a.places(), b.places());
        }
        // An immutable object may hold one that is made anew.
        let ty = a.type_of();
        a.is_egal(b) || (!ty.is_mutable() && ty.has_references() && self.are_fields(a, b))
    }

    fn are_types(&mut self, a: Object<'j>, b: Object<'j>) -> bool {
        let parts = if let (Some(a), Some(b)) = (a.as_kind::<UnionAll<'j>>(), b.as_kind::<UnionAll<'j>>()) {
            self.are(a.variable().into(), b.variable().into()) && self.are(a.body(), b.body())
        } else if let (Some(a), Some(b)) = (a.as_kind::<Union<'j>>(), b.as_kind::<Union<'j>>()) {
            all(a.members().into_iter().zip(b.members()), |(a, b)| self.are(a, b))
        } else if let (Some(a), Some(b)) = (a.as_kind::<DataType<'j>>(), b.as_kind::<DataType<'j>>()) {
            a.name() == b.name() && self.are_lists(a.parameters().places(), b.parameters().places())
        } else {
            false
        };
        parts && (a.has_free_variables() || a.is_same_type(b))
    }

    fn are_fields(&mut self, a: Object<'j>, b: Object<'j>) -> bool {
        let count = u32::try_from(a.type_of().field_count().unwrap_or(0)).expect("few fields");
        self.are_lists((0..count).map(|index| a.field(index)), (0..count).map(|index| b.field(index)))
    }

    fn are_lists(
        &mut self,
        a: impl Iterator<Item = Option<Object<'j>>>,
        b: impl Iterator<Item = Option<Object<'j>>>,
    ) -> bool {
        let (a, b): (Vec<_>, Vec<_>) = (a.collect(), b.collect());
        a.len() == b.len()
            && all(a.into_iter().zip(b), |(a, b)| match (a, b) {
                (Some(a), Some(b)) => self.are(a, b),
                (a, b) => a.is_none() && b.is_none(),
            })
    }

    fn correspond(&mut self, a: Object<'j>, b: Object<'j>) -> bool {
        *self.there.entry(a).or_insert(b) == b && *self.back.entry(b).or_insert(a) == a
    }
}

fn all<T>(mut items: impl Iterator<Item = T>, test: impl FnMut(T) -> bool) -> bool {
    items.all(test)
}
