//! A value that is mostly borrowed: like `Cow`, but an owned one lies elsewhere, so that moving it moves two words.

use std::ops::Deref;

#[derive(Debug)]
pub(super) enum Lent<'a, T> {
    Borrowed(&'a T),
    Owned(Box<T>),
}

// === Lent ===

impl<T: Clone> Lent<'_, T> {
    /// To be changed; a borrowed one is copied first.
    pub(super) fn to_mut(&mut self) -> &mut T {
        let own = match self {
            Self::Owned(value) => return value,
            Self::Borrowed(value) => Box::new(value.clone()),
        };
        *self = Self::Owned(own);
        self.to_mut()
    }
}

impl<T> Deref for Lent<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Borrowed(value) => value,
            Self::Owned(value) => value,
        }
    }
}
