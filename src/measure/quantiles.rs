//! The summary's quantiles: an HdrHistogram of 3 digits from 1 ns to 1 h.
//!
//! The layout of the bins is the crate `hdrhistogram`'s and its answers are the same (a test compares), but the counts are kept
//! in rows that exist only where values fell ([`super::bin_rows`]): the crate's array takes 260 KiB for each histogram, and there
//! are two for each request and worker.
//!
//! Minimum, maximum and sum are kept beside it in nanoseconds, exactly.

use super::bin_rows::BinRows;
use super::generator_shift::GeneratorShift;
use super::histogram::Point;

/// Durations, as far as quantiles need them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    count: u64,
    sum_nanos: u128,
    min_nanos: u64,
    max_nanos: u64,
    rows: BinRows,
}

/// What a table shows of one kind of duration; in seconds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Times {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// The longest duration that has a bin of its own: 1 h, in nanoseconds. Longer ones are counted there.
pub const HIGHEST_NANOS: u64 = 3_600_000_000_000;

/// 3 digits: 2,048 linear bins, of which the upper half is repeated for each further power of two.
const HALF_BITS: u32 = 10;
/// So many bins hold all durations up to [`HIGHEST_NANOS`].
pub(super) const BINS: usize = index_of(HIGHEST_NANOS) + 1;

/// The bin of a value, in whatever unit the histogram counts.
#[inline]
pub(super) const fn index_of(value: u64) -> usize {
    let octave = (u64::BITS - HALF_BITS - 1).saturating_sub(value.leading_zeros());
    ((octave as usize) << HALF_BITS) + (value >> octave) as usize
}

/// The smallest and the largest value that share a bin.
pub(super) fn range_of(index: usize) -> (u64, u64) {
    let octave = (index >> HALF_BITS).saturating_sub(1);
    let low = ((index - (octave << HALF_BITS)) as u64) << octave;
    (low, low + (1 << octave) - 1)
}

// === Times ===

impl Times {
    /// By how much each figure is larger than the other's; never less than 0.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        // Both are whole nanoseconds, and so is their difference.
        let more = |mine: f64, theirs: f64| ((mine - theirs) * 1e9).round().max(0.0) / 1e9;
        Self {
            min: more(self.min, other.min),
            mean: more(self.mean, other.mean),
            p50: more(self.p50, other.p50),
            p90: more(self.p90, other.p90),
            p95: more(self.p95, other.p95),
            p99: more(self.p99, other.p99),
            p999: more(self.p999, other.p999),
            max: more(self.max, other.max),
        }
    }
}

// === Quantiles ===

impl Quantiles {
    /// Nothing.
    pub const EMPTY: Self = Self { count: 0, sum_nanos: 0, min_nanos: 0, max_nanos: 0, rows: BinRows::EMPTY };

    /// Counts a duration; whether it had to be clamped to [`HIGHEST_NANOS`].
    pub fn record(&mut self, point: &Point) -> bool {
        let nanos = point.nanos;
        self.min_nanos = if self.count == 0 { nanos } else { self.min_nanos.min(nanos) };
        self.max_nanos = self.max_nanos.max(nanos);
        self.count += 1;
        self.sum_nanos += u128::from(nanos);
        self.rows.record(index_of(nanos.min(HIGHEST_NANOS)));
        nanos > HIGHEST_NANOS
    }

    pub fn add(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min_nanos = if self.count == 0 { other.min_nanos } else { self.min_nanos.min(other.min_nanos) };
        self.max_nanos = self.max_nanos.max(other.max_nanos);
        self.count += other.count;
        self.sum_nanos += other.sum_nanos;
        self.rows.add(&other.rows);
    }

