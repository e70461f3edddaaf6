//! How long the phases of a request's exchanges took. Of all requests whose response began, so that each has the same count.

use crate::phases::{PARTS, Part};

use super::histogram::{Histogram, Point};

/// A histogram for each [`Part`], from the first time that it is met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhaseTotals([Option<Box<Histogram>>; PARTS]);

/// How often each [`Part`] was met and how long it took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseSums([(u64, u128); PARTS]);

// === PhaseTotals ===

impl PhaseTotals {
    #[inline]
    pub(super) fn record(&mut self, part: Part, point: &Point, boundaries: usize) {
        self.0[part as usize].get_or_insert_with(|| Box::new(Histogram::new(boundaries))).record(point);
    }

    /// So many at once, whose time [`took`](Self::took) tells.
    pub(super) fn record_many(&mut self, part: Part, point: &Point, count: u64, boundaries: usize) {
        self.0[part as usize].get_or_insert_with(|| Box::new(Histogram::new(boundaries))).record_many(point, count);
    }

    pub(super) fn took(&mut self, part: Part, nanos: u64) {
        self.0[part as usize].iter_mut().for_each(|histogram| histogram.took(nanos));
    }

    pub fn of(&self, part: Part) -> Option<&Histogram> {
        self.0[part as usize].as_deref()
    }

    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            match (mine, theirs) {
                (Some(mine), Some(theirs)) => mine.add(theirs),
                (mine @ None, Some(theirs)) => *mine = Some(theirs.clone()),
                (_, None) => {}
            }
        }
    }

    pub fn sums(&self) -> PhaseSums {
        PhaseSums(Part::ALL.map(|part| self.of(part).map_or((0, 0), |histogram| (histogram.count(), histogram.sum_nanos()))))
    }
}

// === PhaseSums ===

impl PhaseSums {
    /// Those that were met: how often, and how long all together in nanoseconds.
    pub fn iter(&self) -> impl Iterator<Item = (Part, u64, u128)> + '_ {
        Part::ALL.into_iter().zip(self.0).filter(|(_, (count, _))| *count > 0).map(|(part, (count, nanos))| (part, count, nanos))
    }

    pub fn count(&mut self, part: Part, count: u64, nanos: u128) {
        let sum = &mut self.0[part as usize];
        *sum = (sum.0.saturating_add(count), sum.1.saturating_add(nanos));
    }

    pub fn add(&mut self, other: &Self) {
        other.iter().for_each(|(part, count, nanos)| self.count(part, count, nanos));
    }

    /// What was counted after `earlier`, a former state of the same.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|at| {
            let (now, before) = (self.0[at], earlier.0[at]);
            (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1))
        }))
    }
}
