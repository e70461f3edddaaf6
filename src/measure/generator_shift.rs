//! The generator's own part of durations: by how much each would be shorter without it. A part smaller than a bin of the quantiles
//! moves nothing and costs one addition; only durations that fall into another bin without their part are kept, as the difference
//! between two histograms.
//!
//! ```text
//!   measured              ▁▃█▅▂▁▁    removed      ▁▂▁      where durations with a part are
//!   without the generator ▁▅█▅▁      added     ▁▂▁         where they would be
//! ```
//!
//! [`Quantiles::without`] applies it: the generator's part of a quantile is the difference between the two.

use super::bin_rows::BinRows;
use super::quantiles::{HIGHEST_NANOS, Quantiles, index_of};

/// What the generator itself has added to durations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneratorShift {
    /// All parts together.
    sum_nanos: u128,
    /// The shortest duration without its part, of those that are in another bin.
    shortest_nanos: Option<u64>,
    removed: BinRows,
    added: BinRows,
}

/// Durations as they were measured, and the same ones without the generator's own part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SplitTimes {
    pub measured: Quantiles,
    pub without_generator: Quantiles,
}

// === GeneratorShift ===

impl GeneratorShift {
    /// Counts the part of one duration, which is recorded elsewhere; both in nanoseconds.
    #[inline]
    pub(super) fn record(&mut self, nanos: u64, part: u64) {
        if part == 0 {
            return;
        }
        let without = nanos.saturating_sub(part);
        self.sum_nanos += u128::from(nanos - without);
        let (from, to) = (index_of(nanos.min(HIGHEST_NANOS)), index_of(without.min(HIGHEST_NANOS)));
        if from != to {
            self.removed.record(from);
            self.added.record(to);
            self.shortest_nanos = Some(self.shortest_nanos.map_or(without, |shortest| shortest.min(without)));
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.sum_nanos += other.sum_nanos;
        self.shortest_nanos = self.shortest_nanos.into_iter().chain(other.shortest_nanos).min();
        self.removed.add(&other.removed);
        self.added.add(&other.added);
    }

    pub(super) fn sum_nanos(&self) -> u128 {
        self.sum_nanos
    }

    /// `None` if no duration is in another bin.
    pub(super) fn shortest(&self) -> Option<u64> {
        self.shortest_nanos
    }

    /// Moves counts to where they are without the generator.
    pub(super) fn apply(&self, rows: &mut BinRows) {
        rows.add(&self.added);
        rows.subtract(&self.removed);
    }
}

// === SplitTimes ===

impl SplitTimes {
    pub(super) fn new(measured: &Quantiles, shift: &GeneratorShift) -> Self {
        Self { measured: measured.clone(), without_generator: measured.without(shift) }
    }

    /// So many durations each, and how much of each is the generator's; in nanoseconds.
    #[cfg(test)]
    pub(crate) fn of(durations: impl IntoIterator<Item = (u64, u64, u64)>) -> Self {
        let (mut measured, mut shift) = (Quantiles::default(), GeneratorShift::default());
        for (count, nanos, part) in durations {
            for _ in 0..count {
                measured.record(&super::histogram::Point::new(std::time::Duration::from_nanos(nanos), &[]));
                shift.record(nanos, part);
            }
        }
        Self::new(&measured, &shift)
    }

    pub fn add(&mut self, other: &Self) {
        self.measured.add(&other.measured);
        self.without_generator.add(&other.without_generator);
    }

    /// What was recorded after `earlier`, a former state of the same.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            measured: self.measured.since(&earlier.measured),
            without_generator: self.without_generator.since(&earlier.without_generator),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::measure::histogram::Point;

    fn of(durations: &[(u64, u64)]) -> (Quantiles, GeneratorShift) {
        let (mut measured, mut shift) = (Quantiles::default(), GeneratorShift::default());
        for (nanos, part) in durations {
            measured.record(&Point::new(Duration::from_nanos(*nanos), &[]));
            shift.record(*nanos, *part);
        }
        (measured, shift)
    }

    #[test]
    fn a_part_within_a_bin_only_counts_for_the_mean() {
        let (measured, shift) = of(&[(100_000_000, 20_000)]);
        assert_eq!((shift.shortest(), shift.removed.is_empty(), shift.added.is_empty()), (None, true, true));
        let times = measured.without(&shift).times().unwrap();
        assert_eq!((times.p50, times.mean), (0.1, 0.099_98));
    }

    #[test]
    fn a_tenth_of_late_starts_moves_p95_and_not_the_median() {
        // 2 ms each; every tenth was started 3 ms late.
        let durations: Vec<_> = (0..1000).map(|at| if at % 10 == 0 { (5_000_000, 3_000_000) } else { (2_000_000, 0) }).collect();
        let (measured, shift) = of(&durations);
        let parts = |quantile| measured.at(quantile).unwrap() - measured.without(&shift).at(quantile).unwrap();
        assert!(parts(0.5).abs() < 1e-9 && (parts(0.95) - 0.003).abs() < 5e-6, "{} {}", parts(0.5), parts(0.95));
    }

    /// Less than the hour beyond which all durations share a bin, and quantiles are the maximum.
    fn any_durations() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let one = prop_oneof![0..3_000_000_u64, 1_000_000..100_000_000_u64, 0..3_590_000_000_000_u64];
        prop::collection::vec(one.prop_flat_map(|nanos| (Just(nanos), prop_oneof![Just(0), 0..=nanos])), 0..60)
    }

    proptest! {
        /// As if they had been recorded without their parts, in any order of merging.
        #[test]
        fn what_is_left_is_what_would_have_been_recorded(a in any_durations(), b in any_durations(), quantile in 0.001..=1.0) {
            let all = [a.clone(), b.clone()].concat();
            let less: Vec<_> = all.iter().map(|(nanos, part)| (nanos - part, 0)).collect();
            let wanted = of(&less).0;
            let ((mut measured, mut shift), (other, other_shift)) = (of(&a), of(&b));
            measured.add(&other);
            shift.add(&other_shift);
            let rest = measured.without(&shift);
            prop_assert_eq!(rest.bins().collect::<Vec<_>>(), wanted.bins().collect::<Vec<_>>());
            prop_assert_eq!(rest.exact().0, wanted.exact().0);
            if let (Some(rest), Some(wanted)) = (rest.at(quantile), wanted.at(quantile)) {
                // A bin's width, and of bins that nobody left the least and the largest value are those with the part.
                prop_assert!((rest - wanted).abs() <= wanted / 1000.0 + 1e-9, "{} {}", rest, wanted);
            }
            // What came later can be told from what was there.
            let (now, before) = (SplitTimes::new(&measured, &shift), { let (measured, shift) = of(&a); SplitTimes::new(&measured, &shift) });
            let later = now.since(&before).without_generator;
            let of_b = of(&b.iter().map(|(nanos, part)| (nanos - part, 0)).collect::<Vec<_>>()).0;
            prop_assert_eq!(later.bins().collect::<Vec<_>>(), of_b.bins().collect::<Vec<_>>());
        }
    }
}
