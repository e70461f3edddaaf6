//! Finds the buckets of a duration, as [`Point::new`] does, without dividing and searching: a request has eight durations to be
//! sorted in.
//!
//! All bounds of both forms, classic and native, cut the nanoseconds into some five hundred bins. A table tells for the leading five
//! bits of a number in which bin it begins; from there it is a step or two.
//!
//! ```text
//!   bins     ──┤ native ├──────┤ classic ├─┤ native ├──────
//!   cells    │        │        │        │        │        │      16 in each power of two
//! ```

use std::time::Duration;

use super::histogram::Point;

/// The buckets of all durations, for one list of classic boundaries.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    /// In which bin a cell begins.
    first: Box<[u16]>,
    /// The longest duration of each bin, in nanoseconds, ascending; the last one is the longest there is.
    bounds: Box<[u64]>,
    /// The buckets of each bin.
    points: Box<[Point]>,
    /// The most bins that end within one cell.
    steps: usize,
}

/// A cell is a sixteenth of a power of two, or less.
const CELL_BITS: u32 = 4;
const CELLS: usize = cell(u64::MAX) + 1;

const fn cell(nanos: u64) -> usize {
    let octave = (u64::BITS - CELL_BITS - 1).saturating_sub(nanos.leading_zeros());
    ((octave as usize) << CELL_BITS) + (nanos >> octave) as usize
}

/// The least number of a cell.
fn least(cell: usize) -> u64 {
    let octave = (cell >> CELL_BITS).saturating_sub(1);
    ((cell - (octave << CELL_BITS)) as u64) << octave
}

// === Scale ===

impl Scale {
    /// `boundaries` are in seconds, ascending.
    pub(super) fn new(boundaries: &[f64]) -> Self {
        let of = |nanos| Point::new(Duration::from_nanos(nanos), boundaries);
        let (mut bounds, mut next) = (Vec::new(), Some(0));
        while let Some(least) = next {
            let bound = last_like(least, of);
            bounds.push(bound);
            next = bound.checked_add(1);
        }
        let points = bounds.iter().map(|bound| of(*bound)).collect();
        let bin = |nanos: u64| bounds.partition_point(|bound| *bound < nanos);
        let first: Vec<_> = (0..CELLS).map(|cell| bin(least(cell))).collect();
        let ends = (0..CELLS).map(|cell| if cell + 1 < CELLS { bin(least(cell + 1) - 1) } else { bounds.len() - 1 });
        let steps = first.iter().zip(ends).map(|(first, end)| end - first).max().unwrap_or(0);
        let first = first.into_iter().map(|bin| u16::try_from(bin).unwrap_or(u16::MAX)).collect();
        Self { first, points, steps, bounds: bounds.into() }
    }

    /// Where so many nanoseconds belong.
    #[inline]
    pub(super) fn point(&self, nanos: u64) -> Point {
        self.points[usize::from(self.bin(nanos))].like(nanos)
    }

    /// The buckets of all durations of a bin.
    pub(super) fn of_bin(&self, bin: usize) -> Point {
        self.points[bin].like(0)
    }

    /// In which bin so many nanoseconds are.
    #[inline]
    pub(super) fn bin(&self, nanos: u64) -> u16 {
        let mut bin = usize::from(self.first[cell(nanos)]);
        // No end when it is found: the processor would have to guess it.
        for _ in 0..self.steps {
            bin += usize::from(nanos > self.bounds[bin]);
        }
        bin as u16
    }
}

/// The largest number that has the buckets of `least`: which is hardly ever more than a tenth larger.
fn last_like(least: u64, of: impl Fn(u64) -> Point) -> u64 {
    let buckets = of(least).buckets();
    let like = |nanos: u64| of(nanos).buckets() == buckets;
    let (mut within, mut step) = (least, least / 16 + 1);
    let mut beyond = loop {
        let next = within.saturating_add(step);
        match like(next) {
            true if next == u64::MAX => return next,
            true => (within, step) = (next, step.saturating_mul(2)),
            false => break next,
        }
    };
    while beyond - within > 1 {
        let middle = within + (beyond - within) / 2;
        if like(middle) { within = middle } else { beyond = middle }
    }
    within
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::measure::catalog::BUCKETS;

    /// Those of the catalog, none, and some that lie close to each other and to native bounds.
    static SCALES: LazyLock<[(Vec<f64>, Scale); 3]> = LazyLock::new(|| {
        let close = vec![1e-9, 2e-9, 0.25, 0.250_000_000_1, 0.250_000_000_2, 0.250_000_001, 0.3, 0.300_000_001, 7_200.0];
        [BUCKETS.to_vec(), Vec::new(), close].map(|bounds| (bounds.clone(), Scale::new(&bounds)))
    });

    #[test]
    fn at_each_bound_and_beside_it() {
        for (boundaries, scale) in &*SCALES {
            assert!(scale.bounds.len() > 400 && scale.bounds.is_sorted() && scale.steps < 6, "{boundaries:?}");
            for bound in &*scale.bounds {
                for nanos in [bound.saturating_sub(1), *bound, bound.saturating_add(1)] {
                    assert_eq!(scale.point(nanos), Point::new(Duration::from_nanos(nanos), boundaries), "{nanos}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_searching_finds(nanos in prop_oneof![0..100_u64, 0..10_000_000_000_u64, any::<u64>()]) {
            for (boundaries, scale) in &*SCALES {
                prop_assert_eq!(scale.point(nanos), Point::new(Duration::from_nanos(nanos), boundaries));
            }
        }
    }
}
