//! A histogram of durations in the two forms that Prometheus knows, recorded side by side:
//!
//! - classic: counts up to given boundaries, each inclusive;
//! - native (exponential), schema 3: bucket *i* holds the values in (2^((i-1)/8), 2^(i/8)] seconds, and zero has its own.
//!
//! Both are found from the same number of seconds, and every record adds one to each, so their counts agree exactly. The sum
//! is kept in whole nanoseconds, so merging is exact and in any order.

use std::time::Duration;

use super::exemplar::{Exemplar, Exemplars, Traced};

/// Counts of durations in classic and native buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    count: u64,
    sum: Sum,
    classic: Box<[u64]>,
    native: Native,
    /// Most histograms have none, and must not pay for them.
    exemplars: Option<Box<Exemplars>>,
}

/// Nanoseconds. A million users sum up to more than 64 bits within hours; packed, because the alignment of 128 bits would
/// add to every histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed(8))]
struct Sum(u128);

/// The native buckets: a dense window over the indices met so far, whole powers of two wide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Native {
    zero: u64,
    start: i32,
    counts: Vec<u64>,
}

/// Where one duration belongs in every form. Found once, used for each histogram that gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub(super) nanos: u64,
    classic: u16,
    /// `None` for a duration of zero.
    native: Option<i16>,
}

/// The native resolution: 2^3 buckets for each power of two, so neighbours differ by 9%.
pub const SCHEMA: i32 = 3;

/// What counts as zero for native histograms. Above 0, or Prometheus does not recognise an empty one as native.
pub const ZERO_THRESHOLD: f64 = 1.0 / (1_u128 << 127) as f64 / 2.0;

const PER_OCTAVE: i32 = 1 << SCHEMA;

/// 2^(i/8 - 1): the boundaries within [0.5, 1), where the fraction of a float lies; the same figures as Prometheus' clients use.
const FRACTIONS: [f64; PER_OCTAVE as usize] = [
    0.5,
    0.545_253_866_332_628_8,
    0.594_603_557_501_360_5,
    0.648_419_777_325_504_8,
    0.707_106_781_186_547_5,
    0.771_105_412_703_970_4,
    0.840_896_415_253_714_4,
    0.917_004_043_204_671_1,
];

/// The native bucket of a positive, normal number.
fn native_index(seconds: f64) -> i32 {
    // frexp: the number is fraction × 2^exponent with the fraction in [0.5, 1).
    let bits = seconds.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    let fraction = f64::from_bits((bits & ((1 << 52) - 1)) | (1022 << 52));
    let below = FRACTIONS.iter().filter(|bound| **bound < fraction).count() as i32;
    below + (exponent - 1) * PER_OCTAVE
}

/// A duration in whole nanoseconds; those above 584 years stop there.
pub(super) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

// === Point ===

impl Point {
    /// Where `duration` belongs, given the classic boundaries in seconds.
    pub fn new(duration: Duration, boundaries: &[f64]) -> Self {
        let nanos = nanos(duration);
        // One correctly rounded division: 100,000,000 ns is the very float that is written 0.1.
        let seconds = nanos as f64 / 1e9;
        let classic = boundaries.partition_point(|bound| *bound < seconds);
        let classic = u16::try_from(classic).unwrap_or(u16::MAX);
        // From -239 for a nanosecond to 273 for the longest.
        Self { nanos, classic, native: (nanos > 0).then(|| native_index(seconds) as i16) }
    }

    /// Another duration of the same buckets.
    pub(super) fn like(self, nanos: u64) -> Self {
        Self { nanos, ..self }
    }

    /// The classic and the native one.
    pub(super) fn buckets(&self) -> (u16, Option<i16>) {
        (self.classic, self.native)
    }
}

// === Histogram ===

impl Histogram {
    /// An empty histogram with so many classic boundaries.
    pub fn new(boundaries: usize) -> Self {
        let classic = vec![0; boundaries + 1].into();
        Self { count: 0, sum: Sum::default(), classic, native: Native::default(), exemplars: None }
    }

    pub fn record(&mut self, point: &Point) {
        self.count += 1;
        self.sum.0 += u128::from(point.nanos);
        let bucket = self.bucket(point);
        self.classic[bucket] += 1;
        match point.native {
            None => self.native.zero += 1,
            Some(index) => *self.native.at(i32::from(index)) += 1,
        }
    }

    /// Counts so many of the same buckets; how long they took, [`took`](Self::took) tells.
    pub(super) fn record_many(&mut self, point: &Point, count: u64) {
        self.count += count;
        let bucket = self.bucket(point);
        self.classic[bucket] += count;
        match point.native {
            None => self.native.zero += count,
            Some(index) => *self.native.at(i32::from(index)) += count,
        }
    }

    pub(super) fn took(&mut self, nanos: u64) {
        self.sum.0 += u128::from(nanos);
    }

