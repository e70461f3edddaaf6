//! The summary's quantiles: an HdrHistogram of 3 digits from 1 µs to 1 h.
//!
//! The layout of the bins is the crate `hdrhistogram`'s and its answers are the same (a test compares), but the counts are kept
//! in rows that exist only where values fell. The crate's array takes 184 KiB for each histogram, and there are two for each
//! request and worker; the latencies of one request touch some ten rows often, and some thirty now and then ([`super::bins`]).
//!
//! Minimum, maximum and sum are kept beside it in nanoseconds, exactly.

use super::bins::{Bins, ROW};
use super::histogram::Point;

/// Durations, as far as quantiles need them.
#[derive(Clone, Debug, Default)]
pub struct Quantiles {
    count: u64,
    sum_nanos: u128,
    min_nanos: u64,
    max_nanos: u64,
    /// Empty until the first value.
    rows: Vec<Option<Bins>>,
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

/// The longest duration that has a bin of its own: 1 h, in µs. Longer ones are counted there.
pub const HIGHEST_MICROS: u64 = 3_600_000_000;

/// 3 digits: 2,048 linear bins, of which the upper half is repeated for each further power of two.
const HALF_BITS: u32 = 10;
const ROWS: usize = index_of(HIGHEST_MICROS) / ROW + 1;
/// So many bins hold all durations up to [`HIGHEST_MICROS`].
pub(super) const BINS: usize = ROWS * ROW;

const fn index_of(micros: u64) -> usize {
    let octave = (u64::BITS - HALF_BITS - 1).saturating_sub(micros.leading_zeros());
    ((octave as usize) << HALF_BITS) + (micros >> octave) as usize
}

/// The smallest and the largest number of µs that share a bin.
fn range_of(index: usize) -> (u64, u64) {
    let octave = (index >> HALF_BITS).saturating_sub(1);
    let low = ((index - (octave << HALF_BITS)) as u64) << octave;
    (low, low + (1 << octave) - 1)
}

// === Quantiles ===

impl Quantiles {
    /// Nothing.
    pub const EMPTY: Self = Self { count: 0, sum_nanos: 0, min_nanos: 0, max_nanos: 0, rows: Vec::new() };

    /// Counts a duration, rounded to whole µs; whether it had to be clamped to [`HIGHEST_MICROS`].
    pub fn record(&mut self, point: &Point) -> bool {
        let nanos = point.nanos;
        let micros = nanos.saturating_add(500) / 1000;
        self.min_nanos = if self.count == 0 { nanos } else { self.min_nanos.min(nanos) };
        self.max_nanos = self.max_nanos.max(nanos);
        self.count += 1;
        self.sum_nanos += u128::from(nanos);
        let index = index_of(micros.min(HIGHEST_MICROS));
        if self.rows.is_empty() {
            self.rows.resize(ROWS, None);
        }
        self.rows[index / ROW].get_or_insert_default().record(index % ROW);
        micros > HIGHEST_MICROS
    }

    pub fn add(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min_nanos = if self.count == 0 { other.min_nanos } else { self.min_nanos.min(other.min_nanos) };
        self.max_nanos = self.max_nanos.max(other.max_nanos);
        self.count += other.count;
        self.sum_nanos += other.sum_nanos;
        self.rows.resize(ROWS, None);
        for (mine, theirs) in self.rows.iter_mut().zip(&other.rows) {
            match (mine, theirs) {
                (Some(mine), Some(theirs)) => mine.add(theirs),
                (mine @ None, Some(theirs)) => *mine = Some(theirs.clone()),
                (_, None) => {}
            }
        }
    }

