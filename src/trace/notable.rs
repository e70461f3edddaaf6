//! Which exported traces a summary names: the slowest, and the latest that failed. Bounded, and cheap on the hot path: a request
//! that is neither costs one comparison.
//!
//! Both lists are the first so many in an order that no two spans share, so that it does not matter which worker offered what,
//! nor in which order lists are merged.

use std::time::Duration;

use super::{SpanId, TraceId};
use crate::clock::Timestamp;
use crate::reason::Reason;

/// A request whose span was taken by the exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    pub trace: TraceId,
    /// The client span of the request; of its last hop, if there were more.
    pub span: SpanId,
    /// `catalog.requests[request]`.
    pub request: u32,
    pub status: Option<u16>,
    /// `None` if it succeeded.
    pub reason: Option<Reason>,
    /// Since it should have started.
    pub response: Duration,
    /// Since it really started.
    pub service: Duration,
    /// When it really started.
    pub started: Timestamp,
}

/// The notable ones among the requests that were offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceList {
    /// Of each list.
    most: usize,
    /// The slowest first.
    slowest: Vec<Traced>,
    /// The latest to start first.
    failed: Vec<Traced>,
}

// === TraceList ===

impl TraceList {
    /// How many a summary names of each.
    pub const MOST: usize = 20;

    /// Keeps `most` of the slowest and as many of the failed.
    pub fn new(most: usize) -> Self {
        Self { most, slowest: Vec::new(), failed: Vec::new() }
    }

    /// Takes note of a request, if it is notable.
    pub fn offer(&mut self, traced: Traced) {
        keep(&mut self.slowest, self.most, traced, slowness);
        if traced.reason.is_some() {
            keep(&mut self.failed, self.most, traced, lateness);
        }
    }

    /// Adds what another worker took note of. It does not matter in which order lists are merged.
    pub fn merge(&mut self, other: &Self) {
        other.slowest.iter().for_each(|traced| keep(&mut self.slowest, self.most, *traced, slowness));
        other.failed.iter().for_each(|traced| keep(&mut self.failed, self.most, *traced, lateness));
    }

    /// The slowest first; those that failed too.
    pub fn slowest(&self) -> &[Traced] {
        &self.slowest
    }

    /// The latest to start first.
    pub fn failed(&self) -> &[Traced] {
        &self.failed
    }

    pub fn is_empty(&self) -> bool {
        self.slowest.is_empty()
    }
}

impl Default for TraceList {
    fn default() -> Self {
        Self::new(Self::MOST)
    }
}

/// A place in an order, and the ids that make it one that no other span has.
type Place<T> = (T, SpanId, TraceId);

fn slowness(traced: &Traced) -> Place<Duration> {
    (traced.response, traced.span, traced.trace)
}

fn lateness(traced: &Traced) -> Place<Timestamp> {
    (traced.started, traced.span, traced.trace)
}

/// Puts `traced` into the list, which has the largest first, if it is among the `most` largest; the same one once.
fn keep<T: PartialOrd>(list: &mut Vec<Traced>, most: usize, traced: Traced, place: fn(&Traced) -> Place<T>) {
    let own = place(&traced);
    if list.len() >= most && list.last().is_none_or(|last| own <= place(last)) {
        return;
    }
    let at = list.partition_point(|other| place(other) > own);
    if list.get(at).is_none_or(|other| place(other) != own) {
        list.insert(at, traced);
        list.truncate(most);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn traced(id: u64, millis: u64, failed: bool) -> Traced {
        Traced {
            trace: TraceId::new(u128::from(id) << 64).unwrap(),
            span: SpanId::new(id).unwrap(),
            request: 0,
            status: (!failed).then_some(200),
            reason: failed.then_some(Reason::Timeout),
            response: Duration::from_millis(millis),
            service: Duration::from_millis(millis),
            started: Timestamp::from_unix(Duration::from_secs(1000 + id)),
        }
    }

    fn ids(list: &[Traced]) -> Vec<u64> {
        list.iter().map(|traced| traced.span.bits()).collect()
    }

    #[test]
    fn the_slowest_and_the_latest_failures_are_kept() {
        let mut list = TraceList::new(3);
        assert!(list.is_empty());
        for (id, millis, failed) in [(1, 5, true), (2, 9, false), (3, 1, true), (4, 7, true), (5, 9, false), (6, 2, true)] {
            list.offer(traced(id, millis, failed));
        }
        assert_eq!(ids(list.slowest()), [5, 2, 4], "of equally slow ones the order is that of ids");
        assert_eq!(ids(list.failed()), [6, 4, 3]);
        list.offer(traced(5, 9, false));
        assert_eq!(ids(list.slowest()), [5, 2, 4], "the same one once");
        let mut none = TraceList::new(0);
        none.offer(traced(1, 1, true));
        assert!(none.is_empty() && none.failed().is_empty());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_who_saw_what(seen in prop::collection::vec((1u64..200, 0u64..50, any::<bool>()), 0..120), workers in 1usize..5) {
            // One id is one request.
            let mut seen = seen;
            seen.sort_unstable();
            seen.dedup_by_key(|(id, ..)| *id);
            let all: Vec<Traced> = seen.iter().map(|(id, millis, failed)| traced(*id, *millis, *failed)).collect();
            let mut alone = TraceList::new(7);
            all.iter().for_each(|traced| alone.offer(*traced));
            let mut parts = vec![TraceList::new(7); workers];
            all.iter().rev().enumerate().for_each(|(at, traced)| parts[at % workers].offer(*traced));
            let mut forwards = TraceList::new(7);
            parts.iter().for_each(|part| forwards.merge(part));
            let mut backwards = TraceList::new(7);
            parts.iter().rev().for_each(|part| backwards.merge(part));
            prop_assert_eq!(&forwards, &alone);
            prop_assert_eq!(&backwards, &alone);
            let mut sorted: Vec<Duration> = all.iter().map(|traced| traced.response).collect();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            sorted.truncate(7);
            prop_assert_eq!(alone.slowest().iter().map(|traced| traced.response).collect::<Vec<_>>(), sorted);
        }
    }
}
