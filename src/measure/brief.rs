//! The usual phases of a request, as the hot path counts them: two cache lines for each, where a histogram with both of its forms takes
//! four. Whoever reads the shard gets histograms; see [`Briefs::tell`].

use super::histogram::Point;
use super::pending::USUAL;
use super::phases::PhaseTotals;
use super::scale::Scale;

/// The [`USUAL`] phases of one request, since they were last told.
#[derive(Clone, Debug, Default)]
pub(super) struct Briefs([Brief; USUAL.len()]);

/// One phase: how often it fell into each bin of the [`Scale`].
#[derive(Clone, Debug, Default)]
struct Brief {
    /// In nanoseconds: of phases that each take four seconds at most, so it is years until it is full.
    sum: u64,
    /// Nearly all answers come in one piece, so that to receive the rest takes no time.
    zero: u32,
    /// The bin of the first count.
    start: u16,
    /// A window over the bins met so far, whole [`STEP`]s wide.
    counts: Vec<u32>,
}

const STEP: u16 = 16;

// === Briefs ===

impl Briefs {
    pub(super) fn record(&mut self, usual: usize, nanos: u64, scale: &Scale) {
        let brief = &mut self.0[usual];
        if nanos == 0 {
            brief.zero += 1;
        } else {
            brief.sum += nanos;
            *brief.at(scale.bin(nanos)) += 1;
        }
    }

    /// Adds what was counted, which then begins anew.
    pub(super) fn tell(&mut self, totals: &mut PhaseTotals, scale: &Scale, boundaries: usize) {
        for (brief, part) in self.0.iter_mut().zip(USUAL) {
            let mut told = |point: &Point, count: u32| totals.record_many(part, point, count.into(), boundaries);
            if brief.zero > 0 {
                told(&scale.point(0), std::mem::take(&mut brief.zero));
            }
            for (bin, count) in (usize::from(brief.start)..).zip(&mut brief.counts).filter(|(_, count)| **count > 0) {
                told(&scale.of_bin(bin), std::mem::take(count));
            }
            totals.took(part, std::mem::take(&mut brief.sum));
        }
    }
}

impl Brief {
    #[inline]
    fn at(&mut self, bin: u16) -> &mut u32 {
        if bin < self.start || usize::from(bin - self.start) >= self.counts.len() {
            self.cover(bin);
        }
        &mut self.counts[usize::from(bin - self.start)]
    }

    /// Widens the window to hold `bin` too.
    #[cold]
    fn cover(&mut self, bin: u16) {
        let begin = bin - bin % STEP;
        if self.counts.is_empty() {
            self.start = begin;
        }
        if begin < self.start {
            self.counts.splice(0..0, std::iter::repeat_n(0, usize::from(self.start - begin)));
            self.start = begin;
        }
        let end = usize::from(begin + STEP - self.start);
        if end > self.counts.len() {
            self.counts.resize(end, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::measure::catalog::BUCKETS;

    static SCALE: LazyLock<Scale> = LazyLock::new(|| Scale::new(&BUCKETS));

    proptest! {
        /// However often it is told in between.
        #[test]
        fn what_is_told_is_what_was_recorded(
            phases in prop::collection::vec((0..USUAL.len(), prop_oneof![Just(0), 1..5_000_u64, 1..4_294_967_295_u64], 0..9_u8), 0..60),
        ) {
            let (mut briefs, mut told, mut wanted) = (Briefs::default(), PhaseTotals::default(), PhaseTotals::default());
            for (usual, nanos, then) in phases {
                briefs.record(usual, nanos, &SCALE);
                wanted.record(USUAL[usual], &Point::new(Duration::from_nanos(nanos), &BUCKETS), BUCKETS.len());
                if then == 0 {
                    briefs.tell(&mut told, &SCALE, BUCKETS.len());
                }
            }
            briefs.tell(&mut told, &SCALE, BUCKETS.len());
            prop_assert_eq!(&told, &wanted);
            // And nothing twice.
            briefs.tell(&mut told, &SCALE, BUCKETS.len());
            prop_assert_eq!(told, wanted);
        }
    }
}
