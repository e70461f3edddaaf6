//! The counts of a row of neighbouring bins, in bytes as long as they fit.
//!
//! What a request mostly takes falls into few rows, which soon count by the thousand. But each slow answer falls somewhere else, and a
//! row of whole numbers for every one of those is what the memory of a run would grow by for hours: 2 KiB for a handful of
//! values, in each copy of each histogram. In bytes it is an eighth of that.

/// Counts of [`ROW`] bins.
#[derive(Clone, Debug)]
pub(super) enum Bins {
    Bytes(Box<[u8; ROW]>),
    Whole(Box<[u64; ROW]>),
}

/// Bins in a row.
pub(super) const ROW: usize = 256;

impl Default for Bins {
    fn default() -> Self {
        Self::Bytes(Box::new([0; ROW]))
    }
}

impl Bins {
    pub(super) fn record(&mut self, bin: usize) {
        match self {
            Self::Whole(counts) => counts[bin] += 1,
            Self::Bytes(counts) if counts[bin] < u8::MAX => counts[bin] += 1,
            Self::Bytes(_) => self.add_to(bin, 1),
        }
    }

    /// Adds so many to one bin.
    pub(super) fn add_to(&mut self, bin: usize, count: u64) {
        match self {
            Self::Bytes(counts) => match u8::try_from(count).ok().and_then(|count| counts[bin].checked_add(count)) {
                Some(sum) => counts[bin] = sum,
                None => self.widen(|counts| counts[bin] += count),
            },
            Self::Whole(counts) => counts[bin] = counts[bin].saturating_add(count),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Whole(mine), Self::Whole(theirs)) => {
                mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine += theirs);
            }
            (Self::Bytes(mine), Self::Bytes(theirs)) if fit(mine, theirs) => {
                mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine += theirs);
            }
            (mine, theirs) => mine.widen(|mine| theirs.counts().for_each(|(bin, count)| mine[bin] += count)),
        }
    }

    /// Takes away what a former state of the same had.
    pub(super) fn subtract(&mut self, earlier: &Self) {
        match (&mut *self, earlier) {
            (Self::Bytes(mine), Self::Bytes(theirs)) => {
                mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine = mine.saturating_sub(*theirs));
            }
            (Self::Whole(mine), Self::Whole(theirs)) => {
                mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine = mine.saturating_sub(*theirs));
            }
            (mine, theirs) => mine.widen(|mine| {
                theirs.counts().for_each(|(bin, count)| mine[bin] = mine[bin].saturating_sub(count));
            }),
        }
        // What is left over of the last second is often little.
        if let Self::Whole(counts) = self
            && counts.iter().all(|count| *count <= u64::from(u8::MAX))
        {
            *self = Self::Bytes(Box::new(counts.map(|count| count as u8)));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(counts) => **counts == [0; ROW],
            Self::Whole(counts) => **counts == [0; ROW],
        }
    }

    /// The bins that hold something, and how much; ascending.
    pub(super) fn counts(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        (0..ROW).filter_map(move |bin| {
            let count = match self {
                Self::Bytes(counts) => u64::from(counts[bin]),
                Self::Whole(counts) => counts[bin],
            };
            (count > 0).then_some((bin, count))
        })
    }

    /// Changes them where anything fits.
    fn widen(&mut self, change: impl FnOnce(&mut [u64; ROW])) {
        match self {
            Self::Whole(counts) => change(counts),
            Self::Bytes(counts) => {
                let mut whole = Box::new(counts.map(u64::from));
                change(&mut whole);
                *self = Self::Whole(whole);
            }
        }
    }
}

/// Whether each sum is still a byte. Without a way out in the middle, which would be slower.
fn fit(mine: &[u8; ROW], theirs: &[u8; ROW]) -> bool {
    !mine.iter().zip(theirs).fold(false, |over, (mine, theirs)| over | mine.overflowing_add(*theirs).1)
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

    fn is_bytes(bins: &Bins) -> bool {
        matches!(bins, Bins::Bytes(_))
    }

    #[test]
    fn a_count_that_does_not_fit_a_byte_makes_them_whole_numbers_and_nothing_is_lost() {
        let mut bins = of(&[(3, 1), (255, 7)]);
        (0..255).for_each(|_| bins.record(0));
        assert!(is_bytes(&bins));
        bins.record(0);
        assert!(!is_bytes(&bins));
        bins.record(0);
        assert_eq!(all(&bins), [(0, 257), (3, 1), (255, 7)]);
        bins.subtract(&of(&[(0, 250), (3, 1)]));
        assert!(is_bytes(&bins), "what is left fits again");
        assert_eq!(all(&bins), [(0, 7), (255, 7)]);
    }

    proptest! {
        #[test]
        fn sums_and_differences_are_those_of_numbers(
            a in prop::collection::vec((0..ROW, prop_oneof![1..9_u64, 100..200_u64, 1..9_000_u64]), 0..40),
            b in prop::collection::vec((0..ROW, prop_oneof![1..9_u64, 100..200_u64, 1..9_000_u64]), 0..40),
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