    /// What was recorded after `earlier`, a former state of the same. Minimum and maximum are those of the bins, except where
    /// they are new ones: of parts that follow each other, the smallest minimum and the largest maximum are those of the whole.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut rest = Self {
            count: 0,
            sum_nanos: self.sum_nanos.saturating_sub(earlier.sum_nanos),
            rows: self.rows.clone(),
            ..Self::default()
        };
        for (mine, theirs) in rest.rows.iter_mut().zip(&earlier.rows) {
            if let (Some(bins), Some(theirs)) = (&mut *mine, theirs) {
                bins.subtract(theirs);
                if bins.is_empty() {
                    *mine = None;
                }
            }
        }
        rest.count = rest.bins().map(|(_, count)| count).sum();
        let ends = (rest.bins().next(), rest.bins().last());
        if let (Some((first, _)), Some((last, _))) = ends {
            let (new_min, new_max) = (self.min_nanos < earlier.min_nanos, self.max_nanos > earlier.max_nanos);
            let first_of_all = earlier.count == 0;
            rest.min_nanos =
                if new_min || first_of_all { self.min_nanos } else { (range_of(first).0 * 1000).max(self.min_nanos) };
            rest.max_nanos = if new_max { self.max_nanos } else { (range_of(last).1 * 1000).min(self.max_nanos) };
            // Of values that were rounded into one bin.
            rest.max_nanos = rest.max_nanos.max(rest.min_nanos);
        }
        rest
    }

    /// What was recorded: the upper end of each bin that holds something, in seconds, and how many; ascending.
    pub fn steps(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.bins().map(|(index, count)| (range_of(index).1 as f64 / 1e6, count))
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

    /// As an [`hdrhistogram::Histogram`] in µs, for its serialised form; `None` only if the crate refuses our range.
    pub fn to_hdr(&self) -> Option<hdrhistogram::Histogram<u64>> {
        let mut hdr = hdrhistogram::Histogram::new_with_bounds(1, HIGHEST_MICROS, 3).ok()?;
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
        if !bins.is_empty() {
            quantiles.rows.resize(ROWS, None);
        }
        for (index, count) in bins.into_iter().filter(|(index, _)| *index < BINS) {
            quantiles.rows[index / ROW].get_or_insert_default().add_to(index % ROW, count);
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
                value = if index == index_of(HIGHEST_MICROS) { self.max_nanos } else { range_of(index).1 * 1000 };
            }
            value.clamp(self.min_nanos, self.max_nanos) as f64 / 1e9
        }))
    }

    /// The bins that hold something: index and count, ascending.
    pub(super) fn bins(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let rows = self.rows.iter().enumerate().filter_map(|(number, row)| Some((number, row.as_ref()?)));
        rows.flat_map(|(number, row)| row.counts().map(move |(bin, count)| (number * ROW + bin, count)))
    }
}

impl PartialEq for Quantiles {
    /// Whatever room it takes.
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.sum_nanos, self.min_nanos, self.max_nanos)
            == (other.count, other.sum_nanos, other.min_nanos, other.max_nanos)
            && self.bins().eq(other.bins())
    }
}

impl Eq for Quantiles {}

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
        assert!(Quantiles::default().rows.is_empty());
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
        for micros in [0, 1, 2047, 2048, 2049, 10_000, 1_000_000, HIGHEST_MICROS] {
            let (low, high) = range_of(index_of(micros));
            assert!(low <= micros && micros <= high, "{micros} in {low}..={high}");
            assert!((high - low) as f64 <= micros as f64 / 1000.0, "{micros} in {low}..={high}");
        }
    }

    fn any_nanos() -> impl Strategy<Value = u64> {
        prop_oneof![0..3_000u64, 1_000_000..100_000_000u64, 0..3_600_000_000_000u64]
    }

    proptest! {
        #[test]
        fn the_bins_are_those_of_the_crate(values in prop::collection::vec(any_nanos(), 1..100), quantile in 0.001..=1.0) {
            let mut crate_one = hdrhistogram::Histogram::<u64>::new_with_bounds(1, HIGHEST_MICROS, 3).unwrap();
            values.iter().for_each(|nanos| crate_one.record((nanos + 500) / 1000).unwrap());
            let ours = of(&values);
            prop_assert_eq!(ours.to_hdr().unwrap(), crate_one.clone());
            let wanted = (crate_one.value_at_quantile(quantile) * 1000).clamp(ours.min_nanos, ours.max_nanos);
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