    /// What was recorded after `earlier`, a former state of the same. Minimum and maximum are those of the bins, except where
    /// they are new ones: of parts that follow each other, the smallest minimum and the largest maximum are those of the whole.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut rest =
            Self { sum_nanos: self.sum_nanos.saturating_sub(earlier.sum_nanos), rows: self.rows.clone(), ..Self::default() };
        rest.rows.subtract(&earlier.rows);
        rest.count = rest.bins().map(|(_, count)| count).sum();
        let ends = (rest.bins().next(), rest.bins().last());
        if let (Some((first, _)), Some((last, _))) = ends {
            let (new_min, new_max) = (self.min_nanos < earlier.min_nanos, self.max_nanos > earlier.max_nanos);
            let first_of_all = earlier.count == 0;
            rest.min_nanos = if new_min || first_of_all { self.min_nanos } else { range_of(first).0.max(self.min_nanos) };
            rest.max_nanos = if new_max { self.max_nanos } else { range_of(last).1.min(self.max_nanos) };
            // Of values that were rounded into one bin.
            rest.max_nanos = rest.max_nanos.max(rest.min_nanos);
        }
        rest
    }

    /// The same durations, each less the generator's own part of it. The longest is known to the width of its bin.
    #[must_use]
    pub fn without(&self, shift: &GeneratorShift) -> Self {
        let mut rest = self.clone();
        rest.sum_nanos = rest.sum_nanos.saturating_sub(shift.sum_nanos());
        let Some(shortest) = shift.shortest() else { return rest };
        shift.apply(&mut rest.rows);
        rest.min_nanos = rest.min_nanos.min(shortest);
        let last = rest.bins().last().map_or(0, |(last, _)| range_of(last).1);
        if last < rest.max_nanos && last < HIGHEST_NANOS {
            rest.max_nanos = last.max(rest.min_nanos);
        }
        rest
    }

    /// What was recorded: the upper end of each bin that holds something, in seconds, and how many; ascending.
    pub fn steps(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.bins().map(|(index, count)| (range_of(index).1 as f64 / 1e9, count))
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The smallest value, in seconds, that at least the share `quantile` of all values does not exceed, to 3 digits;
    /// `None` without values.
    pub fn at(&self, quantile: f64) -> Option<f64> {
        self.times_at([quantile]).map(|[value]| value)
    }

    /// All figures of a table; `None` without values.
    pub fn times(&self) -> Option<Times> {
        let [p50, p90, p95, p99, p999] = self.times_at([0.5, 0.9, 0.95, 0.99, 0.999])?;
        let mean = self.sum_nanos as f64 / self.count as f64 / 1e9;
        Some(Times { min: self.min_nanos as f64 / 1e9, mean, p50, p90, p95, p99, p999, max: self.max_nanos as f64 / 1e9 })
    }

    /// As an [`hdrhistogram::Histogram`] in nanoseconds, for its serialised form; `None` only if the crate refuses our range.
    pub fn to_hdr(&self) -> Option<hdrhistogram::Histogram<u64>> {
        let mut hdr = hdrhistogram::Histogram::new_with_bounds(1, HIGHEST_NANOS, 3).ok()?;
        for (index, count) in self.bins() {
            hdr.record_n(range_of(index).0, count).ok()?;
        }
        Some(hdr)
    }

    /// Sum, minimum and maximum in nanoseconds.
    pub(super) fn exact(&self) -> (u128, u64, u64) {
        (self.sum_nanos, self.min_nanos, self.max_nanos)
    }

    /// From what [`Self::bins`] and [`Self::exact`] told. Bins that do not exist are left out.
    pub(super) fn from_bins(bins: Vec<(usize, u64)>, sum_nanos: u128, min_nanos: u64, max_nanos: u64) -> Self {
        let mut quantiles = Self { sum_nanos, min_nanos, max_nanos, ..Self::default() };
        for (index, count) in bins.into_iter().filter(|(index, _)| *index < BINS) {
            quantiles.rows.add_to(index, count);
            quantiles.count = quantiles.count.saturating_add(count);
        }
        quantiles
    }

    /// One pass for several quantiles, which must ascend; `None` without values.
    pub fn times_at<const N: usize>(&self, quantiles: [f64; N]) -> Option<[f64; N]> {
        if self.count == 0 {
            return None;
        }
        let mut bins = self.bins();
        let (mut seen, mut value) = (0, self.max_nanos);
        Some(quantiles.map(|quantile| {
            let rank = ((quantile.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
            while seen < rank
                && let Some((index, count)) = bins.next()
            {
                seen += count;
                // The bin's upper end; but never outside of what was really seen.
                value = if index == index_of(HIGHEST_NANOS) { self.max_nanos } else { range_of(index).1 };
            }
            value.clamp(self.min_nanos, self.max_nanos) as f64 / 1e9
        }))
    }

    /// The bins that hold something: index and count, ascending.
    pub(super) fn bins(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.rows.counts()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn of(nanos: &[u64]) -> Quantiles {
        let mut quantiles = Quantiles::default();
        nanos.iter().for_each(|nanos| {
            quantiles.record(&Point::new(Duration::from_nanos(*nanos), &[]));
        });
        quantiles
    }

    #[test]
    fn a_hundred_known_values() {
        let values: Vec<u64> = (1..=100).map(|ms| ms * 1_000_000).collect();
        let times = of(&values).times().unwrap();
        assert_eq!((times.min, times.max), (0.001, 0.1));
        assert!((times.mean - 0.0505).abs() < 1e-12);
        for (got, wanted) in [(times.p50, 0.05), (times.p90, 0.09), (times.p95, 0.095), (times.p99, 0.099), (times.p999, 0.1)] {
            assert!((got / wanted - 1.0).abs() < 0.001, "{got} for {wanted}");
        }
        assert_eq!(of(&values).at(1.0), Some(0.1));
    }

    #[test]
    fn nothing_has_no_quantiles() {
        assert_eq!(Quantiles::default().times(), None);
        assert_eq!(Quantiles::default().at(0.5), None);
    }

    #[test]
    fn a_value_alone_is_every_figure() {
        let times = of(&[10_123_456]).times().unwrap();
        assert_eq!(times, Times { min: times.max, mean: times.max, p50: times.max, p90: times.max, p95: times.max, ..times });
        assert_eq!(times.max, 0.010_123_456);
    }

    #[test]
    fn above_an_hour_is_clamped_and_said() {
        let mut quantiles = Quantiles::default();
        assert!(!quantiles.record(&Point::new(Duration::from_secs(3600), &[])));
        assert!(quantiles.record(&Point::new(Duration::from_secs(7200), &[])));
        assert_eq!(quantiles.times().map(|times| times.max), Some(7200.0));
        assert_eq!(quantiles.count(), 2);
    }

    #[test]
    fn bins_are_three_digits_wide() {
        for nanos in [0, 1, 2047, 2048, 2049, 100_000, 10_000_000, 1_000_000_000, HIGHEST_NANOS] {
            let (low, high) = range_of(index_of(nanos));
            assert!(low <= nanos && nanos <= high, "{nanos} in {low}..={high}");
            assert!((high - low) as f64 <= nanos as f64 / 1000.0, "{nanos} in {low}..={high}");
        }
    }

    /// Whole microseconds would be off by half a percent here.
    #[test]
    fn below_a_millisecond_there_are_three_digits_too() {
        let values: Vec<u64> = (0..1000).map(|at| 50_000 + at * 100).collect();
        let quantiles = of(&values);
        for (quantile, wanted) in [(0.001, 50e-6), (0.005, 50.4e-6), (0.5, 99.9e-6), (0.99, 148.9e-6)] {
            let got = quantiles.at(quantile).unwrap();
            assert!((got / wanted - 1.0).abs() < 0.001, "{got} for {wanted}");
        }
    }

    fn any_nanos() -> impl Strategy<Value = u64> {
        prop_oneof![0..3_000u64, 1_000_000..100_000_000u64, 0..3_600_000_000_000u64]
    }

    proptest! {
        #[test]
        fn the_bins_are_those_of_the_crate(values in prop::collection::vec(any_nanos(), 1..100), quantile in 0.001..=1.0) {
            let mut crate_one = hdrhistogram::Histogram::<u64>::new_with_bounds(1, HIGHEST_NANOS, 3).unwrap();
            values.iter().for_each(|nanos| crate_one.record(*nanos).unwrap());
            let ours = of(&values);
            prop_assert_eq!(ours.to_hdr().unwrap(), crate_one.clone());
            let wanted = crate_one.value_at_quantile(quantile).clamp(ours.min_nanos, ours.max_nanos);
            prop_assert_eq!(ours.at(quantile), Some(wanted as f64 / 1e9));
        }

        #[test]
        fn merging_and_its_inverse(a in prop::collection::vec(any_nanos(), 0..50), b in prop::collection::vec(any_nanos(), 0..50)) {
            let mut merged = of(&a);
            merged.add(&of(&b));
            let all = of(&[a.clone(), b.clone()].concat());
            prop_assert_eq!(merged.times(), all.times());
            let rest = merged.since(&of(&a));
            prop_assert_eq!(rest.count(), b.len() as u64);
            prop_assert_eq!(rest.bins().collect::<Vec<_>>(), of(&b).bins().collect::<Vec<_>>());
            prop_assert_eq!(rest.sum_nanos, of(&b).sum_nanos);
            if !a.is_empty() && !b.is_empty() {
                // The parts make up the whole again.
                let mut again = of(&a).since(&Quantiles::default());
                again.add(&rest);
                prop_assert_eq!(again, merged);
                prop_assert!(rest.min_nanos <= rest.max_nanos);
            }
        }
    }
}
