//! The counts of a row of neighbouring bins, as narrow as they fit.
//!
//! What a request mostly takes falls into few rows, which soon count by the thousand. But each slow answer falls somewhere else, and a
//! row of whole numbers for every one of those is what the memory of a run would grow by for hours: 2 KiB for a handful of
//! values, in each copy of each histogram. In bytes it is an eighth of that.

/// Counts of [`ROW`] bins.
#[derive(Clone, Debug)]
pub(super) enum Bins {
    Bytes(Box<[u8; ROW]>),
    Shorts(Box<[u16; ROW]>),
    Whole(Box<[u64; ROW]>),
}

/// Bins in a row.
pub(super) const ROW: usize = 256;

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

/// The same for counts of each width.
macro_rules! of_any_width {
    ($bins:expr, $counts:ident => $what:expr) => {
        match $bins {
            Bins::Bytes($counts) => $what,
            Bins::Shorts($counts) => $what,
            Bins::Whole($counts) => $what,
        }
    };
}

// === Bins ===

impl Default for Bins {
    fn default() -> Self {
        Self::Bytes(Box::new([0; ROW]))
    }
}

impl Bins {
    pub(super) fn record(&mut self, bin: usize) {
        match self {
            Self::Whole(counts) => counts[bin] += 1,
            Self::Shorts(counts) if counts[bin] < u16::MAX => counts[bin] += 1,
            Self::Bytes(counts) if counts[bin] < u8::MAX => counts[bin] += 1,
            Self::Shorts(_) | Self::Bytes(_) => self.add_to(bin, 1),
        }
    }

    /// Adds so many to one bin.
    pub(super) fn add_to(&mut self, bin: usize, count: u64) {
        while !of_any_width!(self, counts => change(&mut counts[bin], |before| before.saturating_add(count))) {
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
            of_any_width!(&mut *self, counts => change(&mut counts[bin], |before| before.saturating_sub(count)));
        }
        // What is left over of the last second is often little.
        let most = of_any_width!(&*self, counts => counts.iter().fold(0, |most, count| most.max(number(*count))));
        if most <= u8::MOST {
            *self = Self::Bytes(of_any_width!(&*self, counts => as_wide(counts)));
        } else if most <= u16::MOST {
            *self = Self::Shorts(of_any_width!(&*self, counts => as_wide(counts)));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        of_any_width!(self, counts => **counts == [0; ROW])
    }

    /// The bins that hold something, and how much; ascending.
    pub(super) fn counts(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        (0..ROW).filter_map(move |bin| {
            let count = of_any_width!(self, counts => number(counts[bin]));
            (count > 0).then_some((bin, count))
        })
    }

    fn widen(&mut self) {
        *self = match self {
            Self::Bytes(counts) => Self::Shorts(as_wide(counts)),
            Self::Shorts(counts) => Self::Whole(as_wide(counts)),
            Self::Whole(_) => return,
        }
    }
}

fn number<T: Narrow>(count: T) -> u64 {
    count.into()
}

/// The same counts in another width, in which they fit.
fn as_wide<T: Narrow, U: Narrow + Default>(counts: &[T; ROW]) -> Box<[U; ROW]> {
    Box::new(counts.map(|count| U::try_from(number(count)).unwrap_or_default()))
}

/// Changes a count, if what it becomes fits.
fn change<T: Narrow>(count: &mut T, to: impl FnOnce(u64) -> u64) -> bool {
    T::try_from(to((*count).into())).map(|sum| *count = sum).is_ok()
}

/// Adds all, or nothing if a sum does not fit. Looks at all of them first, which is faster than a way out in the middle.
fn add_all<T: Narrow>(mine: &mut [T; ROW], theirs: &[T; ROW]) -> bool {
    let sum = |mine: T, theirs: T| mine.into().saturating_add(theirs.into());
    let over = mine.iter().zip(theirs).fold(false, |over, (mine, theirs)| over | (sum(*mine, *theirs) > T::MOST));
    if !over {
        mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| _ = change(mine, |before| before.saturating_add((*theirs).into())));
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

    fn is_bytes(bins: &Bins) -> bool {
        matches!(bins, Bins::Bytes(_))
    }

    #[test]
    fn a_count_that_does_not_fit_makes_them_wider_and_nothing_is_lost() {
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
        bins.add_to(0, 65_528);
        assert!(matches!(bins, Bins::Shorts(_)));
        bins.record(0);
        assert!(matches!(bins, Bins::Whole(_)));
        assert_eq!(all(&bins), [(0, 65_536), (255, 7)]);
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
