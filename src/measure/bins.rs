//! The counts of a row of neighbouring bins, as narrow as they fit.
//!
//! What a request mostly takes falls into few rows, which soon count by the thousand. But each slow answer falls somewhere else, and a
//! row of whole numbers for every one of those is what the memory of a run would grow by for hours: 2 KiB for a handful of
//! values, in each copy of each histogram.
//!
//! ```text
//!  a few bins that hold something  32 B ─▶ a byte each  256 B ─▶ two bytes  512 B ─▶ eight  2 KiB
//! ```

/// Counts of [`ROW`] bins.
#[derive(Clone, Debug)]
pub(super) enum Bins {
    Few(Few),
    Bytes(Box<[u8; ROW]>),
    Shorts(Box<[u16; ROW]>),
    Whole(Box<[u64; ROW]>),
}

/// Bins with their counts, ascending; those without a count are at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Few(Box<[(u8, u8); FEW]>);

/// Bins in a row.
pub(super) const ROW: usize = 256;

const FEW: usize = 16;

/// A number that may be too narrow for a count.
trait Narrow: Copy + Into<u64> + TryFrom<u64> {
    const MOST: u64;
}

impl Narrow for u8 {
    const MOST: u64 = Self::MAX as u64;
}

impl Narrow for u16 {
    const MOST: u64 = Self::MAX as u64;
}

impl Narrow for u64 {
    const MOST: u64 = Self::MAX;
}

// === Bins ===

impl Default for Bins {
    fn default() -> Self {
        Self::Few(Few::default())
    }
}

impl Bins {
    pub(super) fn record(&mut self, bin: usize) {
        match self {
            Self::Whole(counts) => counts[bin] += 1,
            Self::Shorts(counts) if counts[bin] < u16::MAX => counts[bin] += 1,
            Self::Bytes(counts) if counts[bin] < u8::MAX => counts[bin] += 1,
            _ => self.add_to(bin, 1),
        }
    }