    /// Tells whose the point was, which was recorded before.
    pub(super) fn exemplify(&mut self, point: &Point, traced: Traced) {
        let (bucket, exemplar) = (self.bucket(point), Exemplar::new(traced, point.nanos));
        self.exemplars.get_or_insert_default().offer(bucket, exemplar);
    }

    /// A point made with other boundaries ends in the last bucket rather than outside.
    fn bucket(&self, point: &Point) -> usize {
        usize::from(point.classic).min(self.classic.len() - 1)
    }

    pub fn add(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.count += other.count;
        self.sum.0 += other.sum.0;
        self.classic.iter_mut().zip(&other.classic).for_each(|(mine, theirs)| *mine += theirs);
        self.native.add(&other.native);
        if let Some(theirs) = &other.exemplars {
            self.exemplars.get_or_insert_default().add(theirs);
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all durations, in nanoseconds.
    pub fn sum_nanos(&self) -> u128 {
        self.sum.0
    }

    /// Counts up to and including each boundary and, last, of all: as `le` means them.
    pub fn cumulative(&self) -> impl Iterator<Item = u64> + '_ {
        self.classic.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
    }

    pub fn native(&self) -> &Native {
        &self.native
    }

    /// The exemplar of a classic bucket, by its number.
    pub fn exemplar(&self, bucket: usize) -> Option<&Exemplar> {
        self.exemplars.as_ref()?.of(bucket)
    }

    /// All exemplars, by their durations; at most one for each classic bucket.
    pub fn exemplars(&self) -> impl Iterator<Item = &Exemplar> + '_ {
        self.exemplars.iter().flat_map(|exemplars| exemplars.iter())
    }
}

// === Native ===

impl Native {
    /// How many durations were zero.
    pub fn zero_count(&self) -> u64 {
        self.zero
    }

