//! The counts of a histogram's bins, kept only where values fell: rows of neighbouring bins ([`super::bins`]), and a window over
//! the rows in use. The latencies of one request touch some ten rows often, and some thirty now and then.

use super::bins::{Bins, ROW};

/// Counts by the index of a bin.
#[derive(Clone, Debug, Default)]
pub(super) struct BinRows {
    /// The number of the first row in the window.
    first: usize,
    rows: Vec<Option<Bins>>,
}

impl BinRows {
    pub(super) const EMPTY: Self = Self { first: 0, rows: Vec::new() };

    #[inline]
    pub(super) fn record(&mut self, bin: usize) {
        self.row(bin / ROW).record(bin % ROW);
    }

    /// Adds so many to one bin.
    pub(super) fn add_to(&mut self, bin: usize, count: u64) {
        self.row(bin / ROW).add_to(bin % ROW, count);
    }

    pub(super) fn add(&mut self, other: &Self) {
        let Some(last) = other.rows.len().checked_sub(1) else { return };
        self.cover(other.first, other.first + last);
        for (mine, theirs) in self.rows[other.first - self.first..].iter_mut().zip(&other.rows) {
            match (mine, theirs) {
                (Some(mine), Some(theirs)) => mine.add(theirs),
                (mine @ None, Some(theirs)) => *mine = Some(theirs.clone()),
                (_, None) => {}
            }
        }
    }

    /// Takes away what a former state of the same had.
    pub(super) fn subtract(&mut self, earlier: &Self) {
        for (number, theirs) in (earlier.first..).zip(&earlier.rows) {
            let mine = number.checked_sub(self.first).and_then(|at| self.rows.get_mut(at));
            if let (Some(mine), Some(theirs)) = (mine, theirs)
                && let Some(bins) = mine
            {
                bins.subtract(theirs);
                if bins.is_empty() {
                    *mine = None;
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.counts().next().is_none()
    }

    /// The bins that hold something: index and count, ascending.
    pub(super) fn counts(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let rows = (self.first..).zip(&self.rows).filter_map(|(number, row)| Some((number, row.as_ref()?)));
        rows.flat_map(|(number, row)| row.counts().map(move |(bin, count)| (number * ROW + bin, count)))
    }

    #[inline]
    fn row(&mut self, number: usize) -> &mut Bins {
        if number < self.first || number - self.first >= self.rows.len() {
            self.cover(number, number);
        }
        self.rows[number - self.first].get_or_insert_default()
    }

    /// Widens the window to these rows, both inclusive.
    #[cold]
    fn cover(&mut self, from: usize, to: usize) {
        if self.rows.is_empty() {
            self.first = from;
        }
        if from < self.first {
            self.rows.splice(0..0, std::iter::repeat_n(None, self.first - from));
            self.first = from;
        }
        let length = to + 1 - self.first;
        if length > self.rows.len() {
            self.rows.resize(length, None);
        }
    }
}

impl PartialEq for BinRows {
    /// Whatever room it takes.
    fn eq(&self, other: &Self) -> bool {
        self.counts().eq(other.counts())
    }
}

impl Eq for BinRows {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn of(counts: &[(usize, u64)]) -> BinRows {
        let mut rows = BinRows::default();
        counts.iter().for_each(|(bin, count)| rows.add_to(*bin, *count));
        rows
    }

    proptest! {
        /// In whatever order, above and below the window.
        #[test]
        fn sums_and_differences_are_those_of_numbers(
            a in prop::collection::vec((0..40_000_usize, 1..900_u64), 0..30),
            b in prop::collection::vec((0..40_000_usize, 1..900_u64), 0..30),
        ) {
            let mut numbers = BTreeMap::new();
            a.iter().chain(&b).for_each(|(bin, count)| *numbers.entry(*bin).or_default() += count);
            let mut sum = of(&a);
            sum.add(&of(&b));
            prop_assert_eq!(sum.counts().collect::<BTreeMap<_, _>>(), numbers);
            sum.subtract(&of(&b));
            prop_assert_eq!(&sum, &of(&a));
            prop_assert_eq!(sum.is_empty(), a.is_empty());
        }
    }
}
