//! Exemplars: for each classic bucket of a histogram the newest request in it that has an exported span, so that a dashboard
//! leads from a slow bucket to a trace.
//!
//! Which one is kept does not depend on the order in which shards are merged: the newest, of two equally new ones that with
//! the larger span id. So what a scraper sees of a bucket never gets older, which Prometheus would refuse.

use crate::clock::Timestamp;
use crate::trace::{SpanId, TraceId};

/// The exported span of a sample. To be given only for a span that the exporter's queue has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    pub trace: TraceId,
    pub span: SpanId,
    /// When it was measured: the end of the request.
    pub at: Timestamp,
}

/// One measured duration, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemplar {
    pub trace: TraceId,
    pub span: SpanId,
    pub at: Timestamp,
    nanos: u64,
}

/// At most one for each classic bucket, by its number, ascending. A bucket without one takes no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exemplars(Vec<(usize, Exemplar)>);

// === Exemplar ===

impl Exemplar {
    pub(super) fn new(Traced { trace, span, at }: Traced, nanos: u64) -> Self {
        Self { trace, span, at, nanos }
    }

    /// The duration, in nanoseconds.
    pub fn nanos(&self) -> u64 {
        self.nanos
    }

    /// The duration, in seconds.
    pub fn seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// Everything of it, the deciding first: only what is the same in all parts is equally new.
    fn newness(&self) -> impl Ord {
        (self.at, self.span, self.trace, self.nanos)
    }
}

// === Exemplars ===

impl Exemplars {
    /// Keeps it if its bucket has none that is newer.
    pub(super) fn offer(&mut self, bucket: usize, exemplar: Exemplar) {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) if self.0[at].1.newness() < exemplar.newness() => self.0[at].1 = exemplar,
            Ok(_) => {}
            Err(at) => self.0.insert(at, (bucket, exemplar)),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(bucket, exemplar)| self.offer(*bucket, *exemplar));
    }

    pub(super) fn of(&self, bucket: usize) -> Option<&Exemplar> {
        let at = self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket).ok()?;
        Some(&self.0[at].1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Exemplar> + '_ {
        self.0.iter().map(|(_, exemplar)| exemplar)
    }
}

/// With small numbers for ids, and a time in seconds: for tests.
#[cfg(test)]
pub(crate) fn traced(trace: u128, span: u64, seconds: u64) -> Traced {
    let ids = TraceId::new(trace).zip(SpanId::new(span));
    let (trace, span) = ids.unwrap();
    Traced { trace, span, at: Timestamp::from_unix(std::time::Duration::from_secs(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemplar(trace: u128, span: u64, seconds: u64) -> Exemplar {
        Exemplar::new(traced(trace, span, seconds), 1_500_000_001)
    }

    #[test]
    fn a_bucket_keeps_the_newest() {
        let mut exemplars = Exemplars::default();
        for (bucket, exemplar) in
            [(7, exemplar(1, 1, 10)), (2, exemplar(2, 2, 5)), (7, exemplar(3, 3, 9)), (2, exemplar(4, 4, 6))]
        {
            exemplars.offer(bucket, exemplar);
        }
        assert_eq!(exemplars.iter().map(|kept| kept.trace.bits()).collect::<Vec<_>>(), [4, 1]);
        assert_eq!((exemplars.of(7), exemplars.of(2)), (Some(&exemplar(1, 1, 10)), Some(&exemplar(4, 4, 6))));
        assert_eq!((exemplars.of(0), exemplars.of(8)), (None, None));
        assert_eq!((exemplar(1, 1, 1).nanos(), exemplar(1, 1, 1).seconds()), (1_500_000_001, 1.500_000_001));
    }

    #[test]
    fn of_two_equally_new_the_larger_span_is_kept_whichever_comes_first() {
        let (small, large) = (exemplar(9, 1, 10), exemplar(1, 2, 10));
        for order in [[small, large], [large, small]] {
            let mut exemplars = Exemplars::default();
            order.into_iter().for_each(|exemplar| exemplars.offer(0, exemplar));
            assert_eq!(exemplars.of(0), Some(&large));
        }
    }
}