    /// The buckets that hold something: index and count, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        (self.start..).zip(self.counts.iter().copied()).filter(|(_, count)| *count > 0)
    }

    fn end(&self) -> i32 {
        self.start + self.counts.len() as i32
    }

    fn at(&mut self, index: i32) -> &mut u64 {
        if index < self.start || index >= self.end() {
            let octave = index.div_euclid(PER_OCTAVE) * PER_OCTAVE;
            self.cover(octave, octave + PER_OCTAVE);
        }
        &mut self.counts[(index - self.start) as usize]
    }

    /// Widens the window to hold `start..end` too. Happens while the first values come, and hardly ever later.
    fn cover(&mut self, start: i32, end: i32) {
        if self.counts.is_empty() {
            self.start = start;
        }
        if start < self.start {
            self.counts.splice(0..0, std::iter::repeat_n(0, (self.start - start) as usize));
            self.start = start;
        }
        if end > self.end() {
            self.counts.resize((end - self.start) as usize, 0);
        }
    }

    fn add(&mut self, other: &Self) {
        self.zero += other.zero;
        if other.counts.is_empty() {
            return;
        }
        self.cover(other.start, other.end());
        let from = (other.start - self.start) as usize;
        self.counts[from..].iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::catalog::BUCKETS;
    use crate::measure::exemplar::traced;

    fn of(nanos: &[u64]) -> Histogram {
        let mut histogram = Histogram::new(BUCKETS.len());
        nanos.iter().for_each(|nanos| histogram.record(&Point::new(Duration::from_nanos(*nanos), &BUCKETS)));
        histogram
    }

    #[test]
    fn fractions_are_the_powers_of_two_to_the_eighth() {
        for (i, fraction) in FRACTIONS.iter().enumerate() {
            assert!((fraction - 2_f64.powf(i as f64 / 8.0 - 1.0)).abs() < 2e-16, "{i}");
        }
        assert_eq!(ZERO_THRESHOLD, 2_f64.powi(-128));
    }

    #[test]
    fn native_buckets_include_their_upper_bound() {
        for (seconds, index) in [
            (1.0, 0),
            (1.0 + f64::EPSILON, 1),
            (1.0 - f64::EPSILON, 0),
            (2.0, 8),
            (2.000_001, 9),
            (0.5, -8),
            (0.500_001, -7),
            (0.25, -16),
            (0.917_004_043_204_671_1, -1),
            (0.917_004_043_204_672, 0),
            (0.1, -26),
            (1e-9, -239),
            (3600.0, 95),
        ] {
            assert_eq!(native_index(seconds), index, "{seconds}");
        }
    }

    #[test]
    fn classic_boundaries_are_inclusive() {
        for (nanos, bucket) in [
            (0, 0),
            (1_000_000, 0),
            (1_000_001, 1),
            (100_000_000, 7),
            (100_000_001, 8),
            (1_000_000_000, 11),
            (60_000_000_000, 17),
            (60_000_000_001, 18),
            (u64::MAX, 18),
        ] {
            let histogram = of(&[nanos]);
            let at = histogram.classic.iter().position(|count| *count == 1);
            assert_eq!(at, Some(bucket), "{nanos} ns");
        }
    }

    #[test]
    fn zero_has_its_own_native_bucket() {
        let histogram = of(&[0, 0, 1_000_000_000]);
        assert_eq!(histogram.native().zero_count(), 2);
        assert_eq!(histogram.native().buckets().collect::<Vec<_>>(), [(0, 1)]);
        assert_eq!((histogram.count(), histogram.sum_nanos()), (3, 1_000_000_000));
        assert_eq!(histogram.cumulative().collect::<Vec<_>>()[..2], [2, 2]);
    }

    /// Each costs this for every request of a scenario, four times.
    #[test]
    fn exemplars_cost_a_pointer_where_there_are_none() {
        assert_eq!(size_of::<Histogram>(), 80 + size_of::<usize>());
        assert_eq!(of(&[1, 2, 3]).exemplars, None);
    }

    #[test]
    fn an_exemplar_is_of_the_bucket_that_its_duration_fell_into() {
        let mut histogram = Histogram::new(BUCKETS.len());
        for (nanos, span) in [(100_000_000, 1), (100_000_001, 2), (90_000_000_000, 3), (0, 4)] {
            let point = Point::new(Duration::from_nanos(nanos), &BUCKETS);
            histogram.record(&point);
            histogram.exemplify(&point, traced(1, span, 10));
        }
        let span = |bucket| histogram.exemplar(bucket).map(|exemplar| exemplar.span.bits());
        assert_eq!([0, 1, 7, 8, 17, 18, 19].map(span), [Some(4), None, Some(1), Some(2), None, Some(3), None]);
        let all: Vec<_> = histogram.exemplars().map(Exemplar::nanos).collect();
        assert_eq!(all, [0, 100_000_000, 100_000_001, 90_000_000_000]);
    }

    fn any_nanos() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), 1..2_000u64, 1_000_000..100_000_000u64, 1..8_000_000_000_000u64]
    }

    proptest! {
        #[test]
        fn every_value_lies_in_its_bucket(nanos in 1..=u64::MAX >> 1) {
            let seconds = nanos as f64 / 1e9;
            let index = native_index(seconds);
            // powf is good to about an ulp; the table above settles the exact boundaries.
            let bound = |index: i32| 2_f64.powf(f64::from(index) / 8.0);
            prop_assert!(seconds <= bound(index) * (1.0 + 4e-16), "{seconds} above bucket {index}");
            prop_assert!(seconds > bound(index - 1) * (1.0 - 4e-16), "{seconds} below bucket {index}");
        }

        #[test]
        fn forms_agree(values in prop::collection::vec(any_nanos(), 0..200)) {
            let histogram = of(&values);
            let count = values.len() as u64;
            prop_assert_eq!(histogram.count(), count);
            prop_assert_eq!(histogram.cumulative().last(), Some(count));
            let native = histogram.native();
            prop_assert_eq!(native.zero_count() + native.buckets().map(|(_, count)| count).sum::<u64>(), count);
            prop_assert_eq!(histogram.sum_nanos(), values.iter().map(|nanos| u128::from(*nanos)).sum::<u128>());
        }

        /// Whatever order they come in, and however they are spread over histograms that are merged.
        #[test]
        fn the_newest_of_each_bucket_is_kept(samples in prop::collection::vec((any_nanos(), 1..4_u128, 1..9_u64, 0..9_u64), 0..60), parts in 1..4_usize) {
            let mut histograms = vec![Histogram::new(BUCKETS.len()); parts];
            let mut wanted = std::collections::BTreeMap::new();
            for (nth, (nanos, trace, span, at)) in samples.into_iter().enumerate() {
                let point = Point::new(Duration::from_nanos(nanos), &BUCKETS);
                histograms[nth % parts].record(&point);
                histograms[nth % parts].exemplify(&point, traced(trace, span, at));
                let newest = wanted.entry(point.classic).or_default();
                *newest = std::cmp::max(*newest, (at, span, trace, nanos));
            }
            let mut merged = Histogram::new(BUCKETS.len());
            histograms.iter().for_each(|histogram| merged.add(histogram));
            let seconds = |exemplar: &Exemplar| exemplar.at.unix_nanos() / 1_000_000_000;
            let kept: Vec<_> = merged.exemplars().map(|kept| (seconds(kept), kept.span.bits(), kept.trace.bits(), kept.nanos())).collect();
            prop_assert_eq!(kept, wanted.into_values().collect::<Vec<_>>());
        }

        #[test]
        fn merging_is_recording_all(a in prop::collection::vec(any_nanos(), 0..50), b in prop::collection::vec(any_nanos(), 0..50)) {
            let mut merged = of(&a);
            merged.add(&of(&b));
            prop_assert_eq!(&merged, &of(&[a.clone(), b.clone()].concat()));
            let mut other_way = of(&b);
            other_way.add(&of(&a));
            prop_assert_eq!(merged, other_way);
        }
    }
}