    /// Adds so many to one bin.
    pub(super) fn add_to(&mut self, bin: usize, count: u64) {
        let sum = self.of(bin).saturating_add(count);
        while !self.set(bin, sum) {
            self.widen();
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        let added = match (&mut *self, other) {
            (Self::Bytes(mine), Self::Bytes(theirs)) => add_all(mine, theirs),
            (Self::Shorts(mine), Self::Shorts(theirs)) => add_all(mine, theirs),
            (Self::Whole(mine), Self::Whole(theirs)) => add_all(mine, theirs),
            _ => false,
        };
        if !added {
            other.counts().for_each(|(bin, count)| self.add_to(bin, count));
        }
    }

    /// Takes away what a former state of the same had.
    pub(super) fn subtract(&mut self, earlier: &Self) {
        for (bin, count) in earlier.counts() {
            // A difference is never too wide.
            self.set(bin, self.of(bin).saturating_sub(count));
        }
        // What is left over of the last second is often little.
        let (bins, most) = self.counts().fold((0, 0), |(bins, most), (_, count)| (bins + 1, count.max(most)));
        *self = match self {
            Self::Few(_) => return,
            _ if bins <= FEW && most <= u8::MOST => Self::default().with(self),
            Self::Bytes(_) => return,
            _ if most <= u8::MOST => Self::Bytes(Box::new([0; ROW])).with(self),
            Self::Shorts(_) => return,
            Self::Whole(_) if most <= u16::MOST => Self::Shorts(Box::new([0; ROW])).with(self),
            Self::Whole(_) => return,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts().next().is_none()
    }

    /// The bins that hold something, and how much; ascending.
    pub(super) fn counts(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let (few, all) = match self {
            Self::Few(few) => (few.held(), 0..0),
            _ => (&[][..], 0..ROW),
        };
        let few = few.iter().map(|(bin, count)| (usize::from(*bin), u64::from(*count)));
        let all = all.map(move |bin| (bin, self.of(bin)));
        few.chain(all.filter(|(_, count)| *count > 0))
    }

    #[inline]
    fn of(&self, bin: usize) -> u64 {
        match self {
            Self::Few(few) => few.of(bin),
            Self::Bytes(counts) => counts[bin].into(),
            Self::Shorts(counts) => counts[bin].into(),
            Self::Whole(counts) => counts[bin],
        }
    }

    /// Whether there is room for the count; otherwise nothing is changed.
    fn set(&mut self, bin: usize, count: u64) -> bool {
        match self {
            Self::Few(few) => few.set(bin, count),
            Self::Bytes(counts) => put(&mut counts[bin], count),
            Self::Shorts(counts) => put(&mut counts[bin], count),
            Self::Whole(counts) => put(&mut counts[bin], count),
        }
    }

    fn widen(&mut self) {
        let wider = match self {
            Self::Few(_) => Self::Bytes(Box::new([0; ROW])),
            Self::Bytes(_) => Self::Shorts(Box::new([0; ROW])),
            Self::Shorts(_) | Self::Whole(_) => Self::Whole(Box::new([0; ROW])),
        };
        *self = wider.with(self);
    }

    /// The counts of another in this form, in which there is room for them.
    fn with(mut self, other: &Self) -> Self {
        other.counts().for_each(|(bin, count)| _ = self.set(bin, count));
        self
    }
}

// === Few ===

impl Few {
    fn held(&self) -> &[(u8, u8)] {
        let held = self.0.iter().position(|(_, count)| *count == 0).unwrap_or(FEW);
        &self.0[..held]
    }

    fn of(&self, bin: usize) -> u64 {
        let found = self.held().iter().find(|(of, _)| usize::from(*of) == bin);
        found.map_or(0, |(_, count)| u64::from(*count))
    }

    fn set(&mut self, bin: usize, count: u64) -> bool {
        let (Ok(bin), Ok(count)) = (u8::try_from(bin), u8::try_from(count)) else { return false };
        let held = self.held().len();
        let at = self.held().partition_point(|(of, _)| *of < bin);
        let there = at < held && self.0[at].0 == bin;
        match (there, count) {
            (false, 0) => {}
            (true, 0) => {
                self.0[at..held].rotate_left(1);
                self.0[held - 1] = (0, 0);
            }
            (true, _) => self.0[at].1 = count,
            (false, _) if held == FEW => return false,
            (false, _) => {
                self.0[at..=held].rotate_right(1);
                self.0[at] = (bin, count);
            }
        }
        true
    }
}

fn put<T: Narrow>(into: &mut T, count: u64) -> bool {
    T::try_from(count).map(|count| *into = count).is_ok()
}

/// Adds all, or nothing if a sum does not fit. Looks at all of them first, which is faster than a way out in the middle.
fn add_all<T: Narrow>(mine: &mut [T; ROW], theirs: &[T; ROW]) -> bool {
    let sum = |mine: T, theirs: T| mine.into().saturating_add(theirs.into());
    let over = mine.iter().zip(theirs).fold(false, |over, (mine, theirs)| over | (sum(*mine, *theirs) > T::MOST));
    if !over {
        mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| _ = put(mine, sum(*mine, *theirs)));
    }
    !over
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(counts: &[(usize, u64)]) -> Bins {
        let mut bins = Bins::default();
        counts.iter().for_each(|(bin, count)| bins.add_to(*bin, *count));
        bins
    }

    fn all(bins: &Bins) -> Vec<(usize, u64)> {
        bins.counts().collect()
    }

    #[test]
    fn what_does_not_fit_makes_them_wider_and_nothing_is_lost() {
        let mut bins = of(&[(3, 1), (255, 7)]);
        (0..255).for_each(|_| bins.record(0));
        assert!(matches!(bins, Bins::Few(_)));
        bins.record(0);
        assert!(!matches!(bins, Bins::Few(_)));
        bins.record(0);
        assert_eq!(all(&bins), [(0, 257), (3, 1), (255, 7)]);
        bins.subtract(&of(&[(0, 250), (3, 1)]));
        assert!(matches!(bins, Bins::Few(_)), "what is left fits again");
        assert_eq!(all(&bins), [(0, 7), (255, 7)]);
        bins.add_to(0, 65_528);
        assert!(matches!(bins, Bins::Shorts(_)));
        bins.record(0);
        assert!(matches!(bins, Bins::Whole(_)));
        assert_eq!(all(&bins), [(0, 65_536), (255, 7)]);
        assert!(!bins.is_empty());
        bins.subtract(&bins.clone());
        assert!(bins.is_empty());
    }

    #[test]
    fn a_seventeenth_bin_is_one_too_many_for_few() {
        let mut bins = Bins::default();
        (0..16).rev().for_each(|bin| bins.record(bin * 10));
        assert!(matches!(bins, Bins::Few(_)));
        assert_eq!(all(&bins), (0..16).map(|bin| (bin * 10, 1)).collect::<Vec<_>>());
        bins.record(5);
        assert!(matches!(bins, Bins::Bytes(_)));
        assert_eq!((all(&bins).len(), all(&bins)[1]), (17, (5, 1)));
    }

    proptest! {
        #[test]
        fn sums_and_differences_are_those_of_numbers(
            a in prop::collection::vec((0..ROW, prop_oneof![1..9_u64, 100..200_u64, 1..90_000_u64]), 0..40),
            b in prop::collection::vec((0..ROW, prop_oneof![1..9_u64, 100..200_u64, 1..90_000_u64]), 0..40),
        ) {
            let mut numbers = [0_u64; ROW];
            a.iter().chain(&b).for_each(|(bin, count)| numbers[*bin] += count);
            let mut sum = of(&a);
            sum.add(&of(&b));
            let expected: Vec<_> = numbers.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect();
            prop_assert_eq!(all(&sum), expected);
            sum.subtract(&of(&b));
            prop_assert_eq!(all(&sum), all(&of(&a)));
        }
    }
}
